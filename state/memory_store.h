// state/memory_store.h - a Store in memory, for simulation and tests. What a crash would keep is
// all that was committed.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "state/store.h"

namespace kairo::state {
class MemoryStore final : public Store {
 public:
  Result<std::optional<std::string>> get(const std::string& key) const override;
  Result<Rows> scan(const std::string& prefix, const std::string& after,
                    std::size_t limit) const override;
  Status commit(const Batch& batch) override;
  void wipe();        // the disk was replaced
  void lose_power();  // what was committed since the last durable batch is lost

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> rows_;
  std::vector<std::pair<std::string, std::optional<std::string>>> undo_;  // oldest first
};
}  // namespace kairo::state
