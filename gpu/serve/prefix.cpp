// gpu/serve/prefix.cpp
#include "gpu/serve/prefix.h"

#include <algorithm>

#include "schemas/base/assert.h"

namespace kairo::gpu {
namespace {
// Tokens of the prompt that it can go on from in this slot.
std::size_t reusable(const SlotState& slot, std::span<const std::int32_t> prompt, int adapter,
                     std::size_t turns_at) {
  if (slot.adapter != adapter || prompt.empty()) return 0;
  const auto last = prompt.end() - 1;
  const auto differs = std::mismatch(prompt.begin(), last, slot.tokens.begin(), slot.tokens.end());
  const auto common = static_cast<std::size_t>(differs.first - prompt.begin());
  // Past the turn all keys are others: on both sides or on neither.
  const bool fits = slot.tokens.size() > turns_at ? common > turns_at : prompt.size() <= turns_at;
  return fits ? common : 0;
}
}  // namespace

Start start_of(std::span<const SlotState> slots, std::span<const std::int32_t> prompt, int adapter,
               int turns_at) {
  std::size_t best = 0, oldest = slots.size(), tokens = 0;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const SlotState& slot = slots[i];
    if (slot.is_free && (oldest == slots.size() || slot.used < slots[oldest].used)) oldest = i;
    const std::size_t here = reusable(slot, prompt, adapter, static_cast<std::size_t>(turns_at));
    const auto rank = [](const SlotState& s) { return s.is_free ? s.used : UINT64_MAX; };
    if (here > tokens || (here == tokens && rank(slot) < rank(slots[best]))) best = i;
    tokens = std::max(tokens, here);
  }
  KAIRO_ASSERT(oldest < slots.size(), "a slot is free");
  if (tokens == 0) best = oldest;
  const std::size_t lost = slots[best].tokens.size() - tokens;
  const std::size_t slot = slots[best].is_free && 2 * lost <= tokens ? best : oldest;
  return {static_cast<int>(slot), static_cast<int>(best), static_cast<int>(tokens)};
}

int longest_prefix(std::span<const SlotState> slots, std::span<const std::int32_t> prompt,
                   int adapter, int turns_at) {
  std::size_t tokens = 0;
  for (const SlotState& slot : slots)
    tokens = std::max(tokens, reusable(slot, prompt, adapter, static_cast<std::size_t>(turns_at)));
  return static_cast<int>(tokens);
}
}  // namespace kairo::gpu
