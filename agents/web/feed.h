// agents/web/feed.h - what every viewer hears: the present state of all Workspaces, and a ring of
// the last changes. One who was away goes on where it was, or is told all anew; never a silent gap.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "schemas/base/clock.h"

namespace kairo::web {
struct FeedEvent {
  std::string id;                           // "<epoch>:<number>"
  std::string kind;                         // reset, ws, gone, train, curve, tick
  std::shared_ptr<const std::string> data;  // JSON
};
class Feed {  // thread-safe
 public:
  // epoch: of this process's life; an id of another one is unknown.
  Feed(std::string epoch, const Clock& clock, std::size_t ring_max = 4'096)
      : epoch_(std::move(epoch)), clock_(clock), ring_max_(ring_max) {}
  void set_workspace(const std::string& uid, std::string json);  // silent when it is the same
  void remove_workspace(const std::string& uid);
  // Exactly these are there.
  void set_workspaces(std::map<std::string, std::string> all);
  void train(const std::string& uid, std::string json);
  // spark: a JSON array of a few losses.
  void curve(const std::string& uid, std::uint32_t last_step, std::string spark);
  void tick(const std::string& json);
  // What came after `id`, waiting for it at most so long; may be empty. "", or an id that is not
  // known (any more): one `reset` with all, the last tick in it.
  std::vector<FeedEvent> after(const std::string& id, std::chrono::milliseconds wait);
  std::string workspaces() const;                     // a JSON array
  std::map<std::string, std::string> trains() const;  // the last step's JSON, by uid
  bool has_list() const;                              // before, nobody is told anything

 private:
  void add(const char* kind, std::string data);
  FeedEvent all() const;
  std::string id_of(std::uint64_t number) const { return epoch_ + ":" + std::to_string(number); }
  using Shared = std::shared_ptr<const std::string>;
  const std::string epoch_;
  const Clock& clock_;
  const std::size_t ring_max_;
  mutable std::mutex mutex_;
  std::condition_variable news_;
  std::map<std::string, std::string> workspaces_, trains_, sparks_;  // by uid
  std::deque<FeedEvent> ring_;
  std::uint64_t number_ = 0;  // of the newest event
  std::string tick_ = "null";
  bool has_list_ = false;
};
}  // namespace kairo::web
