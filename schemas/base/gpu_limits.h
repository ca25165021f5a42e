// schemas/base/gpu_limits.h - what kairo's own engine needs of NVIDIA's driver and GPUs: said by
// the trainer when it starts, and by the provisioner before it grants anything.
#pragma once
namespace kairo {
constexpr int needed_cuda = 13'000;     // that the driver runs: 13.0, as cuDriverGetVersion says it
constexpr int needed_driver = 580;      // the first branch that does
constexpr int needed_capability = 8;    // major compute capability: 8.0
}  // namespace kairo
