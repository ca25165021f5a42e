// gpu/hf/grammar.h - which tokens an answer may go on with: JSON schemas over a model's vocabulary.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

struct kh_grammar;
struct kh_vocabulary;
namespace kairo::gpu {
// A model's tokens as bytes. Immutable; any thread.
class Vocabulary {
 public:
  // folder: tokenizer.json. tokens: of the model's logits. stops: the tokens that end an answer.
  // invalid: a tokenizer that is neither byte-level nor has byte fallback, or no stop.
  static Result<Vocabulary> load(const std::string& folder, int tokens,
                                 std::span<const std::int32_t> stops);
  // What a token writes; of a special one its name. May be a part of a character.
  std::string bytes_of(std::int32_t token) const;

 private:
  friend class Grammar;
  struct Free {
    void operator()(kh_vocabulary* v) const;
  };
  std::unique_ptr<kh_vocabulary, Free> raw_;
};
// How far one answer has come. One thread at a time.
class Grammar {
 public:
  // schema: a JSON text. Properties come in its order. invalid: no schema, a keyword that is not
  // known, or too large a one. The vocabulary must outlive it.
  static Result<Grammar> of_schema(const Vocabulary& vocabulary, std::string_view schema);
  // allowed: bit t % 32 of word t / 32 says whether token t may come next; where the text can end,
  // the stops may. invalid: a limit of the library was met.
  Status mask(std::span<std::uint32_t> allowed);
  Status take(std::int32_t token);  // invalid: it may not come

 private:
  struct Free {
    void operator()(kh_grammar* g) const;
  };
  std::unique_ptr<kh_grammar, Free> raw_;
};
}  // namespace kairo::gpu
