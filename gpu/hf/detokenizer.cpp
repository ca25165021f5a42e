// gpu/hf/detokenizer.cpp - whole characters out of a growing token sequence.
#include "gpu/hf/tokenizer.h"

namespace kairo::gpu {
namespace {
// A character has at most four bytes, so no character is split over more tokens than these.
constexpr std::size_t held_back_max = 64;
constexpr std::string_view replacement = "\xEF\xBF\xBD";

// The part of whole that follows prefix; where they disagree nothing is new yet.
std::string after(const std::string& whole, const std::string& prefix) {
  return whole.size() > prefix.size() ? whole.substr(prefix.size()) : std::string();
}
}  // namespace

// Decoders look at neighbours (a leading space, merged bytes), so the difference of two decodes is
// taken: with and without the new tokens, after the same context.
Result<std::string> Detokenizer::push(std::int32_t token) {
  window_.push_back(token);
  const std::span<const std::int32_t> all(window_);
  const std::string before = TRY(tokenizer_.decode(all.first(prefix_tokens_), skip_special_));
  const std::string now = TRY(tokenizer_.decode(all, skip_special_));
  const bool incomplete = now.ends_with(replacement);
  if (incomplete && window_.size() - prefix_tokens_ < held_back_max) return std::string();
  std::string out = after(now, before);
  window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(prefix_tokens_));
  prefix_tokens_ = window_.size();
  return out;
}

Result<std::string> Detokenizer::finish() {
  const std::span<const std::int32_t> all(window_);
  const std::string before = TRY(tokenizer_.decode(all.first(prefix_tokens_), skip_special_));
  const std::string now = TRY(tokenizer_.decode(all, skip_special_));
  window_.clear();
  prefix_tokens_ = 0;
  return after(now, before);
}
}  // namespace kairo::gpu
