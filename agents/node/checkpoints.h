// agents/node/checkpoints.h - a run's checkpoint that another node has left in the registry.
#pragma once
#include <cstdint>
#include <string>

#include "schemas/base/result.h"

namespace kairo::node {
struct CheckpointWish {
  std::string uid, ns, revision;
  std::string run_dir;
  std::string image;   // that has it
  std::string secret;  // of the namespace, to pull it; "" = none
  std::uint32_t step = 0;
};
class Checkpoints {  // thread-safe
 public:
  virtual ~Checkpoints() = default;
  // Into the run directory, unless one as new lies there; whether it fits is the trainer's to say.
  // Returns what people are told: which was brought, or that it is gone, and the training begins
  // anew; "" = one lay there. unavailable: it is tried again, for somebody may mend what stands in
  // the way.
  virtual Result<std::string> bring(const CheckpointWish& wish) = 0;
};
}  // namespace kairo::node
