// agents/gateway/rows.cpp - the rules, message by message.
#include "agents/gateway/rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace kairo::gateway {
namespace {
using Row = nlohmann::json;
constexpr std::size_t line_bytes_max = 16 << 20, functions_max = 128;
constexpr std::int64_t rows_min = 10;
constexpr int row_depth_max = 64;

bool has_text(const Row& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string();
}
bool has_value(const Row& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && !at->is_null();
}
std::string shown(const std::string& text) {
  return "\"" + text.substr(0, 40) + (text.size() > 40 ? "..." : "") + "\"";
}

std::string wrong_content(const Row& content) {
  if (content.is_string()) return "";
  if (!content.is_array()) return "content is neither a text nor a list of parts";
  for (const Row& part : content) {
    if (!part.is_object() || !has_text(part, "type")) return "a part of content has no type";
    if (part["type"] != "text")
      return "content has a part of type " + shown(part["type"].get<std::string>()) +
             ": only text is trained";
    if (!has_text(part, "text")) return "a text part of content has no text";
  }
  return "";
}
std::string wrong_calls(const Row& calls) {
  if (!calls.is_array() || calls.empty()) return "tool_calls is no list of calls";
  for (const Row& call : calls) {
    if (!call.is_object() || !has_text(call, "id")) return "a tool call has no id";
    const auto function = call.find("function");
    if (function == call.end() || !function->is_object() || !has_text(*function, "name"))
      return "a tool call names no function";
    if (!has_text(*function, "arguments")) return "a tool call's arguments are no text of JSON";
    if (!Row::accept(function->at("arguments").get_ref<const std::string&>()))
      return "a tool call's arguments are not JSON";
  }
  return "";
}
std::string wrong_weight(const Row& message, const std::string& role) {
  const auto weight = message.find("weight");
  if (weight == message.end() || weight->is_null()) return "";
  if (role != "assistant") return "weight is for messages of the assistant only";
  return *weight == 0 || *weight == 1 ? "" : "weight is neither 0 nor 1";
}
std::string wrong_message(const Row& message) {
  static const std::set<std::string> roles{"system",    "developer", "user",
                                           "assistant", "tool",      "function"};
  if (!message.is_object()) return "it is no object";
  if (!has_text(message, "role")) return "role is missing";
  const std::string role = message["role"].get<std::string>();
  if (!roles.contains(role)) return "role " + shown(role) + " is none of OpenAI's";
  if (role == "function" || has_value(message, "function_call"))
    return "function_call and role function are the old form, which is not trained here: write "
           "tool_calls and role tool";
  if (std::string why = wrong_weight(message, role); !why.empty()) return why;
  const bool has_calls = role == "assistant" && has_value(message, "tool_calls");
  if (has_calls)
    if (std::string why = wrong_calls(message["tool_calls"]); !why.empty()) return why;
  if (!has_value(message, "content"))
    return has_calls || has_value(message, "refusal") ? "" : "content is missing";
  if (role == "tool" && !has_text(message, "tool_call_id")) return "tool_call_id is missing";
  return wrong_content(message["content"]);
}
// Of calls before the last message each is answered before anybody else speaks.
std::string unanswered(const Row& messages) {
  std::set<std::string> open;
  for (const Row& message : messages) {
    const std::string role = message["role"].get<std::string>();
    if (role == "tool") {
      if (open.erase(message.value("tool_call_id", "")) == 0)
        return "tool_call_id " + shown(message.value("tool_call_id", "")) + " answers no call";
      continue;
    }
    if (!open.empty()) return "the tool call " + shown(*open.begin()) + " has no answer";
    if (role == "assistant" && has_value(message, "tool_calls"))
      for (const Row& call : message["tool_calls"]) open.insert(call["id"].get<std::string>());
  }
  return "";
}
std::string wrong_list(const Row& messages) {
  if (!messages.is_array() || messages.empty()) return "messages is no list with a message";
  std::size_t number = 0;
  for (const Row& message : messages) {
    ++number;
    if (const std::string why = wrong_message(message); !why.empty())
      return "message " + std::to_string(number) + ": " + why;
  }
  return unanswered(messages);
}
std::string wrong_tools(const Row& row) {
  if (has_value(row, "functions"))
    return "functions is the old form, which is not trained here: write tools";
  if (!has_value(row, "tools")) return "";
  const Row& tools = row["tools"];
  if (!tools.is_array() || tools.size() > functions_max)
    return "tools is no list of 1 to 128 tools";
  for (const Row& tool : tools) {
    const auto function = tool.is_object() ? tool.find("function") : tool.end();
    if (!tool.is_object() || function == tool.end() || !function->is_object() ||
        !has_text(*function, "name"))
      return "a tool names no function";
  }
  return "";
}
std::string wrong_chat(const Row& row) {
  const Row& messages = row["messages"];
  if (std::string why = wrong_list(messages); !why.empty()) return why;
  if (std::string why = wrong_tools(row); !why.empty()) return why;
  std::size_t answers = 0, trained = 0;
  for (const Row& message : messages)
    if (message["role"] == "assistant") {
      ++answers;
      if (!has_value(message, "weight") || message["weight"] != 0) ++trained;
    }
  if (answers == 0) return "there is no message of the assistant";
  if (messages.back()["role"] != "assistant") return "the last message is not the assistant's";
  return trained == 0 ? "every message of the assistant has weight 0" : "";
}
std::string wrong_preference(const Row& row) {
  const Row& input = row["input"];
  if (!input.is_object() || !input.contains("messages")) return "input has no messages";
  if (std::string why = wrong_list(input["messages"]); !why.empty()) return "input: " + why;
  for (const std::string name : {"preferred", "non_preferred"}) {
    const std::string key =
        row.contains(name + "_output") ? name + "_output" : name + "_completion";
    if (!row.contains(key)) return name + "_output is missing";
    const Row& output = row[key];
    if (!output.is_array() || output.size() != 1 || !output[0].is_object() ||
        output[0].value("role", Row()) != "assistant")
      return key + " is not one message of the assistant";
    if (std::string why = wrong_message(output[0]); !why.empty()) return key + ": " + why;
  }
  return "";
}
}  // namespace

