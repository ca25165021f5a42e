// gpu/hf/grammar.cpp - over llguidance, in the Rust crate.
#include "gpu/hf/grammar.h"

#include <vector>

#include "gpu/hf/owned.h"

namespace kairo::gpu {
namespace {
constexpr std::size_t schema_bytes_max = 256 << 10;
}
void Vocabulary::Free::operator()(kh_vocabulary* v) const {
  kh_vocabulary_free(v);
}
void Grammar::Free::operator()(kh_grammar* g) const {
  kh_grammar_free(g);
}

Result<Vocabulary> Vocabulary::load(const std::string& folder, int tokens,
                                    std::span<const std::int32_t> stops) {
  const std::string path = folder + "/tokenizer.json";
  const std::vector<std::uint32_t> numbers(stops.begin(), stops.end());
  Vocabulary out;
  kh_vocabulary* raw = nullptr;
  OwnedBytes error;
  if (kh_vocabulary_load(path.data(), path.size(), static_cast<std::size_t>(tokens), numbers.data(),
                         numbers.size(), &raw, &error.raw) != 0)
    return Error{Code::invalid, "tokenizer.json: " + error.text()};
  out.raw_.reset(raw);
  return out;
}
std::string Vocabulary::bytes_of(std::int32_t token) const {
  OwnedBytes bytes, error;
  static_cast<void>(
      kh_vocabulary_bytes(raw_.get(), static_cast<std::uint32_t>(token), &bytes.raw, &error.raw));
  return bytes.text();
}

Result<Grammar> Grammar::of_schema(const Vocabulary& vocabulary, std::string_view schema) {
  if (schema.size() > schema_bytes_max)
    return Error{Code::invalid, "the schema has " + std::to_string(schema.size()) +
                                    " bytes; at most " + std::to_string(schema_bytes_max) +
                                    ": leave out what does not bind"};
  Grammar out;
  kh_grammar* raw = nullptr;
  OwnedBytes error;
  if (kh_grammar_of_schema(vocabulary.raw_.get(), schema.data(), schema.size(), &raw, &error.raw) !=
      0)
    return Error{Code::invalid, error.text()};
  out.raw_.reset(raw);
  return out;
}
Status Grammar::mask(std::span<std::uint32_t> allowed) {
  OwnedBytes error;
  if (kh_grammar_mask(raw_.get(), allowed.data(), allowed.size(), &error.raw) == 0) return ok();
  return Error{Code::invalid, error.text()};
}
Status Grammar::take(std::int32_t token) {
  OwnedBytes error;
  if (kh_grammar_take(raw_.get(), static_cast<std::uint32_t>(token), &error.raw) == 0) return ok();
  return Error{Code::invalid, error.text()};
}
}  // namespace kairo::gpu
