// gpu/serve/tool_calls.cpp
#include "gpu/serve/tool_calls.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "gpu/serve/fields.h"

namespace kairo::gpu {
namespace {
using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;
constexpr std::size_t tools_max = 128, name_max = 64;
constexpr const char *open_tag = "<tool_call>", *close_tag = "</tool_call>";

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= name_max &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}
Result<std::vector<std::string>> names_of(const Json& tools) {
  if (!tools.is_array() || tools.size() > tools_max)
    return bad("tools", "must be a list of at most " + std::to_string(tools_max) + " functions");
  std::vector<std::string> out;
  for (const Json& tool : tools) {
    const std::string at = "tools[" + std::to_string(out.size()) + "]";
    if (!tool.is_object() || tool.value("type", Json()) != "function" ||
        !tool.contains("function") || !tool["function"].is_object())
      return bad(at, "must be {\"type\": \"function\", \"function\": {\"name\": ...}} (it is " +
                         shown(tool) + ")");
    const Json& function = tool["function"];
    if (!function.contains("name") || !function["name"].is_string() ||
        !is_name(function["name"].get<std::string>()))
      return bad(at + ".function.name", "must be 1 to 64 letters, digits, _ or -");
    if (!is_absent(function, "parameters") && !function["parameters"].is_object())
      return bad(at + ".function.parameters", "must be a JSON schema");
    const auto name = function["name"].get<std::string>();
    if (std::find(out.begin(), out.end(), name) != out.end())
      return bad(at + ".function.name", "is there twice (" + name + ")");
    out.push_back(name);
  }
  return out;
}
Status read_choice(const Json& choice, Tools& out) {
  const std::string form =
      "must be \"none\", \"auto\", \"required\" or {\"type\": \"function\", \"function\": "
      "{\"name\": ...}} (it is " +
      shown(choice) + ")";
  if (choice == "auto") return ok();
  if (choice == "none" || choice == "required") {
    out.use = choice == "none" ? ToolUse::none : ToolUse::required;
    return ok();
  }
  const Json function = choice.is_object() ? choice.value("function", Json()) : Json();
  if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
    return bad("tool_choice", form);
  out.only = function["name"].get<std::string>();
  out.use = ToolUse::required;
  if (std::find(out.names.begin(), out.names.end(), out.only) == out.names.end())
    return bad("tool_choice", "names " + out.only + ", which is none of tools");
  return ok();
}

// Refs of a function's schema that stands within another one: "#/$defs/x" becomes
// "#/$defs/<prefix>x".
void move_refs(Ordered& schema, const std::string& prefix) {
  if (schema.is_array())
    for (Ordered& part : schema) move_refs(part, prefix);
  if (!schema.is_object()) return;
  for (auto& [key, value] : schema.items()) {
    constexpr std::string_view defs = "#/$defs/";
    if (key == "$ref" && value.is_string() && value.get<std::string>().starts_with(defs))
      value = std::string(defs) + prefix + value.get<std::string>().substr(defs.size());
    else
      move_refs(value, prefix);
  }
}
std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \n\r\t"),
                    last = text.find_last_not_of(" \n\r\t");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}
// How many of the text's last characters the tag may begin with.
std::size_t begun(const std::string& text, const std::string& tag) {
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n)
    if (text.compare(text.size() - n, n, tag, 0, n) == 0) return n;
  return 0;
}
}  // namespace

Result<Tools> read_tools(std::string_view body) {
  const auto object = Ordered::parse(body);  // its members in their order: the template shows them
  const Json plain = Json::parse(body);
  Tools out;
  if (is_absent(plain, "tools") || plain["tools"].empty()) {
    if (!is_absent(plain, "tool_choice") && plain["tool_choice"] != "none")
      return bad("tool_choice", "needs tools beside it");
    return out;
  }
  out.names = TRY(names_of(plain["tools"]));
  out.definitions = object["tools"].dump();
  out.use = ToolUse::free;
  if (!is_absent(plain, "tool_choice")) TRY(read_choice(plain["tool_choice"], out));
  Fields fields(plain);
  fields.flag("parallel_tool_calls", out.several);
  TRY(fields.status());
  return out;
}

