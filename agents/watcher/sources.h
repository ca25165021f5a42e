// agents/watcher/sources.h - the cluster's changes as facts on the bus.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "state/store.h"

namespace kairo::watcher {
// Follows one kind: list, publish all, watch; list again when the server says that the version is
// too old, when the bus has lost its store, and every 30 minutes. What a list no longer holds is
// published as gone. Single-threaded; make one per kind.
class Source {
 public:
  // store: remembers what was published (source/<kind>/...), so that objects that vanish while no
  // watcher runs are noticed by the next list; and for an hour at least what was called gone, so
  // that it can be said again when the bus lost it.
  Source(cluster::Cluster& cluster, bus::Bus& bus, state::Store& store, cluster::Kind kind)
      : cluster_(cluster), bus_(bus), store_(store), kind_(std::move(kind)) {}
  // One list, or one watch call of at most wait_ms. unavailable: try again after a pause.
  Status step(std::int64_t wait_ms, std::int64_t now_ms);

 private:
  struct Known {
    std::string meta;             // the object's metadata: enough to say that it is gone
    std::int64_t gone_at_ms = 0;  // 0 = it is there
  };
  Status publish(const std::string& object, bool exists);
  Status publish_news(const std::string& object);
  Status gone(const std::string& key, const std::string& version, std::int64_t now_ms);
  Status say_gone_again(const std::vector<std::string>& there);
  Status forget(std::int64_t now_ms);
  Status list(std::int64_t now_ms, bool lost);
  Status load();
  Status save(const std::string& key, const Known& known);
  Status remember(const std::string& object);

  cluster::Cluster& cluster_;
  bus::Bus& bus_;
  state::Store& store_;
  const cluster::Kind kind_;
  bool loaded_ = false;
  std::string version_;  // "" = list first
  std::int64_t listed_ms_ = 0, stepped_ms_ = 0;
  std::int64_t calm_ms_ = 0;  // time seen to pass since all that is gone was last said again
  std::string incarnation_;
  std::map<std::string, Known> known_;       // by namespace/name/uid
  std::map<std::string, std::size_t> said_;  // the same: hash of what was said last
};
}  // namespace kairo::watcher
