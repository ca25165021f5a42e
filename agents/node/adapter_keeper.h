// agents/node/adapter_keeper.h - brings tuned adapters to the servers of this node and has them
// loaded, replaced and unloaded while these answer.
//
//   <run>/adapters/wanted       the wish: a command of schemas/command.fbs
//   <run>/adapters/told         what was said last: a fact
//   <run>/adapters/pip@<hex>/   a revision, whole; the server sees this folder, read-only
//
// A server is asked each second what it has, by GET /v1/models. So whatever restarts (the server,
// its pod, this process) is found, and all that is wanted is loaded again.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "agents/node/adapter_steps.h"
#include "agents/node/adapters.h"
#include "agents/node/effects.h"
#include "agents/node/run_dirs.h"
#include "schemas/base/clock.h"

namespace kairo::node {
class AdapterKeeper final : public Adapters {
 public:
  struct Deps {
    RunDirs& dirs;  // of this keeper alone
    const Clock& clock;
    Observe observe;
    std::string self;
    // The docker config in a Secret (namespace, name); its error is for people.
    std::function<Result<std::string>(const std::string&, const std::string&)> pull_config;
  };
  explicit AdapterKeeper(Deps deps) : deps_(std::move(deps)) {}
  Status want(const wire::CommandT& command, const wire::ServeAdaptersT& wish) override;
  // Finds the runs that have a wish. One thread.
  void look();
  // Tends one run that is due, to its end; false: none was. Any number of threads.
  bool step();
  void stop() { stop_ = true; }

 private:
  struct Try {  // of one revision
    int failures = 0;
    std::int64_t not_before_ms = 0;
    std::string trouble;
  };
  struct Run {
    bool is_running = false, is_new = false;  // is_new: the wish is; old troubles do not count
    bool is_told = false;                     // by this process
    std::int64_t due_ms = 0;                  // monotonic
    std::string silence;               // why its server did not answer when it was last asked
    std::map<std::string, Try> tries;  // by the revision's folder
  };
  bool tend(const std::string& dir, Run& run);  // true: all is as wanted
  Status bring(const wire::CommandT& command, const wire::WantedAdapterT& wanted,
               const std::string& dir);
  std::string try_to_load(const wire::CommandT& command, const wire::WantedAdapterT& wanted,
                          Run& run, std::vector<ServedName>* served);
  static void clean(const std::string& dir, const wire::ServeAdaptersT& wish,
                    const std::vector<ServedName>& served);
  void tell(const wire::CommandT& command, const std::string& dir, const wire::ServingT& now);

  const Deps deps_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::map<std::string, Run> runs_;  // by directory
};
}  // namespace kairo::node
