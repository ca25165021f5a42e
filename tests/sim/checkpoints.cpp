// tests/sim/checkpoints.cpp - a small honest model.
#include "tests/sim/checkpoints.h"

namespace kairo::sim {
namespace {
std::string image_of(const pusher::CheckpointJob& job) {
  return job.output + "-checkpoint-" + job.uid;
}
// "/runs/<namespace>/<uid>/<revision>" -> "<uid>/<revision>", as the disk's keys are.
std::string key_of(const std::string& run_dir) {
  return run_dir.substr(run_dir.find('/', sizeof "/runs/") + 1);
}
}  // namespace

Result<pusher::PushedCheckpoint> CheckpointsModel::push(const pusher::CheckpointJob& job) {
  if (dice_.fault(6)) return Error{Code::unavailable, "connection refused"};
  const std::string key = key_of(job.run_dir), image = image_of(job);
  const auto step = disk_.steps.find(key);
  if (step == disk_.steps.end() || step->second == 0 || step->second == job.known_step) {
    late_.erase(job.uid);
    return pusher::PushedCheckpoint{};
  }
  if (image.starts_with("forbidden.")) return Error{Code::invalid, image + ": 403 Forbidden"};
  const auto [late, is_new] = late_.try_emplace(job.uid, 0);
  if (is_new && dice_.fault(2)) late->second = 1 + dice_.below(4);
  if (late->second > 0 && !dice_.healed) {
    --late->second;
    dice_.crash("inside", 30);
    return Error{Code::pending, "on its way"};
  }
  late_.erase(job.uid);
  shelf_.kept[image] = {key, step->second};
  dice_.crash("inside", 30);  // it is there, nobody wrote it down
  return pusher::PushedCheckpoint{step->second, image, "sha256:" + key, 10};
}
Status CheckpointsModel::remove(const pusher::CheckpointJob& job) {
  if (dice_.fault(6)) return Error{Code::unavailable, "connection refused"};
  if (dice_.fault(12)) return Error{Code::invalid, "405 UNSUPPORTED"};
  shelf_.kept.erase(image_of(job));
  return ok();
}
Result<std::string> CheckpointsModel::bring(const node::CheckpointWish& wish) {
  const std::string key = wish.uid + "/" + wish.revision;
  unsigned& step = disk_.steps[key];
  if (step >= wish.step) return std::string();
  if (dice_.fault(6)) return Error{Code::unavailable, "connection refused"};
  const auto kept = shelf_.kept.find(wish.image);
  if (kept == shelf_.kept.end()) return "the checkpoint " + wish.image + " is gone";
  if (kept->second.key != key) return "the checkpoint " + wish.image + " is of another revision";
  step = std::max(step, kept->second.step);
  dice_.crash("inside", 30);
  return "the checkpoint of step " + std::to_string(step) + " was brought";
}
}  // namespace kairo::sim
