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
  // false: it need not survive the end of the machine, which a sync costs milliseconds for. What
  // the machine loses then is the last batches since the last durable one; the end of the process
  // alone loses none.
  bool is_durable = true;
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
  // All or nothing, in order (a later write to a key wins); when it returns ok, a durable batch and
  // all batches before it are on disk.
  virtual Status commit(const Batch& batch) = 0;
};
}  // namespace kairo::state
