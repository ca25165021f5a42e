// agents/transfer/part_file.h - a file that is being fetched: it grows at its end and survives a
// crash.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::transfer {
class PartFile {  // one owner, one thread; every error is unavailable: the disk
 public:
  PartFile() = default;
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  // Goes on at its end when it is there. shown: what messages call it.
  Status open_at(const std::string& path, const std::string& shown);
  Status restart();  // empty again
  Status append(std::string_view bytes);
  Status sync();
  void close();
  std::uint64_t size() const { return size_; }

 private:
  Status trouble() const;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::string shown_;
};
Status renamed(const std::string& from, const std::string& to);
}  // namespace kairo::transfer
