// gpu/data/masks.cpp - rendering, tokens, and the byte ranges of what the model shall learn to say.
#include "gpu/data/masks.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
using Json = nlohmann::ordered_json;
using ByteRange = std::pair<std::size_t, std::size_t>;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
// A token counts when any of its bytes lies in a range, as in transformers' assistant masks. Both
// lists ascend.
Row make_row(Encoding encoding, const std::vector<ByteRange>& ranges) {
  Row row;
  row.trained.assign(encoding.tokens.size(), 0);
  std::size_t r = 0;
  for (std::size_t i = 0; i < encoding.tokens.size(); ++i) {
    const auto [begin, end] = encoding.ranges[i];
    while (r < ranges.size() && ranges[r].second <= begin) ++r;
    if (r < ranges.size() && end > ranges[r].first && end > begin) row.trained[i] = 1;
  }
  row.tokens = std::move(encoding.tokens);
  if (!row.trained.empty()) row.trained[0] = 0;
  return row;
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
std::size_t end_by_content(std::string_view text, std::size_t begin, const Json& message,
                           const Tokenizer& tokenizer) {
  if (!message["content"].is_string()) return std::string_view::npos;
  const std::string content = message["content"].get<std::string>();
  const auto first = content.find_first_not_of(" \r\n\t");
  if (first == std::string::npos) return std::string_view::npos;
  const auto last = content.find_last_not_of(" \r\n\t");
  const std::string core = content.substr(first, last - first + 1);
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
  const auto header = std::string_view(with).substr(without.size());
  const auto at = text.find(header);
  return at == std::string_view::npos ? at : at + header.size();
}
// The assistant turns of a chat whose template marks nothing. A turn begins where the rendering of
// the turns before it, with the generation prompt, ends.
Result<std::vector<ByteRange>> assistant_turns(const Example& example, const std::string& text,
                                               const Tokenizer& tokenizer) {
  const Json messages = TRY(parse_json<Json>(example.messages_json));
  std::vector<ByteRange> out;
  Json before = Json::array();
  for (const auto& message : messages) {
    if (message["role"] != "assistant" || before.size() < example.given) {
      before.push_back(message);
      continue;
    }
    std::size_t begin = std::string::npos, end = std::string::npos;
    if (before.empty()) {
      begin = TRY(begin_of_first(text, tokenizer));
    } else {
      const auto head = TRY(tokenizer.apply_chat(dump(before), true, example.tools_json)).text;
      if (text.starts_with(head)) begin = head.size();
    }
    before.push_back(message);
    const auto upto = TRY(tokenizer.apply_chat(dump(before), false, example.tools_json)).text;
    if (begin != std::string::npos)
      end = text.starts_with(upto) ? without_line_end(upto, tokenizer)
                                   : end_by_content(text, begin, message, tokenizer);
    if (begin == std::string::npos || end == std::string::npos || end < begin)
      return Error{Code::invalid,
                   "message " + std::to_string(before.size()) +
                       " (assistant) is not found in the rendered chat, so its tokens cannot be "
                       "told from the others; use a chat template with {% generation %}, or set "
                       "DatasetConfig.loss_on: all"};
    out.emplace_back(begin, end);
  }
  return out;
}
Result<Row> tokenise_chat(const Example& example, LossOn loss_on, const Tokenizer& tokenizer) {
  const auto chat = TRY(tokenizer.apply_chat(example.messages_json, false, example.tools_json));
  auto encoding = TRY(tokenizer.encode_with_ranges(chat.text, false));
  if (loss_on == LossOn::all) return make_row(std::move(encoding), {{0, chat.text.size()}});
  if (chat.has_marks) {
    auto generated = chat.generated;
    if (example.given > 0) {  // the prompt's blocks come first
      auto prompt = TRY(parse_json<Json>(example.messages_json));
      prompt.erase(prompt.begin() + static_cast<std::ptrdiff_t>(example.given), prompt.end());
      const auto given = TRY(tokenizer.apply_chat(dump(prompt), false, example.tools_json));
      generated.erase(generated.begin(),
                      generated.begin() + static_cast<std::ptrdiff_t>(
                                              std::min(given.generated.size(), generated.size())));
    }
    return make_row(std::move(encoding), generated);
  }
  return make_row(std::move(encoding), TRY(assistant_turns(example, chat.text, tokenizer)));
}
// prompt + answer + the end-of-text token, as trl joins prompt and completion.
Result<Row> tokenise_text(const std::string& prompt, const std::string& answer, LossOn loss_on,
                          const Tokenizer& tokenizer) {
  std::string text = prompt + answer;
  if (!text.ends_with(tokenizer.eos_text())) text += tokenizer.eos_text();
  auto encoding = TRY(tokenizer.encode_with_ranges(text, true));
  const std::size_t begin = loss_on == LossOn::all ? 0 : prompt.size();
  return make_row(std::move(encoding), {{begin, text.size()}});
}
}  // namespace

Result<Row> tokenise(const Example& example, LossOn loss_on, const Tokenizer& tokenizer) {
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

bool cut(Row& row, std::size_t max) {
  if (row.tokens.size() <= max) return false;
  row.tokens.resize(max);
  row.trained.resize(max);
  return true;
}
}  // namespace kairo::gpu
