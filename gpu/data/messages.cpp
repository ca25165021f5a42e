// gpu/data/messages.cpp - read_messages and read_tools.
#include "gpu/data/messages.h"

#include <utility>

namespace kairo::gpu {
namespace {
// Who speaks in ShareGPT. Empty: a function call as text, which no template renders.
std::string role_of(const std::string& from) {
  static const std::pair<const char*, const char*> roles[] = {
      {"human", "user"},      {"gpt", "assistant"},    {"chatgpt", "assistant"},
      {"model", "assistant"}, {"observation", "tool"}, {"function_response", "tool"}};
  if (from == "function_call") return "";
  for (const auto& [name, role] : roles)
    if (from == name) return role;
  return from;
}
// {from, value, ...} as {role, content, ...}.
Result<RowJson> from_sharegpt(const RowJson& item, const std::string& where) {
  const std::string from = item["from"].get<std::string>();
  const std::string role = role_of(from);
  if (role.empty())
    return Error{Code::invalid, "column \"" + where + "\" is from \"" + from +
                                    "\": write it as from \"gpt\" with \"tool_calls\": "
                                    "[{\"type\": \"function\", \"function\": {\"name\", "
                                    "\"arguments\"}}]"};
  RowJson out = {{"role", role}, {"content", item["value"]}};
  for (const auto& member : item.items())
    if (member.key() != "from" && member.key() != "value") out[member.key()] = member.value();
  return out;
}
// The text of content that is a list of text parts.
Result<std::string> joined(const RowJson& parts, const std::string& where) {
  std::string out;
  std::size_t number = 0;
  for (const auto& part : parts) {
    const std::string place = where + "[" + std::to_string(number++) + "]";
    if (!part.is_object() || !part.contains("type") || part["type"] != "text" ||
        !part.contains("text") || !part["text"].is_string())
      return Error{Code::invalid, "column \"" + place +
                                      "\" is no text part; content must be a string or a list of "
                                      "{\"type\": \"text\", \"text\": ...}: images and sound are "
                                      "not trained"};
    out += part["text"].get<std::string>();
  }
  return out;
}
Status check_calls(const RowJson& message, const std::string& where) {
  if (message.contains("function_call"))
    return Error{Code::invalid,
                 "column \"" + where +
                     ".function_call\" is OpenAI's old form: write it as "
                     "\"tool_calls\": [{\"type\": \"function\", \"function\": ...}]"};
  const auto calls = message.find("tool_calls");
  if (calls == message.end()) return ok();
  const std::string column = where + ".tool_calls";
  if (!calls->is_array()) return wrong_type(column, *calls, "a list of calls");
  for (const auto& call : *calls)
    if (!call.is_object()) return wrong_type(column, call, "a list of objects");
  return ok();
}
// A template takes content as a string; a tool's answer may be any JSON.
Status settle_content(RowJson& message, const std::string& where) {
  const auto content = message.find("content");
  if (content == message.end()) {
    if (message.contains("tool_calls") && !message["tool_calls"].empty()) return ok();
    return Error{Code::invalid, "column \"" + where +
                                    "\" must have \"role\" and \"content\" (or \"from\" and "
                                    "\"value\"), or \"tool_calls\"; it has: " +
                                    names_of(message)};
  }
  if (content->is_array() && (message["role"] != "tool" || joined(*content, where).ok()))
    *content = TRY(joined(*content, where + ".content"));
  if (content->is_object() && message["role"] != "tool")
    return wrong_type(where + ".content", *content, "a string or a list of text parts");
  return ok();
}
// Takes weight and train out of the message; false: it is not trained.
Result<bool> take_weight(RowJson& message, const std::string& where) {
  bool trained = true;
  for (const std::string key : {"weight", "train"}) {
    const auto at = message.find(key);
    if (at == message.end()) continue;
    const bool is_off = *at == 0 || *at == false, is_on = *at == 1 || *at == true;
    if (!is_off && !is_on)
      return Error{Code::invalid, "column \"" + where + "." + key + "\" is " + at->dump() +
                                      ", must be 0 (the message is not trained) or 1"};
    trained = trained && is_on;
    message.erase(key);
  }
  return trained;
}
RowJson without_nulls(const RowJson& message) {
  RowJson out = RowJson::object();
  for (const auto& member : message.items())
    if (!member.value().is_null()) out[member.key()] = member.value();
  return out;
}
}  // namespace

Result<Messages> read_messages(const RowJson& given, const std::string& column) {
  const RowJson list = unpacked(given);
  if (!list.is_array()) return wrong_type(column, given, "a list of messages");
  if (list.empty()) return Error{Code::invalid, "column \"" + column + "\" is an empty list"};
  Messages out;
  for (const auto& item : list) {
    const std::size_t number = out.list.size();
    const std::string where = column + "[" + std::to_string(number) + "]";
    if (!item.is_object()) return wrong_type(where, item, "an object {role, content}");
    RowJson message = without_nulls(item);
    if (!message.contains("role") && message.contains("from") && message["from"].is_string() &&
        message.contains("value"))
      message = TRY(from_sharegpt(message, where));
    if (!message.contains("role") || !message["role"].is_string())
      return Error{Code::invalid, "column \"" + where +
                                      "\" must have \"role\" and \"content\" (or \"from\" and "
                                      "\"value\"); it has: " +
                                      names_of(message)};
    TRY(check_calls(message, where));
    TRY(settle_content(message, where));
    if (!TRY(take_weight(message, where)) && message["role"] == "assistant")
      out.untrained.push_back(number);
    out.list.push_back(std::move(message));
  }
  return out;
}

Result<RowJson> read_tools(const RowJson& value) {
  if (value.is_null() || value == "") return RowJson::array();
  RowJson list = unpacked(value);
  if (list.is_null()) return RowJson::array();
  const char* wanted =
      "a list of tools [{\"type\": \"function\", \"function\": {...}}], or JSON "
      "text of one";
  if (!list.is_array()) return wrong_type("tools", value, wanted);
  std::size_t number = 0;
  for (const auto& tool : list) {
    if (!tool.is_object())
      return wrong_type("tools[" + std::to_string(number) + "]", tool,
                        "an object {\"type\": \"function\", \"function\": {...}}");
    ++number;
  }
  return list;
}
}  // namespace kairo::gpu
