// gpu/hf/chat_templates.cpp - which templates a model folder holds, and which of them a chat takes.
#include "gpu/hf/chat_templates.h"

#include <filesystem>

#include "gpu/formats/files.h"
#include "gpu/hf/owned.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
constexpr std::int64_t template_bytes_max = 1 << 20;
constexpr std::size_t templates_max = 64;
using Texts = std::map<std::string, std::string>;

// The paths by name.
Texts files_of(const std::string& folder) {
  Texts out;
  std::error_code error;
  if (fs::exists(folder + "/chat_template.jinja", error))
    out["default"] = folder + "/chat_template.jinja";
  for (fs::directory_iterator at(folder + "/additional_chat_templates", error), end;
       !error && at != end; at.increment(error))
    if (at->path().extension() == ".jinja") out[at->path().stem().string()] = at->path().string();
  return out;
}
// Text, a list of {"name", "template"}, or an object of texts by name.
Texts of_config(const Json& config) {
  Texts out;
  const auto at = config.find("chat_template");
  if (at == config.end()) return out;
  if (at->is_string() && !at->get_ref<const std::string&>().empty())
    out["default"] = at->get<std::string>();
  if (at->is_array())
    for (const auto& entry : *at)
      if (entry.is_object() && entry.value("name", Json()).is_string() &&
          entry.value("template", Json()).is_string())
        out[entry["name"].get<std::string>()] = entry["template"].get<std::string>();
  if (at->is_object())
    for (const auto& [name, text] : at->items())
      if (text.is_string()) out[name] = text.get<std::string>();
  return out;
}
}  // namespace

Result<std::string> read_template(const std::string& path) {
  return read_file(path, template_bytes_max);
}

Status ChatTemplates::add(const std::string& name, const std::string& text) {
  kh_chat* chat = nullptr;
  OwnedBytes error;
  if (kh_chat_compile(text.data(), text.size(), &chat, &error.raw) != 0)
    return Error{Code::invalid, "chat template \"" + name + "\": " + error.text()};
  by_name_[name].reset(chat);
  return ok();
}

Result<ChatTemplates> ChatTemplates::of_model(const std::string& folder, const Json& config) {
  Texts texts = files_of(folder);
  for (auto& [name, text] : texts) text = TRY(read_template(text));
  if (texts.empty()) texts = of_config(config);
  if (texts.size() > templates_max)
    return Error{Code::invalid, folder + ": " + std::to_string(texts.size()) +
                                    " chat templates; at most " + std::to_string(templates_max)};
  ChatTemplates out;
  for (const auto& [name, text] : texts) TRY(out.add(name, text));
  return out;
}

Result<ChatTemplates> ChatTemplates::of_text(const std::string& text) {
  ChatTemplates out;
  TRY(out.add("default", text));
  return out;
}

Result<const kh_chat*> ChatTemplates::choose(bool has_tools) const {
  auto found = has_tools ? by_name_.find("tool_use") : by_name_.end();
  if (found == by_name_.end()) found = by_name_.find("default");
  if (found != by_name_.end()) return static_cast<const kh_chat*>(found->second.get());
  if (empty())
    return Error{Code::invalid,
                 "apply chat template: the model has none; set ModelConfig.chat_template, or use "
                 "prompt/completion or text rows"};
  std::string names;
  for (const auto& [name, chat] : by_name_) names += (names.empty() ? "" : ", ") + name;
  return Error{Code::invalid, "apply chat template: the model has several templates (" + names +
                                  ") and none is called \"default\"; set "
                                  "ModelConfig.chat_template to the one to use"};
}
}  // namespace kairo::gpu
