// agents/watcher/effects.h - the watcher's writes on the cluster and its words for people.
#pragma once
#include <array>
#include <functional>
#include <mutex>
#include <nlohmann/json_fwd.hpp>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "agents/runtime/agent.h"
#include "agents/watcher/workspaces.h"
#include "schemas/base/clock.h"

namespace kairo::watcher {
class WatcherEffects final : public runtime::Effects {
 public:
  WatcherEffects(cluster::Cluster& cluster, bus::Bus& bus, Workspaces& workspaces,
                 const Clock& clock)
      : cluster_(cluster), bus_(bus), workspaces_(workspaces), clock_(clock) {}
  Status perform(const wire::CommandT& command) override;

 private:
  // A merge patch of the Workspace; object: as it is, or null when only its version is known.
  using Change = std::function<nlohmann::json(const nlohmann::json* object)>;
  // rests_on: the version for which the change without the object is right; 0 = for any.
  Status write(const wire::CommandT& command, const std::string& subresource, const Change& change,
               std::uint64_t rests_on = 0);
  Result<std::string> attempt(const wire::CommandT& command, const std::string& subresource,
                              nlohmann::json patch, std::uint64_t version);
  Result<nlohmann::json> read(const wire::CommandT& command);  // null: gone, be it to a namesake
  std::mutex& turn(const std::string& uid);
  Status set_finalizer(const wire::CommandT& command);
  Status save_revision(const wire::CommandT& command);
  Result<bool> save_first(const wire::CommandT& command);  // false: it must be read first
  Status save_next(const wire::CommandT& command);
  Status patch_status(const wire::CommandT& command);
  Status announce(const wire::CommandT& command);

  cluster::Cluster& cluster_;
  bus::Bus& bus_;
  Workspaces& workspaces_;
  const Clock& clock_;
  // Writes on one Workspace take turns: each names the version that the one before it made.
  std::array<std::mutex, 64> turns_;
};
}  // namespace kairo::watcher
