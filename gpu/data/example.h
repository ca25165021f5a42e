// gpu/data/example.h - one data row as what it means: a chat, a prompt with its answer, or text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/formats/training_config.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
enum class ExampleKind : std::uint8_t {
  chat,    // messages_json
  prompt,  // prompt and answer, joined as they are (prompt/completion)
  text,    // text
};
struct Turn {
  std::string role;
  std::string words;  // its content, where that is text
};
struct Example {
  ExampleKind kind = ExampleKind::text;
  std::string messages_json;   // of chat: [{"role", "content", ...}, ...]
  std::vector<Turn> turns;     // of chat: who speaks in each of the messages, and what
  std::string tools_json;      // of chat: a JSON array, or empty
  std::string variables_json;  // of chat: an object of template variables, or empty
  bool is_question = false;    // of chat: made of a question and an answer; may fall back to prompt
  bool has_completion = false;  // a question or prompt with its answer, not a conversation
  std::size_t given = 0;        // of chat: so many messages are the prompt, trained in no case
  std::vector<std::size_t> untrained;  // of chat: messages that the row keeps from training
  std::string prompt, answer, text;
  std::size_t nulls_dropped = 0;  // members that Arrow filled in
};
// row_json: one JSON object. The columns are found as dataset.h says. is_arrow: the row is of a
// file whose structs have every member in every row, null where the row had none.
// invalid: none of the known columns, or one of a wrong type: names both what is there and what is
// accepted (not file and row: the caller knows them).
Result<Example> read_example(std::string_view row_json, const TrainingConfig& config,
                             bool is_arrow = false);
}  // namespace kairo::gpu
