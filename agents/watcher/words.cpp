// agents/watcher/words.cpp - pods, run directories.
#include "agents/watcher/words.h"

#include <algorithm>
#include <map>

#include "agents/runtime/decision.h"

namespace kairo::watcher {
std::string words_of(const wire::PodT& pod, const wire::ResourcesT* resources) {
  std::string out = pod.container.empty() ? "" : pod.container + ": ";
  if (pod.reason == "OOMKilled") {
    const std::int64_t limit = resources == nullptr ? 0 : resources->memory_limit_bytes;
    return out + "OOMKilled: it passed its memory limit" +
           (limit > 0 ? " of " + std::to_string(limit >> 20) + " MiB" : "") +
           "; lower per_device_train_batch_size, or use a machine with more memory";
  }
  if (pod.reason == "Error" && pod.exit_code > 128)  // its last words are not about its end
    return out + "killed by signal " + std::to_string(pod.exit_code - 128);
  if (pod.message.empty()) return out + pod.reason;
  return out + (pod.reason == "Error" ? "" : pod.reason + ": ") + pod.message;
}

std::string class_of(const wire::PodT& pod) {
  static const std::map<std::string, std::string> classes = {
      {"OOMKilled", "ContainerOOMKilled"},
      {"ErrImagePull", "ImagePullError"},
      {"ImagePullBackOff", "ImagePullError"},
      {"InvalidImageName", "ImagePullError"},
      {"CreateContainerError", "ContainerStartError"},
      {"CreateContainerConfigError", "ContainerStartError"},
      {"RunContainerError", "ContainerStartError"},
      {"StartError", "ContainerStartError"},
      {"CrashLoopBackOff", "ContainerCrashLoopBackOff"},
      {"Error", "ContainerCrashLoopBackOff"},
      {"Evicted", "PodEvicted"},
      {"Unschedulable", "Unschedulable"}};
  const auto found = classes.find(pod.reason);
  return found == classes.end() ? "WorkspaceInferenceStatusPending" : found->second;
}

Verdict unprepared(const wire::RecordT& record) {
  const std::vector<std::string> nodes =
      record.run ? runtime::nodes_of(*record.run) : std::vector{runtime::run_node_of(record)};
  std::string late;
  for (const std::string& node : nodes) {
    const auto* dir = runtime::of_node(record.run_dirs, node);
    if (dir != nullptr && !dir->message.empty())
      return {"False", dir->reason,
              nodes.size() == 1 ? dir->message : "node " + node + ": " + dir->message};
    const bool is_ready = dir != nullptr && dir->state == wire::RunDirState::Ready &&
                          dir->revision == record.workspace->revision;
    if (!is_ready) late += (late.empty() ? "" : ", ") + node;
  }
  if (nodes.size() == 1 || late.empty()) return {};
  return {"False", "RunDirectoriesNotReady", "waiting for the run directories of " + late};
}

std::uint32_t nodes_wanted(const wire::RecordT& record) {
  return record.resources ? std::max<std::uint32_t>(record.resources->target, 1) : 1;
}
}  // namespace kairo::watcher