Result<CallForm> form_of_calls(const Tokenizer& tokenizer) {
  const std::string question = R"({"role":"user","content":"q"})";
  const std::string probe = "kairo_probe";
  const std::string tools = R"([{"type":"function","function":{"name":")" + probe +
                            R"(","description":"d","parameters":{"type":"object",)"
                            R"("properties":{"x":{"type":"string"}}}}}])";
  const Error none{Code::invalid, "tools: the model's chat template shows it no functions"};
  const auto with = tokenizer.apply_chat("[" + question + "]", true, tools);
  if (!with.ok() || with.value().text.find(probe) == std::string::npos) return none;
  const auto called = tokenizer.apply_chat(
      "[" + question + R"(,{"role":"assistant","content":"","tool_calls":[{"id":"call00001",)" +
          R"("type":"function","function":{"name":")" + probe + R"(","arguments":{"x":"y"}}}]}])",
      false, tools);
  const Error unread{Code::invalid,
                     "tools: the model's chat template writes calls in a form that is not read "
                     "here; a JSON object with a name is"};
  if (!called.ok()) return unread;
  const std::string& text = called.value().text;
  std::size_t same = 0;  // the prompt, which the call comes after
  while (same < std::min(text.size(), with.value().text.size()) &&
         text[same] == with.value().text[same])
    ++same;
  if (same < with.value().text.size())  // a tag that begins as another one is not cut
    while (same > 0 && text[same - 1] != '\n' && text[same - 1] != '>') --same;
  const std::size_t name = text.find("\"" + probe + "\"", same);
  const std::size_t object = name == std::string::npos ? name : text.rfind('{', name);
  if (object == std::string::npos || object < same) return unread;
  CallForm out;
  out.opening = text.substr(same, object - same);
  out.is_tagged = out.opening.find(open_tag) != std::string::npos;
  const std::size_t parameters = text.find("\"parameters\"", name);
  out.arguments = parameters == std::string::npos ? "arguments" : "parameters";
  return out;
}

std::string schema_of_call(const Tools& tools, const CallForm& form) {
  Ordered calls = Ordered::array(), defs = Ordered::object();
  const auto definitions = Ordered::parse(tools.definitions);
  for (std::size_t i = 0; i < definitions.size(); ++i) {
    const Ordered& function = definitions[i]["function"];
    if (!tools.only.empty() && function["name"] != tools.only) continue;
    Ordered parameters = Ordered::object();
    if (function.contains("parameters") && function["parameters"].is_object())
      parameters = function["parameters"];
    if (parameters.empty()) parameters["type"] = "object";
    const std::string prefix = "f" + std::to_string(i) + "_";
    move_refs(parameters, prefix);
    if (parameters.contains("$defs") && parameters["$defs"].is_object())
      for (const auto& [key, value] : parameters["$defs"].items()) defs[prefix + key] = value;
    parameters.erase("$defs");
    calls.push_back(
        {{"type", "object"},
         {"properties", {{"name", {{"const", function["name"]}}}, {form.arguments, parameters}}},
         {"required", Ordered::array({"name", form.arguments})},
         {"additionalProperties", false}});
  }
  Ordered out = calls.size() == 1 ? calls[0] : Ordered{{"anyOf", calls}};
  if (!defs.empty()) out["$defs"] = defs;
  return out.dump();
}

void CallReader::keep(ToolCall call) {
  if (has_call_ && !several_) return;
  has_call_ = true;
  calls_.push_back(std::move(call));
}
bool CallReader::read_one(const std::string& json) {
  const auto object = Ordered::parse(json, nullptr, false);
  if (!object.is_object() || !object.contains("name") || !object["name"].is_string()) return false;
  const auto name = object["name"].get<std::string>();
  if (std::find(names_.begin(), names_.end(), name) == names_.end()) return false;
  Ordered arguments = Ordered::object();
  for (const char* key : {"arguments", "parameters"})
    if (object.contains(key)) arguments = object[key];
  keep({name, arguments.is_string() ? arguments.get<std::string>() : arguments.dump()});
  return true;
}
bool CallReader::read(const std::string& json) {
  const auto value = Ordered::parse(json, nullptr, false);
  if (!value.is_array()) return read_one(json);
  if (value.empty()) return false;
  return std::all_of(value.begin(), value.end(),
                     [&](const Ordered& one) { return read_one(one.dump()); });
}

std::string CallReader::push_tagged() {
  const std::string open = open_tag, close = close_tag;
  std::string out;
  for (;;) {
    const std::size_t tag = held_.find(in_call_ ? close : open);
    if (tag == std::string::npos) break;
    const std::string before = held_.substr(0, tag);
    if (in_call_) {
      if (!read(trimmed(before))) out += open + before + close;
    } else if (!trimmed(before).empty() || !has_call_) {
      out += before;
    }
    held_.erase(0, tag + (in_call_ ? close : open).size());
    in_call_ = !in_call_;
  }
  if (in_call_) return out;
  const std::size_t ready = held_.size() - begun(held_, open);
  // Blanks between calls are nobody's text.
  if (has_call_ && trimmed(held_.substr(0, ready)).empty()) return out;
  out += held_.substr(0, ready);
  held_.erase(0, ready);
  return out;
}

std::string CallReader::push(const std::string& text) {
  held_ += text;
  if (forced_) return {};
  if (form_.is_tagged) return push_tagged();
  const std::string begin = trimmed(held_);
  is_text_ = is_text_ || (!begin.empty() && begin[0] != '{' && begin[0] != '[');
  if (!is_text_) return {};
  return std::exchange(held_, {});
}

std::string CallReader::finish() {
  const std::string rest = std::exchange(held_, {});
  if (form_.is_tagged && !forced_ && !in_call_) return trimmed(rest).empty() ? "" : rest;
  if (is_text_ || read(trimmed(rest))) return {};
  return in_call_ ? open_tag + rest : rest;
}

std::vector<ToolCall> CallReader::take() {
  return std::exchange(calls_, {});
}
}  // namespace kairo::gpu
