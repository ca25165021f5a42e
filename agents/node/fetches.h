// agents/node/fetches.h - one fetch per model however many Workspaces wait for it, tried again with
// patience, and told.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agents/node/effects.h"
#include "agents/node/model_cache.h"
#include "agents/node/models.h"
#include "schemas/base/clock.h"

namespace kairo::node {
constexpr std::int64_t fetch_again_ms = 5'000, fetch_again_max_ms = 300'000,
                       fetch_refused_again_ms = 60'000, fetch_asked_max_ms = 3'600'000;
// After `failures` in a row; refused: what a person must change first.
std::int64_t pause_after(int failures, bool refused, std::int64_t retry_after_s);

class Fetches final : public Models {
 public:
  struct Deps {
    const ModelCache& cache;
    const Clock& clock;
    Observe observe;   // called with a lock held: it must not come back
    std::string self;  // the node
    // The token in a Secret (namespace, name); its error is for people.
    std::function<Result<std::string>(const std::string&, const std::string&)> token;
    // The docker config in a Secret, as above.
    std::function<Result<std::string>(const std::string&, const std::string&)> pull_config;
    std::string token_file;                         // of those who name no Secret; "" = none
    std::function<std::set<std::string>()> in_use;  // presets of this node's runs
    // The folder of a namespace's runs: known before the weights are here. Null: it is not told.
    std::function<std::string(const std::string& ns)> volume{};
  };
  explicit Fetches(Deps deps) : deps_(std::move(deps)) {}
  Status want(const Wish& wish) override;
  void forget(const std::string& uid) override;
  // Fetches one model that is due, to its end; false: none was. Any number of threads.
  bool step();
  void stop();  // ends those that run, for good

 private:
  struct Fetch {
    std::map<std::string, Wish> wishes;  // by uid of the Workspace
    std::set<std::string> shown;         // "namespace/secret" that were tried
    std::atomic<bool> stop{false};
    bool is_running = false, is_refused = false;
    int failures = 0;
    std::int64_t not_before_ms = 0, told_ms = 0;  // monotonic
    std::uint64_t told_bytes = 0;
    FetchTold told;
    std::string error;  // of the last try; "" = none
  };
  struct Tokens {
    std::vector<std::string> texts;    // of the hub
    std::vector<std::string> configs;  // of registries
    std::string trouble;               // why a Secret gave none
  };
  std::shared_ptr<Fetch> next_due();
  Tokens tokens_of(const std::map<std::string, Wish>& wishes) const;
  void on_progress(Fetch& fetch, const FetchTold& told);
  void on_end(const std::string& entry, Fetch& fetch, const Status& done, std::int64_t asked_s);
  void tell(const Fetch& fetch, const Wish& wish) const;  // with the lock held
  void tell_all(const Fetch& fetch) const;

  const Deps deps_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Fetch>> fetches_;  // by the models folder's entry
  std::int64_t hub_not_before_ms_ = 0;                     // it has asked all of us to wait
  bool is_stopped_ = false;
};
}  // namespace kairo::node
