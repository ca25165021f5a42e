// gpu/hf/tokenizer.h - a model's tokenizer and chat template, as Hugging Face's libraries read
// them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schemas/base/result.h"

struct kh_chat;
struct kh_turns;
namespace kairo::gpu {
struct Encoding {
  std::vector<std::int32_t> tokens;
  // Byte range of each token in the text, [begin, end). A token that is part of a character has
  // that character's range; a token added around the text has an empty range.
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
};
struct RenderedChat {
  std::string text;
  bool has_marks = false;  // the template says with {% generation %} what the model generates
  std::vector<std::pair<std::size_t, std::size_t>> generated;  // byte ranges of text, ascending
};
// A conversation that was read for its template. One thread at a time; the tokenizer must outlive
// it.
class Chat {
 public:
  // The first so many messages, or all if there are fewer. invalid: no message, or the template
  // refuses (its words are in the error).
  Result<RenderedChat> render(std::size_t messages, bool add_generation_prompt) const;

 private:
  friend class Tokenizer;
  struct Free {
    void operator()(kh_turns* turns) const;
  };
  const kh_chat* chat_ = nullptr;
  std::unique_ptr<kh_turns, Free> turns_;
  std::int64_t time_s_ = -1;
};
// As KAITO tells them apart: a template has a brace or a line end, a path has none.
bool is_template_text(std::string_view text_or_path);
// Immutable after load; any thread may use it. Text is UTF-8 of at most 64 MiB; else invalid.
class Tokenizer {
 public:
  // folder: tokenizer.json; tokenizer_config.json, chat_template.jinja and
  // additional_chat_templates/*.jinja where present. Templates are compiled here; what is wrong
  // with one is said by apply_chat.
  // not_found: no tokenizer.json. invalid: a file is not what its name says, or too large
  // (tokenizer.json: 256 MiB, its configuration: 16 MiB, a template: 1 MiB).
  static Result<Tokenizer> load(const std::string& folder);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();
  // add_special: what tokenizer.json's post-processor adds (e.g. a begin-of-text token).
  Result<std::vector<std::int32_t>> encode(std::string_view text, bool add_special) const;
  Result<Encoding> encode_with_ranges(std::string_view text, bool add_special) const;
  // invalid: a token outside the vocabulary's numbers (negative).
  Result<std::string> decode(std::span<const std::int32_t> tokens, bool skip_special) const;
  // messages_json: a JSON array of {"role", "content", ...}; tools_json: a JSON array, or empty.
  // The template "tool_use" renders chats with tools, "default" the others and where it is the only
  // one. As in transformers, a message's null members are as absent, and its reasoning_content,
  // thinking or reasoning (the first that is there) is seen as the first two.
  // variables_json: an object of further variables of the template (enable_thinking), or empty.
  // invalid: no template, or a text that is not as said.
  Result<Chat> read_chat(std::string_view messages_json, std::string_view tools_json = {},
                         std::string_view variables_json = {}) const;
  // Reads a chat and renders all of it.
  Result<RenderedChat> apply_chat(std::string_view messages_json, bool add_generation_prompt,
                                  std::string_view tools_json = {},
                                  std::string_view variables_json = {}) const;
  // Replaces all templates of the model: Jinja text, or the path of a file that holds it.
  Status set_chat_template(const std::string& text_or_path);
  // The time that templates see (Unix seconds), so that a run's rows are the same on another day.
  // Without it: the time of the rendering.
  void set_chat_time(std::int64_t unix_s) { chat_time_s_ = unix_s; }
  bool has_chat_template() const;
  // From tokenizer_config.json; empty or absent where it names none.
  const std::string& eos_text() const { return eos_text_; }
  std::optional<std::int32_t> eos() const { return eos_; }
  std::optional<std::int32_t> bos() const { return bos_; }
  // The number of an added or ordinary token by its exact text.
  std::optional<std::int32_t> id_of(const std::string& token) const;

 private:
  struct Handle;
  explicit Tokenizer(std::unique_ptr<Handle> handle);
  Status read_config(const std::string& folder);
  std::unique_ptr<Handle> handle_;
  std::string eos_text_;
  std::optional<std::int32_t> bos_, eos_;
  std::int64_t chat_time_s_ = -1;
};
// Detokenizer - text of a growing token sequence, in whole characters.
// A character split over tokens is held back until it is complete. One thread; the tokenizer must
// outlive it. Cost of a push: the tokens since the last complete character (64 at most).
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  // The text that this token completes; may be empty.
  Result<std::string> push(std::int32_t token);
  // What is still held back, with U+FFFD for what never became a character.
  Result<std::string> finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::vector<std::int32_t> window_;
  std::size_t prefix_tokens_ = 0;  // window_[0, prefix_tokens_) is given out; it is the context
};
}  // namespace kairo::gpu
