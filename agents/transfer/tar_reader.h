// agents/transfer/tar_reader.h - the entries of a tar stream (ustar, pax, GNU), fed in any pieces.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::transfer {
enum class TarKind : std::uint8_t { file, directory, symlink, hardlink, other };
struct TarEntry {
  TarKind kind = TarKind::other;  // other: devices, fifos, sockets
  std::string path, link;         // as written: nothing is cleaned here
  std::uint64_t size = 0;         // bytes that follow; 0 unless a file
};
class TarReader {  // one thread
 public:
  struct Sink {
    std::function<Status(const TarEntry& entry)> begin;
    std::function<Status(std::string_view bytes)> data;  // of the entry begun last
  };
  explicit TarReader(Sink sink) : sink_(std::move(sink)) {}
  // corrupt: bad checksum, sizes or records. Errors of the sink are passed on.
  Status feed(std::string_view bytes);
  Status finish();  // corrupt: cut in the middle of an entry

 private:
  enum class Part : std::uint8_t { header, data, record, padding, ended };
  Status read_header();
  Status read_record();
  Status read_pax();
  Status begin(const TarEntry& entry);

  const Sink sink_;
  Part part_ = Part::header;
  std::string buffer_;      // a header or a record (pax, GNU long name) being collected
  char record_type_ = 0;    // 'x', 'g', 'L' or 'K'
  std::uint64_t left_ = 0;  // bytes of the current part
  std::size_t padding_ = 0;
  std::string next_path_, next_link_;  // by a record, for the next entry
  std::int64_t next_size_ = -1;
};
}  // namespace kairo::transfer
