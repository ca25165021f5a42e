// gpu/engine/machine.h - what this process may use: cores, memory; and what it uses.
#pragma once
#include <cstdint>

namespace kairo::gpu {
int usable_cores();                  // affinity and the cgroup's cpu.max; at least 1
std::int64_t available_bytes();      // the smaller of MemAvailable and the cgroup's rest
std::int64_t resident_bytes();       // now; 0 when /proc is absent
std::int64_t peak_resident_bytes();  // so far
// OpenMP threads that wait by spinning take the cores from those that work when the machine is
// shared; sleeping at once costs a wake-up for each of a token's hundred small products. In between
// lies a short spin (2 cores, tokens/s of the server, alone and beside two busy processes:
// libgomp's default 60 and 14, sleeping 30 and 13, 1,000 spins 61 and 25). libgomp reads its
// settings before main, so the program starts itself once more with them. The user's own settings
// win.
void restart_with_short_spins(char** argv);
}  // namespace kairo::gpu
