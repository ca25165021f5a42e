// state/memory_store.h - a Store in memory, for simulation and tests. What a crash would keep is
// all that was committed.
#pragma once
#include <map>
#include <mutex>

#include "state/store.h"

namespace kairo::state {
class MemoryStore final : public Store {
 public:
  Result<std::optional<std::string>> get(const std::string& key) const override;
  Result<Rows> scan(const std::string& prefix, const std::string& after,
                    std::size_t limit) const override;
  Status commit(const Batch& batch) override;
  void wipe();  // the disk was replaced

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> rows_;
};
}  // namespace kairo::state
