// agents/node/run_dirs.h - the directories of runs on this node.
//
//   <root>/<namespace>/<workspace uid>/<first 12 of the revision>/
//     run.json    whose run it is
//     weights/    the preset's files, hard-linked from the model cache (no copy, no download)
//     data/       the data set, fetched by the Job's init container
//     state/      progress.jsonl and checkpoints: survives retries, reboots and evictions
//     results/    the adapter, fine_tuning_completed.txt last
//     adapters/   of a server: wanted.json, and the tuned adapters that it may load
//
// A namespace's folder is what its pods have as a volume, each its own part of it. All below is
// 0700. Calls are idempotent; one process per root.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::node {
struct RunKey {
  std::string uid, ns, name, revision, preset;
  auto operator<=>(const RunKey&) const = default;
};
struct Adapter {
  std::string path;  // the results directory
  std::uint64_t bytes = 0;
  std::string digest;  // sha256 of adapter_model.safetensors, hex
};
class RunDirs {
 public:
  virtual ~RunDirs() = default;
  // The directory, made if it is not there; from now on the Workspace's current one. not_found: the
  // preset's weights are not on this node; the message says what to do. unavailable: disk full.
  virtual Result<std::string> prepare(const RunKey& run) = 0;
  virtual std::string volume(const RunKey& run) = 0;  // the namespace's folder
  // All revisions; absent: ok.
  virtual Status remove(const std::string& ns, const std::string& uid) = 0;
  // The finished adapter. not_found: the run ended without one (the message says what lacks).
  virtual Result<Adapter> adapter(const RunKey& run) = 0;
  // The current run of each Workspace: what an older revision left tells nothing any more.
  virtual Result<std::vector<RunKey>> list() = 0;
  virtual std::string progress_file(const RunKey& run) = 0;
};
}  // namespace kairo::node
