// state/memory_store.cpp - a sorted map under a mutex.
#include "state/memory_store.h"

namespace kairo::state {
Result<std::optional<std::string>> MemoryStore::get(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto row = rows_.find(key);
  return row == rows_.end() ? std::optional<std::string>() : row->second;
}

Result<Rows> MemoryStore::scan(const std::string& prefix, const std::string& after,
                               std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  Rows out;
  auto row = after < prefix ? rows_.lower_bound(prefix) : rows_.upper_bound(after);
  for (; row != rows_.end() && row->first.starts_with(prefix) && out.size() < limit; ++row)
    out.push_back(*row);
  return out;
}

Status MemoryStore::commit(const Batch& batch) {
  const std::lock_guard lock(mutex_);
  if (batch.is_durable) undo_.clear();
  for (const auto& [key, value] : batch.writes) {
    if (!batch.is_durable) {
      const auto before = rows_.find(key);
      undo_.emplace_back(key, before == rows_.end() ? std::nullopt : std::optional(before->second));
    }
    if (value)
      rows_[key] = *value;
    else
      rows_.erase(key);
  }
  return ok();
}
void MemoryStore::wipe() {
  const std::lock_guard lock(mutex_);
  rows_.clear();
  undo_.clear();
}
void MemoryStore::lose_power() {
  const std::lock_guard lock(mutex_);
  for (; !undo_.empty(); undo_.pop_back()) {
    auto& [key, value] = undo_.back();
    if (value)
      rows_[key] = std::move(*value);
    else
      rows_.erase(key);
  }
}
}  // namespace kairo::state
