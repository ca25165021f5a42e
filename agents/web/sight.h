// agents/web/sight.h - what `kairo web` sees: Workspaces and Nodes by the API server, steps and
// curves by the bus. It reads; nothing here writes.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "agents/web/feed.h"
#include "agents/web/shown.h"
#include "schemas/base/clock.h"

namespace kairo::web {
class Sight {  // threads of its own, from start() to the end of `stop`
 public:
  struct Deps {
    cluster::Cluster& cluster;
    bus::Bus& trainings;  // reads kairo.facts.training.>
    bus::Bus& curves;     // reads kairo.curves.>
    Feed& feed;
    const Clock& clock;
  };
  Sight(const Deps& deps, const std::atomic<bool>& stop) : deps_(deps), stop_(stop) {}
  ~Sight();
  void start();
  // The curve of a Workspace's run, as JSON; "": none was said.
  std::string curve(const std::string& uid) const;
  // The same as the bus has it: a Curve of schemas/curve.fbs.
  std::string curve_bytes(const std::string& uid) const;
  // Why not everything is seen; "" = it is.
  std::string trouble() const;

 private:
  void follow_workspaces();
  void follow_nodes();
  void hear(bus::Bus& bus, Hop& hop, const std::function<void(const bus::Message&)>& take);
  void take_training(const bus::Message& message);
  void take_curve(const bus::Message& message);
  void tell_time();
  void note(Hop& hop, const std::string& error);
  void rest(std::int64_t ms) const;
  const Deps deps_;
  const std::atomic<bool>& stop_;
  std::vector<std::thread> threads_;
  mutable std::mutex mutex_;
  Hop api_, steps_, curves_hop_;  // guarded, as what follows
  std::string nodes_ = "[]";
  std::map<std::string, std::int64_t> newest_;  // uid -> at_ms of its last step
  std::map<std::string, std::string> curves_;   // uid -> flatbuffer
};
}  // namespace kairo::web
