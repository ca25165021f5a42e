// agents/transfer/unpack.h - the layers' /data into a folder, whatever the archives try.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agents/transfer/tar_reader.h"
#include "schemas/base/result.h"

namespace kairo::transfer {
struct UnpackLimits {
  std::uint64_t bytes_max = 64ULL << 30;  // of all files
  std::size_t entries_max = 200'000;      // of all layers, other folders included
};
// Applies layers in order: entries outside data/ are passed over, whiteouts remove what lower
// layers left. Symbolic links are made when they cannot leave the folder, and never written
// through. invalid: `..`, an absolute path, an escaping link, a device, too many bytes or entries.
// unavailable: the disk. Owners, times and set-id bits are not taken over.
class Unpack {  // one thread
 public:
  Unpack(std::string root, UnpackLimits limits);  // root: an empty folder of ours
  ~Unpack();
  Unpack(const Unpack&) = delete;
  Unpack& operator=(const Unpack&) = delete;
  void begin_layer() { of_this_layer_.clear(); }
  Status begin(const TarEntry& entry);  // TarReader::Sink
  Status data(std::string_view bytes);
  Status end_layer();
  std::uint64_t files() const { return files_; }

 private:
  using Path = std::vector<std::string>;
  Status make(const TarEntry& entry, const Path& path);
  Status whiteout(const Path& parent, const std::string& name);
  Result<int> folder(const Path& path);  // a descriptor; missing folders are made
  Status close_file();
  Status trouble(const std::string& what) const;

  const std::string root_;
  const UnpackLimits limits_;
  std::set<std::string> of_this_layer_;  // paths, for opaque whiteouts
  std::uint64_t bytes_ = 0, files_ = 0;
  std::size_t entries_ = 0;
  int file_ = -1;  // being written, -1 = none
};
}  // namespace kairo::transfer
