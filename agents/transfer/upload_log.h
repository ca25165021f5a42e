// agents/transfer/upload_log.h - how far each blob's upload came, kept so that a kill -9 loses
// little.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "state/store.h"

namespace kairo::transfer {
struct UploadMark {
  std::string location;      // of the registry's upload session: a signed URL, never logged
  std::uint64_t offset = 0;  // bytes that the registry has acknowledged
};
// Rows "upload/<registry>/<repository>/<digest>" of a Store. Thread-safe as the Store is.
class UploadLog {
 public:
  explicit UploadLog(state::Store& store) : store_(store) {}
  // An unreadable row counts as none: the blob is sent from its start.
  Result<std::optional<UploadMark>> load(const std::string& repository,
                                         const std::string& digest) const;
  Status save(const std::string& repository, const std::string& digest, const UploadMark& mark);
  Status forget(const std::string& repository, const std::string& digest);

 private:
  state::Store& store_;
};
}  // namespace kairo::transfer