const char* name_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::chat:
      return "chat";
    case Dialect::completions:
      return "prompt and completion";
    case Dialect::preference:
      return "preference";
    case Dialect::reinforcement:
      return "reinforcement";
    case Dialect::none:
      break;
  }
  return "no known";
}

std::string wrong_row(std::string_view line, Dialect& dialect) {
  dialect = Dialect::none;
  int deepest = 0;
  const auto watch = [&](int depth, Row::parse_event_t, Row&) {
    deepest = std::max(deepest, depth);
    return depth <= row_depth_max;
  };
  const Row row = Row::parse(line, watch, false);
  if (deepest > row_depth_max) return "it is nested deeper than 64";
  if (!row.is_object())
    return "it is no JSON object on a line of its own; it begins with " +
           shown(std::string(line.substr(0, 40)));
  if (row.contains("input") &&
      (row.contains("preferred_output") || row.contains("preferred_completion"))) {
    dialect = Dialect::preference;
    return wrong_preference(row);
  }
  if (row.contains("messages")) {
    const Row& messages = row["messages"];
    const bool asks = messages.is_array() && !messages.empty() && messages.back().is_object() &&
                      messages.back().value("role", Row()) == "user" && row.size() > 1 &&
                      !row.contains("tools");
    dialect = asks ? Dialect::reinforcement : Dialect::chat;
    return asks ? wrong_list(messages) : wrong_chat(row);
  }
  if (row.contains("prompt") && row.contains("completion")) {
    dialect = Dialect::completions;
    return has_text(row, "prompt") && has_text(row, "completion")
               ? ""
               : "prompt and completion are not both texts";
  }
  return "it has neither messages nor prompt and completion";
}

void RowsCheck::line(std::string_view text) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (lines_++ == 0 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.find_first_not_of(" \t") == std::string_view::npos) return;
  ++out_.rows;
  if (!out_.wrong.empty()) return;  // the first is enough; the others are counted
  Dialect dialect = Dialect::none;
  std::string why = wrong_row(text, dialect);
  if (out_.rows == 1) out_.dialect = dialect;
  if (why.empty() && dialect != out_.dialect)
    why = std::string("it is a ") + name_of(dialect) + " row, the first is a " +
          name_of(out_.dialect) + " one";
  if (!why.empty()) out_.wrong = "example " + std::to_string(out_.rows) + ": " + why;
}
void RowsCheck::feed(std::string_view bytes) {
  for (;;) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (rest_.size() + piece.size() > line_bytes_max) {
      if (out_.wrong.empty())
        out_.wrong =
            "example " + std::to_string(out_.rows + 1) + ": its line is longer than 16 MiB";
      rest_.clear();
    } else if (end == std::string_view::npos || !rest_.empty()) {
      rest_.append(piece);
    }
    if (end == std::string_view::npos) return;
    line(rest_.empty() ? piece : rest_);
    rest_.clear();
    bytes.remove_prefix(end + 1);
  }
}
RowsVerdict RowsCheck::finish() {
  if (!rest_.empty()) line(rest_);
  rest_.clear();
  return out_;
}

FileFault fault_of(const RowsVerdict& rows, const std::string& method, const std::string& role,
                   const std::string& file_id) {
  const std::string code = "invalid_" + role + "_file",
                    begin = "The " + role + " file " + file_id + " ";
  if (!rows.wrong.empty()) return {code, begin + "is invalid: " + rows.wrong};
  if (rows.rows > 0 && rows.dialect != Dialect::chat && rows.dialect != Dialect::completions)
    return {code, begin + "is invalid: its rows are " + name_of(rows.dialect) +
                      " rows, which method " + method +
                      " does not take; it takes chat rows (messages), or prompt and completion"};
  const std::int64_t least = role == "training" ? rows_min : 1;
  if (rows.rows < least)
    return {"invalid_n_examples", begin + "has " + std::to_string(rows.rows) +
                                      (rows.rows == 1 ? " example; " : " examples; ") +
                                      std::to_string(least) + (least == 1 ? " is" : " are") +
                                      " needed"};
  return {};
}
}  // namespace kairo::gateway
