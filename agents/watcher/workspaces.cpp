// agents/watcher/workspaces.cpp - a map and its lock.
#include "agents/watcher/workspaces.h"

#include <algorithm>
#include <utility>

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

void Workspaces::saw(const std::string& uid, std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[uid];
  entry.version = std::max(entry.version, version);
}
bool Workspaces::saw_status(const std::string& uid, std::uint64_t version,
                            const std::string& status_hash) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[uid];
  entry.version = std::max(entry.version, version);
  if (version <= entry.status_version) return false;  // late: what came after it is known
  entry.status_version = version;
  return std::exchange(entry.status_hash, status_hash) != status_hash;
}
std::uint64_t Workspaces::version(const std::string& uid) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(uid);
  return found == entries_.end() ? 0 : found->second.version;
}
void Workspaces::forget_versions() {
  const std::lock_guard lock(mutex_);
  for (auto& [uid, entry] : entries_) entry.version = entry.status_version = 0;
}
void Workspaces::forget(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(uid); found != entries_.end()) {
    found->second.version = found->second.status_version = 0;
    found->second.status_hash.clear();
  }
}
}  // namespace kairo::watcher
