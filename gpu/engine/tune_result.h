// gpu/engine/tune_result.h - what a run leaves: the adapter, and last of all the file that says
// whose it is, fine_tuning_completed.txt.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "gpu/engine/tune.h"
#include "gpu/formats/adapter.h"

namespace kairo::gpu {
// Whether output_dir holds the result of the very run of this fingerprint. What another run said is
// removed. unavailable, internal: it could not be.
Result<bool> find_result(const TuneJob& job, const std::string& fingerprint);
// The adapter of those parameters, which are the engine's or as many, into output_dir.
Status write_result(const TuneJob& job, const std::string& fingerprint, const Engine& engine,
                    std::span<const float> parameters);
// The result, which is whole in output_dir, into copy_dir, if there is one; after a restart again.
Status copy_result(const TuneJob& job);
// The adapter's matrices under peft's names; views into parameters, which are in layout's order.
std::vector<TensorToWrite> adapter_tensors(const LoraLayout& layout,
                                           std::span<const float> parameters);
}  // namespace kairo::gpu
