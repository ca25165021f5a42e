// gpu/serve/prefix.h - which slot a prompt gets, and which computed tokens it goes on from.
#pragma once
#include <cstdint>
#include <span>

namespace kairo::gpu {
struct SlotState {
  std::span<const std::int32_t> tokens;  // whose keys and values it has
  int adapter;                           // that they were computed with
  bool is_free;
  std::uint64_t used;  // greater: later
};
// The prompt's first `tokens` are taken from slot `from`, which is `slot` itself or is copied.
struct Start {
  int slot = -1, from = -1, tokens = 0;
};
// The longest common prefix with the same adapter, the last token aside, whose logits are wanted.
// It is gone on from in place if the slot is free and loses at most half as much as it gives, so
// that a chat stays in its slot, but what only begins alike does not push it out; else it is copied
// to the free slot that was used least recently. At least one slot must be free.
// turns_at: a sequence longer than this has other keys than a shorter one.
Start start_of(std::span<const SlotState> slots, std::span<const std::int32_t> prompt, int adapter,
               int turns_at);
// Of the prompt's first tokens the most that one of these slots has, the last token aside.
int longest_prefix(std::span<const SlotState> slots, std::span<const std::int32_t> prompt,
                   int adapter, int turns_at);
}  // namespace kairo::gpu
