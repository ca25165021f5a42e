// agents/launcher/shared_objects.h - what the Workspaces of a namespace share (a node's volume of
// run directories and its claim, a method's template), made where it is not there.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "agents/cluster/cluster.h"
#include "schemas/base/clock.h"

namespace kairo::launcher {
class SharedObjects {  // thread-safe
 public:
  SharedObjects(cluster::Cluster& cluster, const Clock& clock) : cluster_(cluster), clock_(clock) {}
  // since_ms: the Workspace that needs them was known then, Unix time; 0 = look, whatever was seen.
  // unavailable: an object of another node is in the way.
  Status make(const std::vector<cluster::Apply>& objects, std::int64_t since_ms);
  bool has_seen(const std::vector<cluster::Apply>& objects) const;  // each of them, ever

 private:
  using Key = std::pair<cluster::Ref, std::string>;  // the uid of the Node object that owns it
  static Key key_of(const cluster::Apply& object);
  std::mutex& turn(const Key& key);
  bool was_there(const Key& key, std::int64_t since_ms) const;
  bool was_ever_there(const Key& key) const;
  Status make_if_absent(const cluster::Apply& object);
  Status wait_for_binder(const cluster::Apply& volume, std::string seen);
  Status look_at_taken(const cluster::Apply& object);

  cluster::Cluster& cluster_;
  const Clock& clock_;
  // While one looks at an object the others wait, and need not look then.
  std::array<std::mutex, 64> turns_;
  mutable std::mutex mutex_;           // of the map
  std::map<Key, std::int64_t> there_;  // when each was last seen, Unix time
};
}  // namespace kairo::launcher
