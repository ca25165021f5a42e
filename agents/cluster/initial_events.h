// agents/cluster/initial_events.h - a first list that comes as watch events (WatchList). Pure.
// Private to cluster/.
#pragma once
#include <map>
#include <utility>

#include "agents/cluster/json.h"

namespace kairo::cluster {
// Source: KEP-3157. The server sends every object as ADDED (what changes meanwhile as the other
// types), then a bookmark with the annotation k8s.io/initial-events-end: its version is the list's.
class InitialEvents {
 public:
  // true: the list is complete. invalid: it is no such stream.
  Result<bool> take(const Event& event);
  Listing listing() &&;  // once it is complete; ordered by namespace and name

 private:
  std::map<std::pair<std::string, std::string>, std::string> items_;  // by namespace and name
  std::string version_;
};
}  // namespace kairo::cluster
