// agents/watcher/sources.h - the cluster's changes as facts on the bus.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "schemas/fact_generated.h"

namespace kairo::watcher {
// The last fact of each object of a kind, as the bus has them; nothing while they are being read.
using LastFacts = std::function<std::optional<std::vector<wire::FactT>>(wire::FactBody)>;

// Follows one kind: list, publish all, watch; list again when the server says that the version is
// too old, when the bus may have lost something, and every 30 minutes. What a list does not hold
// although the bus says that it is there is published as gone, so nothing needs to be remembered
// here: objects may vanish while no watcher runs. Single-threaded; make one per kind.
class Source {
 public:
  Source(cluster::Cluster& cluster, bus::Bus& bus, cluster::Kind kind, LastFacts last)
      : cluster_(cluster), bus_(bus), kind_(std::move(kind)), last_(std::move(last)) {}
  // One list, or one watch call of at most wait_ms. unavailable: try again after a pause.
  Status step(std::int64_t wait_ms, std::int64_t now_ms);
  // All that is there has been said once. What is decided before would rest on old facts.
  bool has_listed() const { return has_listed_; }

 private:
  Status publish(const wire::FactT& fact);
  Status say(const std::string& object);
  Status say_gone(wire::FactT fact, std::uint64_t version);
  Status list(std::int64_t now_ms);
  Status compare_with_bus();

  cluster::Cluster& cluster_;
  bus::Bus& bus_;
  const cluster::Kind kind_;
  const LastFacts last_;
  std::string version_;  // "" = list first
  std::int64_t listed_ms_ = 0;
  std::string incarnation_;  // of the bus
  bool is_compared_ = false, is_new_bus_ = true;
  std::atomic<bool> has_listed_{false};
  std::map<std::string, wire::FactT> there_;  // by subject: what was last said to be there
};
}  // namespace kairo::watcher
