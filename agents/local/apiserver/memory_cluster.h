// agents/local/apiserver/memory_cluster.h - a Cluster in this process: objects without controllers.
//
// It is the truth of local mode (behind LocalServer) and the cluster of simulations and tests. With
// a `persist`, what a call answers is durable; without, it lives as long as the process. Calls that
// come while others are being kept share the next batch: one sync for all of them. When that fails,
// each of them says so, and nothing of it has happened.
// The calls beyond the port are what the REST interface needs; time comes from the clock.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>

#include "agents/cluster/cluster.h"
#include "agents/local/apiserver/persist.h"
#include "schemas/base/clock.h"

namespace kairo::cluster {
class Objects;
struct WriteOptions;
struct RemoveOptions;

// Text of a container's log from an offset on, see Cluster::log; pod: the object's JSON.
using LogSource = std::function<Result<std::string>(
    const std::string& pod, const std::string& container, std::uint64_t offset)>;

class MemoryCluster final : public Cluster {  // thread-safe
 public:
  // `clock` must outlive it. `seed`: the same seed and calls give the same uids; give a store of
  // objects a seed of its own at each start. Without `log_source` pods have empty logs.
  MemoryCluster(const Clock& clock, std::string seed, Persist persist = {}, Admit admit = {},
                LogSource log_source = {});
  ~MemoryCluster() override;
  using Rows = std::vector<std::pair<std::string, std::string>>;
  Status load(const Rows& rows);  // once, at first
  // What was kept at some time takes the place of what is there, as when an etcd is put back from a
  // backup: versions go back. `seed`: one of its own. What `persist` keeps is its owner's matter.
  Status put_back(const Rows& rows, std::string seed);

  Result<std::string> apply(const Apply& apply) override;
  Result<std::string> create(const Apply& object) override;
  Result<std::string> patch(const Patch& patch) override;
  Result<std::string> get(const Ref& ref) override;
  Result<Listing> list(const Selection& selection) override;
  Result<std::vector<Event>> watch(const Selection& selection, const std::string& resource_version,
                                   std::int64_t wait_ms) override;
  Status remove(const Ref& ref, const std::string& uid) override;
  Result<std::string> log(const Ref& pod, const std::string& container,
                          std::uint64_t offset) override;

  Result<std::string> apply(const Ref& ref, const std::string& json, const WriteOptions& options);
  Result<std::string> create(const Kind& kind, const std::string& ns, const std::string& json,
                             const WriteOptions& options);
  Result<std::string> replace(const Ref& ref, const std::string& json, const WriteOptions& options);
  Result<std::string> patch(const Ref& ref, const std::string& json, const WriteOptions& options);
  Status remove(const Ref& ref, const RemoveOptions& options);  // not_found when absent
  Status collect_garbage();       // see Objects; a controller calls it now and then
  std::uint64_t version() const;  // that is durable
  // Returns when the version has passed `version`, after wait_ms at the latest.
  void wait_past(std::uint64_t version, std::int64_t wait_ms);
  void wake();  // ends the waits that run now

 private:
  struct Save {  // one batch
    bool is_done = false;
    Status status = ok();
  };
  // Does `call` on the objects; returns when what it saw and did is durable.
  template <class Call>
  auto durably(const Call& call) -> decltype(call());
  Status settle(std::unique_lock<std::mutex>& lock);
  void save(std::unique_lock<std::mutex>& lock);

  const Clock& clock_;
  const LogSource log_source_;
  const Persist persist_;
  mutable std::mutex mutex_;
  std::condition_variable changed_, saved_;
  // Guarded by mutex_:
  std::unique_ptr<Objects> objects_;
  std::shared_ptr<Save> next_, saving_;  // saving_: null when none runs
  std::uint64_t wakes_ = 0;
};
}  // namespace kairo::cluster
