// gpu/data/example.cpp - which columns a row has, and what they say.
#include "gpu/data/example.h"

#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
std::string columns_of(const Json& row) {
  std::string out;
  for (const auto& item : row.items()) {
    out += (out.empty() ? "" : ", ") + item.key();
    if (out.size() > 300) return out + ", ...";
  }
  return out.empty() ? "none" : out;
}
Error wrong_type(const std::string& column, const Json& value, const std::string& wanted) {
  return {Code::invalid,
          "column \"" + column + "\" is " + value.type_name() + ", must be " + wanted};
}
Result<std::string> text_of(const Json& row, const std::string& column) {
  const auto at = row.find(column);
  if (at == row.end())
    return Error{Code::invalid, "no column \"" + column + "\"; the row has: " + columns_of(row)};
  if (at->is_number() || at->is_boolean()) return dump(*at);  // an answer that is a number
  if (!at->is_string()) return wrong_type(column, *at, "a string");
  return at->get<std::string>();
}
Json message(const std::string& role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}
// ShareGPT names the speakers differently.
std::string role_of(const std::string& from) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "assistant" || from == "chatgpt" || from == "model")
    return "assistant";
  return from;
}
// A list of messages, as {role, content} or ShareGPT's {from, value}. CSV holds it as JSON text.
Result<Json> messages_of(const Json& row, const std::string& column) {
  const auto at = row.find(column);
  if (at == row.end())
    return Error{Code::invalid, "no column \"" + column + "\"; the row has: " + columns_of(row)};
  Json list = *at;
  if (list.is_string()) {
    const std::string text = list.get<std::string>();
    auto parsed = parse_json<Json>(text);
    if (!parsed.ok()) return wrong_type(column, *at, "a list of messages");
    list = std::move(parsed).value();
  }
  if (!list.is_array()) return wrong_type(column, *at, "a list of messages");
  if (list.empty()) return Error{Code::invalid, "column \"" + column + "\" is an empty list"};
  std::size_t number = 0;
  for (auto& item : list) {
    const std::string where = column + "[" + std::to_string(number++) + "]";
    if (!item.is_object()) return wrong_type(where, item, "an object {role, content}");
    if (!item.contains("role") && item.contains("from") && item["from"].is_string() &&
        item.contains("value"))
      item = {{"role", role_of(item["from"].get<std::string>())}, {"content", item["value"]}};
    if (!item.contains("role") || !item["role"].is_string() || !item.contains("content"))
      return Error{Code::invalid, "column \"" + where +
                                      "\" must have \"role\" and \"content\" (or \"from\" and "
                                      "\"value\"); it has: " +
                                      columns_of(item)};
  }
  return list;
}
Result<Example> chat(const Json& row, const std::string& column) {
  Example out;
  out.kind = ExampleKind::chat;
  out.messages_json = dump(TRY(messages_of(row, column)));
  const auto tools = row.find("tools");
  if (tools != row.end() && tools->is_array() && !tools->empty()) out.tools_json = dump(*tools);
  return out;
}
Example question(const std::string& prompt, const std::string& answer) {
  Example out;
  out.kind = ExampleKind::chat;
  out.is_question = out.has_completion = true;
  out.prompt = prompt;
  out.answer = answer;
  out.messages_json = dump(Json::array({message("user", prompt), message("assistant", answer)}));
  return out;
}
// prompt and completion are strings, or lists of messages whose completion is the answer.
Result<Example> prompt_completion(const Json& row) {
  if (row["prompt"].is_array()) {
    Json list = TRY(messages_of(row, "prompt"));
    Example out;
    out.given = list.size();
    for (auto& item : TRY(messages_of(row, "completion"))) list.push_back(item);
    out.kind = ExampleKind::chat;
    out.has_completion = true;
    out.messages_json = dump(list);
    return out;
  }
  Example out;
  out.kind = ExampleKind::prompt;
  out.has_completion = true;
  out.prompt = TRY(text_of(row, "prompt"));
  out.answer = TRY(text_of(row, "completion"));
  return out;
}
Result<Example> instruction(const Json& row, const std::string& answer_column) {
  std::string prompt = TRY(text_of(row, "instruction"));
  for (const std::string extra : {"input", "context"}) {
    if (!row.contains(extra) || row[extra].is_null()) continue;
    const std::string text = TRY(text_of(row, extra));
    if (!text.empty()) prompt += "\n\n" + text;
  }
  const std::string answer = TRY(text_of(row, answer_column));
  return question(prompt, answer);
}
Result<Example> plain(const Json& row, const std::string& column) {
  Example out;
  out.text = TRY(text_of(row, column));
  return out;
}
// The columns that the configuration names. response_column is "text" by default in KAITO.
Result<Example> configured(const Json& row, const TrainingConfig& config) {
  if (!config.messages_column.empty()) return chat(row, config.messages_column);
  if (config.context_column.empty()) return plain(row, config.response_column);
  const std::string prompt = TRY(text_of(row, config.context_column));
  const std::string answer = TRY(text_of(row, config.response_column));
  return question(prompt, answer);
}
}  // namespace

Result<Example> read_example(std::string_view row_json, const TrainingConfig& config) {
  const auto parsed = parse_json_object<Json>(row_json);
  if (!parsed.ok()) return Error{Code::invalid, "the row " + parsed.error().what};
  const Json& row = parsed.value();
  const auto has = [&row](const char* a, const char* b = nullptr) {
    return row.contains(a) && (b == nullptr || row.contains(b));
  };
  if (!config.messages_column.empty() || !config.response_column.empty())
    return configured(row, config);
  if (has("messages")) return chat(row, "messages");
  if (has("conversations")) return chat(row, "conversations");
  if (has("prompt", "completion")) return prompt_completion(row);
  if (has("question", "answer")) {
    const std::string prompt = TRY(text_of(row, "question"));
    const std::string answer = TRY(text_of(row, "answer"));
    return question(prompt, answer);
  }
  if (has("instruction", "output")) return instruction(row, "output");
  if (has("instruction", "response")) return instruction(row, "response");
  if (has("text")) return plain(row, "text");
  return Error{Code::invalid,
               "no known columns; the row has: " + columns_of(row) +
                   "; accepted: messages | conversations | prompt, completion | question, answer | "
                   "instruction[, input], output | text; or name them in DatasetConfig "
                   "(messages_column, context_column, response_column)"};
}
}  // namespace kairo::gpu
