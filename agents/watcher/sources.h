// agents/watcher/sources.h - the cluster's changes as facts on the bus.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <string>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "schemas/record_generated.h"

namespace kairo::watcher {
// Follows one kind: list, publish all, watch; list again when the server says that the version is
// too old, when the bus has lost its store, and every 30 minutes. What a list no longer holds is
// published as gone. Single-threaded; make one per kind.
class Source {
 public:
  Source(cluster::Cluster& cluster, bus::Bus& bus, cluster::Kind kind)
      : cluster_(cluster), bus_(bus), kind_(std::move(kind)) {}
  // What an earlier process published and has not called gone: objects that vanish while no watcher
  // runs are noticed by the first list.
  void seed(const wire::RecordT& record);
  // One list, or one watch call of at most wait_ms. unavailable: try again after a pause.
  Status step(std::int64_t wait_ms, std::int64_t now_ms);

 private:
  Status publish(const std::string& object, bool exists);
  Status list(std::int64_t now_ms);

  cluster::Cluster& cluster_;
  bus::Bus& bus_;
  const cluster::Kind kind_;
  std::string version_;  // "" = list first
  std::int64_t listed_ms_ = 0;
  bus::Bus::Position position_;
  std::map<std::string, std::string> known_;  // namespace/name -> metadata of what we published
};
}  // namespace kairo::watcher
