// gpu/serve/tool_calls.cpp
#include "gpu/serve/tool_calls.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
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
constexpr std::string_view blanks = " \n\r\t";
bool is_blank(char c) {
  return blanks.find(c) != blanks.npos;
}
std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(blanks), last = text.find_last_not_of(blanks);
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}
// The end of the JSON object that the text begins with; npos: it has none.
std::size_t object_end(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      in_string = !in_string;
    else if (!in_string && text[i] == '{')
      ++depth;
    else if (!in_string && text[i] == '}' && --depth == 0)
      return i + 1;
  }
  return std::string_view::npos;
}
// What stands between a name and its arguments: marks as [ARGS], or the call's id.
bool is_between(std::string_view text) {
  constexpr std::size_t between_max = 48;
  return text.size() <= between_max && std::ranges::all_of(text, [](char c) {
           return is_name(std::string(1, c)) || c == '[' || c == ']' || c == ' ';
         });
}
Ordered parameters_of(const Ordered& function) {
  Ordered out = Ordered::object();
  if (function.contains("parameters") && function["parameters"].is_object())
    out = function["parameters"];
  if (out.empty()) out["type"] = "object";
  return out;
}
// How many of the text's last characters the tag may begin with.
std::size_t begun(const std::string& text, const std::string& tag) {
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n)
    if (text.compare(text.size() - n, n, tag, 0, n) == 0) return n;
  return 0;
}
// Of a call whose name stands outside of its JSON, as the template has it.
std::optional<CallForm> named_form(const std::string& call, const std::string& name,
                                   const std::string& id) {
  const std::size_t begin = call.find(name);
  if (begin == std::string::npos) return std::nullopt;
  const std::size_t end = begin + name.size(), arguments = call.find('{', end);
  if (arguments == std::string::npos) return std::nullopt;
  CallForm out{call.substr(0, begin), "arguments", false, call.substr(end, arguments - end)};
  if (const std::size_t at = out.after_name.find(id); at != std::string::npos)
    out.after_name.erase(0, at + id.size());  // a model that must call need not write one
  if (out.after_name.empty() || !is_between(out.after_name)) return std::nullopt;
  return out;
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
  const std::string probe = "kairo_probe", id = "call00001";
  const std::string tools = R"([{"type":"function","function":{"name":")" + probe +
                            R"(","description":"d","parameters":{"type":"object",)"
                            R"("properties":{"x":{"type":"string"}}}}}])";
  const Error none{Code::invalid, "tools: the model's chat template shows it no functions"};
  const auto with = tokenizer.apply_chat("[" + question + "]", true, tools);
  if (!with.ok() || with.value().text.find(probe) == std::string::npos) return none;
  const auto called = tokenizer.apply_chat(
      "[" + question + R"(,{"role":"assistant","content":"","tool_calls":[{"id":")" + id +
          R"(","type":"function","function":{"name":")" + probe + R"(","arguments":{"x":"y"}}}]}])",
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
  if (name == std::string::npos) {
    auto named = named_form(text.substr(same), probe, id);
    return named ? Result<CallForm>(*named) : unread;
  }
  const std::size_t object = text.rfind('{', name);
  if (object == std::string::npos || object < same) return unread;
  CallForm out;
  out.opening = text.substr(same, object - same);
  out.is_tagged = out.opening.find(open_tag) != std::string::npos;
  const std::size_t parameters = text.find("\"parameters\"", name);
  out.arguments = parameters == std::string::npos ? "arguments" : "parameters";
  return out;
}

namespace {
std::string schema_of_call(const Tools& tools, const CallForm& form) {
  Ordered calls = Ordered::array(), defs = Ordered::object();
  const auto definitions = Ordered::parse(tools.definitions);
  for (std::size_t i = 0; i < definitions.size(); ++i) {
    const Ordered& function = definitions[i]["function"];
    if (!tools.only.empty() && function["name"] != tools.only) continue;
    Ordered parameters = parameters_of(function);
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
}  // namespace

Result<ForcedCall> forced_call(const Tools& tools, const CallForm& form) {
  const auto definitions = Ordered::parse(tools.definitions);
  if (form.after_name.empty()) return ForcedCall{form.opening, schema_of_call(tools, form)};
  if (tools.only.empty() && tools.names.size() > 1)
    return Error{Code::invalid,
                 "tool_choice: this model writes a function's name before its JSON: name the one "
                 "that it must call"};
  const std::string name = tools.only.empty() ? tools.names.front() : tools.only;
  for (const Ordered& one : definitions)
    if (one["function"]["name"] == name)
      return ForcedCall{form.opening + name + form.after_name,
                        parameters_of(one["function"]).dump()};
  return Error{Code::invalid, "tool_choice names " + name + ", which is none of tools"};
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

bool CallReader::may_be_named(std::string_view text) const {
  if (form_.opening.starts_with(text)) return true;
  if (text.starts_with(form_.opening)) text.remove_prefix(form_.opening.size());
  return std::ranges::any_of(names_, [&](const std::string& name) {
    if (std::string_view(name).starts_with(text)) return true;
    return text.starts_with(name) &&
           is_between(text.substr(name.size(), text.find('{') - name.size()));
  });
}
bool CallReader::read_named(std::string_view text) {
  std::vector<ToolCall> calls;
  while (!text.empty()) {
    if (text.starts_with(form_.opening)) text.remove_prefix(form_.opening.size());
    std::string_view longest;  // of the names that it begins with
    for (const std::string& name : names_)
      if (text.starts_with(name) && name.size() > longest.size()) longest = name;
    const std::size_t begin = text.find('{');
    if (longest.empty() || begin == text.npos) return false;
    if (!is_between(text.substr(longest.size(), begin - longest.size()))) return false;
    const std::size_t end = object_end(text.substr(begin));
    const auto arguments = Ordered::parse(text.substr(begin, end), nullptr, false);
    if (!arguments.is_object()) return false;
    calls.push_back({std::string(longest), arguments.dump()});
    text.remove_prefix(begin + end);
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  }
  for (ToolCall& call : calls) keep(std::move(call));
  return !calls.empty();
}

std::string CallReader::push(const std::string& text) {
  held_ += text;
  if (forced_) return {};
  if (form_.is_tagged) return push_tagged();
  const std::string begin = trimmed(held_);
  if (!form_.after_name.empty())
    is_text_ = is_text_ || !may_be_named(begin);
  else
    is_text_ = is_text_ || (!begin.empty() && begin[0] != '{' && begin[0] != '[');
  if (!is_text_) return {};
  return std::exchange(held_, {});
}

std::string CallReader::finish() {
  const std::string rest = std::exchange(held_, {});
  if (form_.is_tagged && !forced_ && !in_call_) return trimmed(rest).empty() ? "" : rest;
  const std::string call = trimmed(rest);
  if (is_text_) return {};
  if (form_.after_name.empty() ? read(call) : read_named(forced_ ? names_.front() + call : call))
    return {};
  return in_call_ ? open_tag + rest : rest;
}

std::vector<ToolCall> CallReader::take() {
  return std::exchange(calls_, {});
}
}  // namespace kairo::gpu
