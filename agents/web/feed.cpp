// agents/web/feed.cpp - one lock; texts are shared by all who hear them.
#include "agents/web/feed.h"

#include <charconv>

namespace kairo::web {
namespace {
// {"uid":json, ...}
std::string object_of(const std::map<std::string, std::string>& members) {
  std::string out = "{";
  for (const auto& [uid, json] : members) {
    out += out.size() > 1 ? ",\"" : "\"";
    out += uid;  // a UUID: nothing in it needs an escape
    out += "\":";
    out += json;
  }
  return out + "}";
}
std::string array_of(const std::map<std::string, std::string>& members) {
  std::string out = "[";
  for (const auto& [uid, json] : members) {
    if (out.size() > 1) out += ",";
    out += json;
  }
  return out + "]";
}
}  // namespace

void Feed::add(const char* kind, std::string data) {
  ring_.push_back({id_of(++number_), kind, std::make_shared<const std::string>(std::move(data))});
  if (ring_.size() > ring_max_) ring_.pop_front();
  news_.notify_all();
}

void Feed::set_workspace(const std::string& uid, std::string json) {
  const std::lock_guard lock(mutex_);
  std::string& known = workspaces_[uid];
  if (known == json) return;
  add("ws", "{\"workspace\":" + json + "}");
  known = std::move(json);
}
void Feed::remove_workspace(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  trains_.erase(uid);
  sparks_.erase(uid);
  if (workspaces_.erase(uid) > 0) add("gone", "{\"uid\":\"" + uid + "\"}");
}
void Feed::set_workspaces(std::map<std::string, std::string> everything) {
  std::vector<std::string> gone;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [uid, json] : workspaces_)
      if (!everything.contains(uid)) gone.push_back(uid);
  }
  for (const std::string& uid : gone) remove_workspace(uid);
  for (auto& [uid, json] : everything) set_workspace(uid, std::move(json));
  const std::lock_guard lock(mutex_);
  has_list_ = true;
  news_.notify_all();
}
void Feed::train(const std::string& uid, std::string json) {
  const std::lock_guard lock(mutex_);
  std::string& known = trains_[uid];
  if (known == json) return;
  add("train", "{\"uid\":\"" + uid + "\",\"progress\":" + json + "}");
  known = std::move(json);
}
void Feed::curve(const std::string& uid, std::uint32_t last_step, std::string spark) {
  const std::lock_guard lock(mutex_);
  add("curve", "{\"uid\":\"" + uid + "\",\"last\":" + std::to_string(last_step) +
                   ",\"spark\":" + spark + "}");
  sparks_[uid] = std::move(spark);
}
void Feed::tick(const std::string& json) {
  const std::lock_guard lock(mutex_);
  tick_ = json;
  add("tick", json);
}

FeedEvent Feed::all() const {
  std::map<std::string, std::string> trains, sparks;  // of those that are there
  for (const auto& [uid, json] : workspaces_) {
    if (const auto found = trains_.find(uid); found != trains_.end()) trains.insert(*found);
    if (const auto found = sparks_.find(uid); found != sparks_.end()) sparks.insert(*found);
  }
  return {id_of(number_), "reset",
          std::make_shared<const std::string>(
              "{\"at\":" + std::to_string(clock_.now_ms()) +
              ",\"workspaces\":" + array_of(workspaces_) + ",\"progress\":" + object_of(trains) +
              ",\"sparks\":" + object_of(sparks) + ",\"tick\":" + tick_ + "}")};
}

std::vector<FeedEvent> Feed::after(const std::string& id, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  std::uint64_t known = 0;
  const bool is_ours = id.starts_with(epoch_ + ":");
  const char* end = id.data() + id.size();
  const bool is_number =
      is_ours && std::from_chars(id.data() + epoch_.size() + 1, end, known).ptr == end;
  const std::uint64_t oldest = number_ - ring_.size();  // the newest that is not in the ring
  if (!is_number || known > number_ || known < oldest) {
    if (!has_list_) news_.wait_for(lock, wait, [&] { return has_list_; });
    if (!has_list_) return {};
    return {all()};
  }
  news_.wait_for(lock, wait, [&] { return number_ > known; });
  std::vector<FeedEvent> out;
  const std::uint64_t now_oldest = number_ - ring_.size();
  if (known < now_oldest) return {all()};
  for (std::size_t i = known - now_oldest; i < ring_.size(); ++i) out.push_back(ring_[i]);
  return out;
}

std::string Feed::workspaces() const {
  const std::lock_guard lock(mutex_);
  return array_of(workspaces_);
}
std::map<std::string, std::string> Feed::trains() const {
  const std::lock_guard lock(mutex_);
  return trains_;
}
bool Feed::has_list() const {
  const std::lock_guard lock(mutex_);
  return has_list_;
}
}  // namespace kairo::web
