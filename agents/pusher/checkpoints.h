// agents/pusher/checkpoints.h - checkpoints in the registry, as the pusher agent sees them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "schemas/base/result.h"

namespace kairo::pusher {
struct CheckpointJob {
  std::string uid;  // of the Workspace; one push at a time for each
  std::string
      output;  // its image's reference: the checkpoint lies beside it, under a tag of its own
  std::string run_dir;           // on this node
  std::uint32_t known_step = 0;  // is there already
  // The Secret's text; "" = anonymous. Asked for once for each push.
  std::function<Result<std::string>()> docker_config;
};
struct PushedCheckpoint {
  std::uint32_t step = 0;  // 0: there is none newer than known_step
  std::string image;       // the reference that has it
  std::string digest;
  std::uint64_t bytes = 0;
};
class Checkpoints {  // thread-safe
 public:
  virtual ~Checkpoints() = default;
  // Never waits for the network. pending: on its way, ask again. Else as Uploader::push.
  virtual Result<PushedCheckpoint> push(const CheckpointJob& job) = 0;
  // A push of that Workspace that is on its way ends.
  virtual void stop(const std::string& uid) = 0;
  // Takes what was pushed away. ok: nothing is there. invalid: the registry refuses, in its words.
  virtual Status remove(const CheckpointJob& job) = 0;
};
}  // namespace kairo::pusher
