// gpu/engine/attention_rows.h - how many rows of queries meet the keys at a time.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// The scores of so many rows are in memory at once, per thread: the memory plan counts them.
constexpr std::int64_t query_block = 64;
}  // namespace kairo::gpu
