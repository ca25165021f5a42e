// agents/cluster/token.h - a bearer token in a file that somebody rotates. Private to cluster/.
#pragma once
#include <mutex>
#include <string>

#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::cluster {
// Read again after 50 s and after a 401; while the file cannot be read, the last good token stays.
class TokenFile {  // thread-safe
 public:
  TokenFile(std::string path, const Clock& clock);  // path "": no authentication
  // "Authorization: Bearer ...", or "" without a file. unavailable: no token was ever read.
  Result<std::string> header();
  void forget(const std::string& header);  // it was refused

 private:
  const std::string path_;
  const Clock& clock_;
  std::mutex mutex_;
  std::string header_;           // guarded by mutex_
  std::int64_t read_at_ms_ = 0;  // guarded by mutex_; 0 = read now
};
}  // namespace kairo::cluster
