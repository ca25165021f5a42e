// gpu/formats/checkpoint.h - training state on disk: written whole or not at all, verified when
// read.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::gpu {
constexpr int checkpoints_kept = 2;

// What the order of summation depends on: another one gives other last bits. 0, "": not known.
struct ComputeShape {
  std::int64_t microbatch_tokens = 0, head_rows = 0, threads = 0;
  std::string instruction_set = {}, library = {};
  std::string products = {};  // products.h's name
  std::int64_t ranks = 1;     // processes whose gradients are summed
  bool operator==(const ComputeShape&) const = default;
};
// What a run's plan keeps at most, since a device had too little memory for more. -1: no limit.
struct PlanLimits {
  std::int64_t kept_layers = -1, cached_layers = -1;
  bool operator==(const PlanLimits&) const = default;
};
// What the evaluations of the held-out rows have said. Steps: -1: none yet.
struct Evaluated {
  std::int64_t step = -1, best_step = -1;
  double loss = 0, best_loss = 0;  // of the last, of the best
};
// Where a run stands. The same fingerprint = the same model, data, settings and adapter layout.
struct CheckpointState {
  std::string fingerprint;
  std::int64_t step = 0;    // optimizer steps finished
  std::int64_t tokens = 0;  // processed since the run began, over all attempts
  double loss = 0;          // of the last step
  ComputeShape shape;
  Evaluated evaluated = {};
  PlanLimits limits = {};
};
// The adapter's parameters and AdamW's two moments: equally long flat buffers, owned by the engine.
struct CheckpointBuffers {
  std::span<const float> parameters, first_moment, second_moment;
  std::span<const float> best_parameters = {};  // of evaluated.best_step, or empty: not kept
};
struct Checkpoint {
  CheckpointState state;
  std::vector<float> parameters, first_moment, second_moment, best_parameters;
};
// Writes dir/checkpoint-<step> through a temporary folder (fsync, rename, fsync), then removes all
// but the newest two up to this step. unavailable: disk full; the older checkpoints stay.
Status save_checkpoint(const std::string& dir, const CheckpointState& state,
                       const CheckpointBuffers& buffers);
// The newest checkpoint that verifies and whose fingerprint is the given one. not_found: none;
// what = why every candidate was passed over.
Result<Checkpoint> load_checkpoint(const std::string& dir, const std::string& fingerprint);
// Removes what a killed process left half written. No other process may be writing there.
void remove_unfinished_checkpoints(const std::string& dir);
}  // namespace kairo::gpu
