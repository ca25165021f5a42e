// tests/gpu/serve/prefix_test.cpp - which slot a prompt gets, and what it goes on from.
#include "gpu/serve/prefix.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace kairo::gpu;
namespace {
constexpr int never = 1 << 20;
struct Has {
  std::vector<std::int32_t> tokens;
  int adapter = -1;
  bool is_free = true;
  std::uint64_t used = 0;
};
std::vector<std::int32_t> count(int from, int to) {
  std::vector<std::int32_t> out;
  for (int i = from; i < to; ++i) out.push_back(i);
  return out;
}
std::vector<std::int32_t> operator+(std::vector<std::int32_t> a,
                                    const std::vector<std::int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
}  // namespace

TEST_CASE("the longest common prefix, and where it is gone on from") {
  struct Row {
    std::string name;
    std::vector<Has> slots;
    std::vector<std::int32_t> prompt;
    int adapter, turns_at;
    Start start;  // slot, from, tokens
  };
  const auto ten = count(0, 10), other = count(50, 60);
  const Row rows[] = {
      {"all are empty: the first", {{}, {}}, ten, -1, never, {0, 0, 0}},
      {"nothing in common: what was used least recently",
       {{other, -1, true, 5}, {other, -1, true, 3}, {other, -1, true, 4}},
       ten,
       -1,
       never,
       {1, 1, 0}},
      {"nothing in common: an empty one was never used",
       {{other, -1, true, 5}, {{}, -1, true, 0}},
       ten,
       -1,
       never,
       {1, 1, 0}},
      {"nothing in common: what is busy is not taken",
       {{other, -1, false, 1}, {other, -1, true, 3}},
       ten,
       -1,
       never,
       {1, 1, 0}},
      {"a chat goes on in its slot",
       {{{}, -1, true, 0}, {count(0, 30), -1, true, 9}},
       count(0, 40),
       -1,
       never,
       {1, 1, 30}},
      {"the last token is fed: its logits are wanted",
       {{ten, -1, true, 9}, {{}, -1, true, 0}},
       ten,
       -1,
       never,
       {0, 0, 9}},
      {"half as much is lost as is given: in place",
       {{{}, -1, true, 0}, {count(0, 20) + other, -1, true, 9}},
       count(0, 40),
       -1,
       never,
       {1, 1, 20}},
      {"more is lost: copied to what was used least recently",
       {{{}, -1, true, 0}, {count(0, 19) + other, -1, true, 9}},
       count(0, 40),
       -1,
       never,
       {0, 1, 19}},
      {"that is the slot itself: in place whatever is lost",
       {{other, -1, true, 9}, {count(0, 3) + other, -1, true, 1}},
       ten,
       -1,
       never,
       {1, 1, 3}},
      {"the longest is busy: copied",
       {{count(0, 30), -1, false, 9}, {count(0, 5), -1, true, 8}},
       count(0, 40),
       -1,
       never,
       {1, 0, 30}},
      {"as long in a free slot as in a busy one: the free one",
       {{count(0, 20), -1, false, 1}, {count(0, 20), -1, true, 8}},
       count(0, 40),
       -1,
       never,
       {1, 1, 20}},
      {"as long in two: the one used least recently",
       {{count(0, 20), -1, true, 7}, {count(0, 20), -1, true, 6}},
       count(0, 40),
       -1,
       never,
       {1, 1, 20}},
      {"another adapter's are others",
       {{count(0, 30), 0, true, 9}, {{}, -1, true, 0}},
       count(0, 40),
       -1,
       never,
       {1, 1, 0}},
      {"the same adapter's are not",
       {{count(0, 30), 0, true, 9}, {{}, -1, true, 0}},
       count(0, 40),
       0,
       never,
       {0, 0, 30}},
      {"both are short: as long as it does not turn",
       {{count(0, 16), -1, true, 9}, {{}, -1, true, 0}},
       count(0, 16),
       -1,
       16,
       {0, 0, 15}},
      {"a prompt that turns goes on from nothing short",
       {{count(0, 16), -1, true, 9}, {{}, -1, true, 0}},
       count(0, 17),
       -1,
       16,
       {1, 1, 0}},
      {"a short one from nothing that has turned",
       {{count(0, 17), -1, true, 9}, {{}, -1, true, 0}},
       count(0, 12),
       -1,
       16,
       {1, 1, 0}},
      {"a cut back to before the turn would leave turned keys",
       {{count(0, 16) + other, -1, true, 9}, {{}, -1, true, 0}},
       count(0, 20),
       -1,
       16,
       {1, 1, 0}},
      {"both have turned, and so has what they share",
       {{count(0, 18) + count(90, 92), -1, true, 9}, {{}, -1, true, 0}},
       count(0, 20),
       -1,
       16,
       {0, 0, 18}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    std::vector<SlotState> slots;
    for (const Has& has : row.slots)
      slots.push_back({has.tokens, has.adapter, has.is_free, has.used});
    const Start start = start_of(slots, row.prompt, row.adapter, row.turns_at);
    CHECK(start.slot == row.start.slot);
    CHECK(start.from == row.start.from);
    CHECK(start.tokens == row.start.tokens);
  }
}
