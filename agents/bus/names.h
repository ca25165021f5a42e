// agents/bus/names.h - what a cluster's streams and subjects are called on a broker that others
// use too: the one place. The rest of the project says "kairo.facts.job..." whatever its cluster.
#pragma once
#include <string>

#include "schemas/base/result.h"

namespace kairo::bus {
// Two clusters on one NATS account hear nothing of each other when their names differ. The names
// are disjoint by their first token, "kairo" or "kairo-<cluster>": no wildcard covers two of them.
class Names {
 public:
  Names() = default;  // of the cluster that has the account to itself: kairo.>, KAIRO_FACTS
  // invalid: not a DNS label. "": as Names().
  static Result<Names> of(const std::string& cluster);
  std::string subject(const std::string& ours) const;  // "kairo.x" -> "kairo-blue.x"
  std::string ours(const std::string& subject) const;  // and back
  std::string facts() const { return "KAIRO_FACTS" + suffix(); }
  std::string status() const { return "KAIRO_STATUS" + suffix(); }
  std::string dead() const { return "KAIRO_DEAD" + suffix(); }
  std::string curves() const { return "KAIRO_CURVES" + suffix(); }
  std::string inbox(const std::string& user) const;  // "_INBOX_blue-watcher"

 private:
  std::string suffix() const { return cluster_.empty() ? "" : "_" + cluster_; }
  std::string root() const { return cluster_.empty() ? "kairo" : "kairo-" + cluster_; }
  std::string cluster_;
};
}  // namespace kairo::bus
