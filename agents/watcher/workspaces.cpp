// agents/watcher/workspaces.cpp - a map and its lock.
#include "agents/watcher/workspaces.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "agents/watcher/revision.h"

namespace kairo::watcher {
void Workspaces::add(const Name& workspace) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[workspace.uid];
  entry.ns = workspace.ns;
  entry.name = workspace.name;
}
void Workspaces::complete(const std::set<std::string>& uids) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& entry) { return !uids.contains(entry.first); });
  is_complete_ = true;
}
bool Workspaces::is_complete() const {
  const std::lock_guard lock(mutex_);
  return is_complete_;
}
bool Workspaces::has(const Name& workspace) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(workspace.uid);
  return found != entries_.end() && found->second.ns == workspace.ns &&
         found->second.name == workspace.name;
}
std::vector<Workspaces::Name> Workspaces::in(const std::string& ns) const {
  const std::lock_guard lock(mutex_);
  std::vector<Name> out;
  for (const auto& [uid, entry] : entries_)
    if (entry.ns == ns) out.push_back({uid, entry.ns, entry.name});
  return out;
}
std::string Workspaces::uid_of(const std::string& ns, const std::string& name) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  std::uint64_t newest = 0;
  for (const auto& [uid, entry] : entries_) {
    if (entry.ns != ns || entry.name != name || entry.newest.version <= newest) continue;
    newest = entry.newest.version;
    out = uid;
  }
  return out;
}

void Workspaces::raise_epoch(std::uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch > epoch_) epoch_ = epoch;
}
void Workspaces::saw(const std::string& uid, std::uint64_t version, const Object& object) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[uid];
  if (version <= entry.newest.version) return;
  entry.newest = {version, object && has_first_revision(*object) ? object : nullptr};
}
bool Workspaces::saw_status(const std::string& uid, std::uint64_t version,
                            const std::string& status_hash) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[uid];
  if (version <= entry.status_version) return false;  // late: what came after it is known
  entry.status_version = version;
  return std::exchange(entry.status_hash, status_hash) != status_hash;
}
Workspaces::Newest Workspaces::newest(const std::string& uid) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(uid);
  return found == entries_.end() ? Newest{} : found->second.newest;
}
std::map<std::string, std::uint64_t> Workspaces::versions() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::uint64_t> out;
  for (const auto& [uid, entry] : entries_)
    if (entry.newest.version != 0) out[uid] = entry.newest.version;
  return out;
}
void Workspaces::forget_versions() {
  const std::lock_guard lock(mutex_);
  for (auto& [uid, entry] : entries_) {
    entry.newest = {};
    entry.status_version = 0;
  }
}
void Workspaces::forget(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(uid); found != entries_.end()) {
    found->second.newest = {};
    found->second.status_version = 0;
    found->second.status_hash.clear();
  }
}
}  // namespace kairo::watcher
