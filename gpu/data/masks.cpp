// gpu/data/masks.cpp - rendering, tokens, and which of them the model shall learn to say.
#include "gpu/data/masks.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gpu/data/row_json.h"

namespace kairo::gpu {
namespace {
// Tokens [first, last) of a row.
struct Span {
  std::size_t first = 0, last = 0;
};

// The tokens of which any byte lies in [begin, end), as in transformers' assistant masks. A chat's
// ranges ascend.
Span tokens_in(const Encoding& e, std::size_t begin, std::size_t end) {
  const auto first = std::partition_point(e.ranges.begin(), e.ranges.end(),
                                          [&](const auto& r) { return r.second <= begin; });
  const auto last =
      std::partition_point(first, e.ranges.end(), [&](const auto& r) { return r.first < end; });
  return {static_cast<std::size_t>(first - e.ranges.begin()),
          static_cast<std::size_t>(last - e.ranges.begin())};
}
std::size_t common_prefix(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  const auto parted = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(parted.first - a.begin());
}
Row row_of(std::vector<std::int32_t> tokens, bool trained) {
  Row row;
  row.trained.assign(tokens.size(), trained ? 1 : 0);
  row.tokens = std::move(tokens);
  return row;
}
void mark_trained(Row& row, Span span, bool trained) {
  for (std::size_t i = span.first; i < span.last; ++i) row.trained[i] = trained ? 1 : 0;
}
bool is_special_at_end(std::string_view text, const Tokenizer& tokenizer) {
  const auto open = text.rfind('<');
  return text.ends_with('>') && open != std::string_view::npos &&
         tokenizer.id_of(std::string(text.substr(open))).has_value();
}
// Templates put a line end behind the end-of-turn token; generation stops before it.
std::size_t without_line_end(std::string_view text, const Tokenizer& tokenizer) {
  const auto last = text.find_last_not_of(" \r\n\t");
  if (last == std::string_view::npos) return text.size();
  return is_special_at_end(text.substr(0, last + 1), tokenizer) ? last + 1 : text.size();
}
// Where a turn ends when later turns change how it is rendered: behind its content and the token
// that follows it.
std::size_t end_by_content(std::string_view text, std::size_t begin, std::string_view words,
                           const Tokenizer& tokenizer) {
  const auto first = words.find_first_not_of(" \r\n\t");
  if (first == std::string_view::npos) return first;
  const auto last = words.find_last_not_of(" \r\n\t");
  const auto core = words.substr(first, last - first + 1);
  const auto at = text.find(core, begin);
  if (at == std::string_view::npos) return at;
  const std::size_t end = at + core.size();
  const auto close = text.find('>', end);
  if (close != std::string_view::npos &&
      is_special_at_end(text.substr(end, close + 1 - end), tokenizer))
    return close + 1;
  return end;
}
// Where the answer begins in a chat that begins with the assistant: a template may put a system
// prompt of its own before it, or refuse to render no messages at all. npos: not found.
Result<std::size_t> begin_of_first(std::string_view text, const Tokenizer& tokenizer) {
  const std::string anyone = R"([{"role":"user","content":"x"}])";
  const auto with = TRY(tokenizer.apply_chat(anyone, true)).text;
  const auto without = TRY(tokenizer.apply_chat(anyone, false)).text;
  if (!with.starts_with(without) || with.size() == without.size()) return std::string::npos;
  auto header = std::string_view(with).substr(without.size());
  for (;;) {  // lines that only the generation prompt has (an empty think block) come last
    const auto at = text.find(header);
    if (at != std::string_view::npos) return at + header.size();
    const auto line_end = header.substr(0, header.size() - 1).rfind('\n');
    if (line_end == std::string_view::npos) return std::string::npos;
    header = header.substr(0, line_end + 1);
  }
}
// A chat as it was rendered, and what asks the template again.
struct Rendered {
  const Example& example;
  const std::vector<Turn>& turns;
  const Tokenizer& tokenizer;
  const Chat& of;
  RenderedChat chat;
  Encoding encoding;
};
// How many tokens of the chat are those of `head`, with which its text begins. The tokenizer splits
// at special tokens, so only what follows the last one before head's end has to be encoded again.
Result<std::size_t> tokens_of_head(std::string_view head, const Rendered& r) {
  const auto& ranges = r.encoding.ranges;
  std::size_t at = tokens_in(r.encoding, 0, head.size()).last;
  constexpr std::size_t looked_at_max = 64;
  for (std::size_t looked = 0; at > 0 && looked < looked_at_max; ++looked) {
    const auto [begin, end] = ranges[--at];
    if (begin >= end || end > head.size()) continue;
    const std::string piece(head.substr(begin, end - begin));
    if (piece.size() < 3 || piece.front() != '<' || piece.back() != '>' ||
        r.tokenizer.id_of(piece) != r.encoding.tokens[at])
      continue;
    const auto tail = TRY(r.tokenizer.encode(head.substr(begin), false));
    const std::vector<std::int32_t> rest(
        r.encoding.tokens.begin() + static_cast<std::ptrdiff_t>(at), r.encoding.tokens.end());
    return at + common_prefix(tail, rest);
  }
  return common_prefix(TRY(r.tokenizer.encode(head, false)), r.encoding.tokens);
}
// The first token of the answer to the first `count` turns: where the ids of those turns with the
// generation prompt part from the ids of the chat. What only the generation prompt has (an empty
// think block) lies behind that place. Nothing: the turns are rendered otherwise in the whole chat.
Result<std::optional<std::size_t>> first_token_after(std::size_t count, const Rendered& r) {
  using Found = std::optional<std::size_t>;
  const std::string& text = r.chat.text;
  if (count == 0) {
    const std::size_t begin = TRY(begin_of_first(text, r.tokenizer));
    if (begin == std::string::npos) return Found();
    return Found(tokens_in(r.encoding, begin, text.size()).first);
  }
  const auto head = TRY(r.of.render(count, true)).text;
  if (text.starts_with(head)) return Found(TRY(tokens_of_head(head, r)));
  const std::size_t parted = common_prefix(TRY(r.tokenizer.encode(head, false)), r.encoding.tokens);
  const auto turns = TRY(r.of.render(count, false)).text;
  const bool has_header = text.starts_with(turns) && parted < r.encoding.ranges.size() &&
                          r.encoding.ranges[parted].first > turns.size();
  return has_header ? Found(parted) : Found();
}
// The same where the turns before are rendered otherwise once there is an answer (Mistral's
// templates put the system prompt before the last question): where the chat parts from one in which
// the message says something else.
Result<std::optional<std::size_t>> first_token_of_words(std::size_t index, const Rendered& r) {
  using Found = std::optional<std::size_t>;
  RowJson messages = TRY(parse_row(r.example.messages_json));
  const auto content = messages[index].find("content");
  if (content == messages[index].end() || r.turns[index].words.empty()) return Found();
  *content = "\uE000";
  const Chat other = TRY(
      r.tokenizer.read_chat(dump_row(messages), r.example.tools_json, r.example.variables_json));
  const auto text = TRY(other.render(r.turns.size(), false)).text;
  const auto parted =
      std::mismatch(text.begin(), text.end(), r.chat.text.begin(), r.chat.text.end());
  if (std::string_view(text)
          .substr(static_cast<std::size_t>(parted.first - text.begin()))
          .starts_with("\uE000"))
    return Found(tokens_in(r.encoding, static_cast<std::size_t>(parted.first - text.begin()),
                           r.chat.text.size())
                     .first);
  return Found();
}
// The answer that message `index` is, in a chat whose template marks nothing: from behind its
// header through its end-of-turn token.
Result<Span> answer_span(std::size_t index, const Rendered& r) {
  const std::string_view text = r.chat.text;
  auto first = TRY(first_token_after(index, r));
  if (!first) first = TRY(first_token_of_words(index, r));
  std::size_t end = std::string_view::npos;
  if (first && *first < r.encoding.ranges.size()) {
    const bool is_last = index + 1 == r.turns.size();
    const auto upto = is_last ? r.chat.text : TRY(r.of.render(index + 1, false)).text;
    const std::size_t begin = r.encoding.ranges[*first].first;
    end = text.starts_with(upto) ? without_line_end(upto, r.tokenizer)
                                 : end_by_content(text, begin, r.turns[index].words, r.tokenizer);
    if (end != std::string_view::npos && end >= begin)
      return Span{*first, std::max(*first, tokens_in(r.encoding, begin, end).last)};
  }
  return Error{Code::invalid,
               "message " + std::to_string(index + 1) +
                   " (assistant) is not found in the rendered chat, so its tokens cannot be "
                   "told from the others; use a chat template with {% generation %}, or set "
                   "DatasetConfig.loss_on: all"};
}
// How many generation blocks the first `count` messages make.
Result<std::size_t> blocks_before(std::size_t count, const Rendered& r) {
  if (count == 0) return std::size_t{0};
  if (count == r.turns.size()) return r.chat.generated.size();
  return std::min(TRY(r.of.render(count, false)).generated.size(), r.chat.generated.size());
}
// Sets the tokens of message `index` to trained or not.
Status mark_message(Row& row, std::size_t index, bool trained, const Rendered& r) {
  if (!r.chat.has_marks) {
    mark_trained(row, TRY(answer_span(index, r)), trained);
    return ok();
  }
  const std::size_t end = TRY(blocks_before(index + 1, r));
  for (std::size_t i = TRY(blocks_before(index, r)); i < end; ++i) {
    const auto [from, to] = r.chat.generated[i];
    mark_trained(row, tokens_in(r.encoding, from, to), trained);
  }
  return ok();
}
Result<Row> tokenise_chat(const Example& example, LossOn loss_on, const Tokenizer& tokenizer) {
  const Chat of =
      TRY(tokenizer.read_chat(example.messages_json, example.tools_json, example.variables_json));
  auto chat = TRY(of.render(example.turns.size(), false));
  const bool all = loss_on == LossOn::all;
  if (all && example.untrained.empty())
    return row_of(TRY(tokenizer.encode(chat.text, false)), true);
  auto encoding = TRY(tokenizer.encode_with_ranges(chat.text, false));
  const Rendered r{example, example.turns, tokenizer, of, std::move(chat), std::move(encoding)};
  Row row = row_of(r.encoding.tokens, all);
  if (r.chat.has_marks && !all) {
    for (const auto& [from, to] : r.chat.generated)
      mark_trained(row, tokens_in(r.encoding, from, to), true);
    const std::size_t given = TRY(blocks_before(example.given, r));  // the prompt's come first
    for (std::size_t i = 0; i < given; ++i)
      mark_trained(
          row, tokens_in(r.encoding, r.chat.generated[i].first, r.chat.generated[i].second), false);
  }
  for (std::size_t i = 0; i < r.turns.size(); ++i) {
    if (r.turns[i].role != "assistant") continue;
    const auto& untrained = example.untrained;
    const bool is_off = std::find(untrained.begin(), untrained.end(), i) != untrained.end();
    if (is_off)
      TRY(mark_message(row, i, false, r));
    else if (!all && !r.chat.has_marks && i >= example.given)
      TRY(mark_message(row, i, true, r));
  }
  return row;
}
// prompt + answer + the end-of-text token, as trl joins prompt and completion. The answer is what
// follows the ids that the prompt alone has, too: a blank at the prompt's end may have become part
// of the answer's first token.
Result<Row> tokenise_text(const std::string& prompt, const std::string& answer, LossOn loss_on,
                          const Tokenizer& tokenizer) {
  std::string text = prompt + answer;
  if (!text.ends_with(tokenizer.eos_text())) text += tokenizer.eos_text();
  Row row = row_of(TRY(tokenizer.encode(text, true)), true);
  if (loss_on == LossOn::all) return row;
  mark_trained(row, {0, common_prefix(TRY(tokenizer.encode(prompt, true)), row.tokens)}, false);
  return row;
}
Result<Row> any_row(const Example& example, LossOn loss_on, const Tokenizer& tokenizer) {
  switch (example.kind) {
    case ExampleKind::chat:
      if (example.is_question && !tokenizer.has_chat_template())
        return tokenise_text(example.prompt + "\n", example.answer, loss_on, tokenizer);
      return tokenise_chat(example, loss_on, tokenizer);
    case ExampleKind::prompt:
      return tokenise_text(example.prompt, example.answer, loss_on, tokenizer);
    case ExampleKind::text:
      return tokenise_text("", example.text, LossOn::all, tokenizer);
  }
  return Error{Code::invalid, "the row is of no known kind"};
}
}  // namespace

Result<Row> tokenise(const Example& example, LossOn loss_on, const Tokenizer& tokenizer) {
  Row row = TRY(any_row(example, loss_on, tokenizer));
  if (!row.trained.empty()) row.trained[0] = 0;
  return row;
}

std::string why_untrained(const Example& example) {
  if (example.kind != ExampleKind::chat) return "";
  std::string roles;
  std::size_t answers = 0;
  for (const auto& [role, words] : example.turns) {
    if (role == "assistant") ++answers;
    if (roles.find(role) == std::string::npos && roles.size() < 100)
      roles += (roles.empty() ? "" : ", ") + role;
  }
  if (answers == 0) return "no message has the role assistant; there are: " + roles;
  return answers == example.untrained.size() ? "every assistant message has weight 0" : "";
}

bool cut(Row& row, std::size_t max) {
  if (row.tokens.size() <= max) return false;
  row.tokens.resize(max);
  row.trained.resize(max);
  return true;
}
}  // namespace kairo::gpu
