// agents/local/node/event_recorder.h - what happened to an object, as Kubernetes Events.
// Private to local/.
#pragma once
#include <map>
#include <string>

#include "agents/cluster/cluster.h"
#include "agents/cluster/json.h"
#include "schemas/base/clock.h"

namespace kairo::cluster {
// The same words about the same object are one Event with a count, written at most every 10 s.
// Bound: the newest 500 Events stay.
class EventRecorder {  // one thread
 public:
  EventRecorder(Cluster& cluster, const Clock& clock) : cluster_(cluster), clock_(clock) {}
  // type: "Normal" or "Warning". A failure to write is logged: Events are for people.
  void record(const Json& object, const std::string& type, const std::string& reason,
              const std::string& message);

 private:
  void prune();
  struct Said {
    std::int64_t at_ms = 0, count = 0;
    std::string first;
  };
  Cluster& cluster_;
  const Clock& clock_;
  std::map<std::string, Said> said_;  // by Event name
  int writes_ = 0;
};
}  // namespace kairo::cluster
