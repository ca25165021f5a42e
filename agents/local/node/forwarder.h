// agents/local/node/forwarder.h - Services of local mode: loopback ports that lead to pods.
//
// One thread forwards bytes for all of them. Bounds: 256 connections at a time (more wait in the
// listen queue), 64 KiB buffered per direction. Private to local/.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cluster {
class Forwarder {  // thread-safe
 public:
  Forwarder();
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;
  // Listens for `key`, on `wanted_port` if that is free, and leads new connections to
  // target_port (0: they are closed at once). Known already: only the target changes.
  Result<int> forward(const std::string& key, int wanted_port, int target_port);
  void stop(const std::string& key);  // connections that are open go on
  std::vector<std::string> keys() const;

 private:
  struct Listener {
    int fd = -1, port = 0, target = 0;
  };
  void run();
  void wake() const;
  mutable std::mutex mutex_;
  std::map<std::string, Listener> listeners_;  // guarded by mutex_
  bool is_stopping_ = false;                   // guarded by mutex_
  int wake_[2] = {-1, -1};
  std::thread thread_;  // last: it uses the others
};
}  // namespace kairo::cluster
