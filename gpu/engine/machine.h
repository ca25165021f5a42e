// gpu/engine/machine.h - what this process may use: cores, memory; and what it uses.
#pragma once
#include <cstdint>

namespace kairo::gpu {
int usable_cores();                  // affinity and the cgroup's cpu.max; at least 1
std::int64_t available_bytes();      // the smaller of MemAvailable and the cgroup's rest
std::int64_t resident_bytes();       // now; 0 when /proc is absent
std::int64_t peak_resident_bytes();  // so far
}  // namespace kairo::gpu
