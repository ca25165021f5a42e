// gpu/data/example.cpp - which columns a row has, and what they say.
#include "gpu/data/example.h"

#include <functional>
#include <utility>

#include "gpu/data/messages.h"

namespace kairo::gpu {
namespace {
using Json = RowJson;

Error no_column(const Json& row, const std::string& column) {
  return {Code::invalid, "no column \"" + column + "\"; the row has: " + names_of(row)};
}
bool has(const Json& row, const std::string& column) {
  const auto at = row.find(column);
  return at != row.end() && !at->is_null();
}
Result<std::string> text_of(const Json& row, const std::string& column) {
  const auto at = row.find(column);
  if (at == row.end()) return no_column(row, column);
  if (const auto number = text_of_number(*at); !number.empty()) return number;  // as an answer
  if (!at->is_string()) return wrong_type(column, *at, "a string");
  return at->get<std::string>();
}
Json message(const std::string& role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}
// The text of a system prompt that stands in a column of its own; "" for none.
Result<std::string> system_of(const Json& row) {
  for (const std::string column : {"system", "system_prompt"})
    if (has(row, column)) {
      const std::string text = TRY(text_of(row, column));
      if (!text.empty()) return text;
    }
  return std::string();
}
// Earlier turns in a column of their own: pairs [question, answer], or messages.
Result<Messages> history_of(const Json& row) {
  Messages out;
  if (!has(row, "history")) return out;
  const Json list = unpacked(row["history"]);
  if (list == "" || (list.is_array() && list.empty())) return out;
  if (list.is_array() && list[0].is_object()) return read_messages(list, "history");
  const std::string wanted = "a list of pairs [question, answer], or of messages";
  if (!list.is_array()) return wrong_type("history", row["history"], wanted);
  for (const auto& pair : list) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      return wrong_type("history[" + std::to_string(out.list.size() / 2) + "]", pair, wanted);
    out.list.push_back(message("user", pair[0].get<std::string>()));
    out.list.push_back(message("assistant", pair[1].get<std::string>()));
  }
  return out;
}
void append(Messages& to, Messages more) {
  for (const auto i : more.untrained) to.untrained.push_back(to.list.size() + i);
  for (auto& item : more.list) to.list.push_back(std::move(item));
}
// trl's chat_template_kwargs: what the template sees beside the messages; "" for none.
Result<std::string> variables_of(const Json& row) {
  const std::string column = "chat_template_kwargs";
  if (!has(row, column) || row[column] == "") return std::string();
  const Json variables = unpacked(row[column]);
  if (!variables.is_object())
    return wrong_type(column, row[column], "an object of template variables");
  for (const std::string taken : {"messages", "tools", "documents", "add_generation_prompt"})
    if (variables.contains(taken))
      return Error{Code::invalid, "column \"" + column + "\" sets \"" + taken +
                                      "\", which has a column of its own or is set here: take it "
                                      "out"};
  return variables.empty() ? std::string() : dump_row(variables);
}
// Pictures and sound beside the text: the answer would be trained without what it is about.
Status only_text(const Json& row) {
  for (const std::string column : {"images", "image", "videos", "video", "audios", "audio"})
    if (has(row, column) && !row[column].empty() && row[column] != "")
      return Error{Code::invalid, "column \"" + column +
                                      "\" stands beside the text: images and sound are not "
                                      "trained; take it out to train the text alone"};
  return ok();
}
// The turns with what stands beside them: a system prompt, earlier turns, tools.
Result<Example> chat(const Json& row, Messages turns) {
  if (has(row, "functions"))
    return Error{Code::invalid,
                 "column \"functions\" is OpenAI's old form: write it as \"tools\": [{\"type\": "
                 "\"function\", \"function\": ...}]"};
  TRY(only_text(row));
  Example out;
  out.kind = ExampleKind::chat;
  Messages all;
  const std::string system = TRY(system_of(row));
  if (!system.empty()) {
    const Json said = message("system", system);
    if (turns.list[0]["role"] != "system")
      all.list.push_back(said);
    else if (turns.list[0]["content"] != system)
      return Error{Code::invalid,
                   "the row has a system prompt in a column of its own, and its messages begin "
                   "with another one: keep one of them"};
  }
  append(all, TRY(history_of(row)));
  append(all, std::move(turns));
  out.untrained = std::move(all.untrained);
  for (const auto& item : all.list) {
    const auto content = item.find("content");
    const bool is_text = content != item.end() && content->is_string();
    out.turns.push_back(
        {item["role"].get<std::string>(), is_text ? content->get<std::string>() : ""});
  }
  out.messages_json = dump_row(all.list);
  out.variables_json = TRY(variables_of(row));
  if (!row.contains("tools")) return out;
  const Json tools = TRY(read_tools(row["tools"]));
  if (!tools.empty()) out.tools_json = dump_row(tools);
  return out;
}
Result<Example> conversation(const Json& row, const std::string& column) {
  if (!row.contains(column)) return no_column(row, column);
  return chat(row, TRY(read_messages(row[column], column)));
}
Result<Example> question(const Json& row, const std::string& prompt, const std::string& answer) {
  Messages turns;
  turns.list = Json::array({message("user", prompt), message("assistant", answer)});
  Example out = TRY(chat(row, std::move(turns)));
  out.has_completion = true;
  out.is_question = !has(row, "history");
  const std::string system = TRY(system_of(row));
  out.prompt = system.empty() ? prompt : system + "\n\n" + prompt;
  out.answer = answer;
  return out;
}
// What a prompt that is joined with its answer as text has no place for.
Status nothing_beside(const Json& row) {
  for (const std::string column : {"system", "system_prompt", "history", "tools"})
    if (has(row, column) && !row[column].empty() && row[column] != "")
      return Error{Code::invalid, "column \"" + column +
                                      "\" stands beside a prompt that is plain text: write prompt "
                                      "and completion as lists of messages, or take it out"};
  return ok();
}
// prompt and completion are strings, or lists of messages whose completion is the answer.
Result<Example> prompt_completion(const Json& row) {
  if (row["prompt"].is_array()) {
    Messages turns = TRY(read_messages(row["prompt"], "prompt"));
    Messages answer = TRY(read_messages(row["completion"], "completion"));
    const std::size_t answers = answer.list.size();
    append(turns, std::move(answer));
    Example out = TRY(chat(row, std::move(turns)));
    out.has_completion = true;
    out.given = out.turns.size() - answers;
    return out;
  }
  TRY(nothing_beside(row));
  TRY(only_text(row));
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
    if (!has(row, extra)) continue;
    const std::string text = TRY(text_of(row, extra));
    if (!text.empty()) prompt += "\n\n" + text;
  }
  const std::string answer = TRY(text_of(row, answer_column));
  return question(row, prompt, answer);
}
Result<Example> asked(const Json& row, const std::string& context, const std::string& response) {
  const std::string prompt = TRY(text_of(row, context));
  const std::string answer = TRY(text_of(row, response));
  return question(row, prompt, answer);
}
Result<Example> plain(const Json& row, const std::string& column) {
  Example out;
  out.text = TRY(text_of(row, column));
  return out;
}
// The columns that the configuration names. response_column is "text" by default in KAITO.
Result<Example> configured(const Json& row, const TrainingConfig& config) {
  if (!config.messages_column.empty()) return conversation(row, config.messages_column);
  if (config.context_column.empty()) return plain(row, config.response_column);
  return asked(row, config.context_column, config.response_column);
}
// The reading for the first kind whose columns are there; nothing when the row is of no kind.
using Reader = std::function<Result<Example>()>;
template <class There>
Reader reader_of(const Json& row, const There& there) {
  for (const std::string list : {"messages", "conversations"})
    if (there(list)) return [&row, list] { return conversation(row, list); };
  if (there("prompt") && there("completion")) return [&row] { return prompt_completion(row); };
  for (const std::string answer : {"answer", "response"})
    if (there("question") && there(answer))
      return [&row, answer] { return asked(row, "question", answer); };
  for (const std::string answer : {"output", "response"})
    if (there("instruction") && there(answer))
      return [&row, answer] { return instruction(row, answer); };
  if (there("text")) return [&row] { return plain(row, "text"); };
  return nullptr;
}
Result<Example> read(const Json& row, const TrainingConfig& config) {
  if (!config.messages_column.empty() || !config.response_column.empty())
    return configured(row, config);
  // A file that mixes kinds has nulls in the other kinds' columns. Where every kind has one, the
  // error names it.
  Reader reader = reader_of(row, [&](const std::string& name) { return has(row, name); });
  if (!reader) reader = reader_of(row, [&](const std::string& name) { return row.contains(name); });
  if (reader) return reader();
  return Error{Code::invalid,
               "no known columns; the row has: " + names_of(row) +
                   "; accepted: messages | conversations | prompt, completion | question, answer | "
                   "instruction[, input], output | text; or name them in DatasetConfig "
                   "(messages_column, context_column, response_column)"};
}
}  // namespace

Result<Example> read_example(std::string_view row_json, const TrainingConfig& config,
                             bool is_arrow) {
  const auto parsed = parse_row(row_json);
  if (!parsed.ok()) return Error{Code::invalid, "the row " + parsed.error().what};
  if (!parsed.value().is_object()) return Error{Code::invalid, "the row is not a JSON object"};
  if (!is_arrow) return read(parsed.value(), config);
  Json row = parsed.value();
  std::size_t dropped = 0;
  for (auto& column : row.items()) dropped += drop_nulls(column.value());
  Example out = TRY(read(row, config));
  out.nulls_dropped = dropped;
  return out;
}
}  // namespace kairo::gpu
