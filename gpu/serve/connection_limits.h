// gpu/serve/connection_limits.h - how many clients, and for how long.
#pragma once
#include <chrono>
#include <cstddef>

namespace kairo::gpu {
struct ConnectionLimits {
  std::size_t connections = 200;   // at a time
  std::chrono::seconds idle{120};  // without a request
  // For a whole request, or for a reply's next piece; more by a second for each 64 KiB.
  std::chrono::milliseconds patience{10'000};
};
}  // namespace kairo::gpu
