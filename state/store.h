// state/store.h - bytes by key, written in atomic batches. One process writes a store.
//
// Errors: unavailable (disk full, I/O: nothing of the batch is there; stop taking work in and try
// again), corrupt (stored bytes fail their checksum: stop and rebuild from the cluster).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::state {
struct Batch {
  std::vector<std::pair<std::string, std::optional<std::string>>> writes;  // nullopt erases
  void put(std::string key, std::string value) {
    writes.emplace_back(std::move(key), std::move(value));
  }
  void erase(std::string key) { writes.emplace_back(std::move(key), std::nullopt); }
};
using Rows = std::vector<std::pair<std::string, std::string>>;
class Store {  // thread-safe
 public:
  virtual ~Store() = default;
  virtual Result<std::optional<std::string>> get(const std::string& key) const = 0;
  // Rows whose key starts with `prefix`, in key order, after `after` ("" = from the first).
  virtual Result<Rows> scan(const std::string& prefix, const std::string& after,
                            std::size_t limit) const = 0;
  // All or nothing, in order (a later write to a key wins); durable on disk when it returns ok.
  virtual Status commit(const Batch& batch) = 0;
};
}  // namespace kairo::state
