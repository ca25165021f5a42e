// gpu/serve/chunks.h - is a chunked body well formed? (RFC 9112, 7.1; no trailers)
//
// cpp-httplib takes any number that strtoul takes for a chunk's size, and what follows a chunk of
// the wrong size for the next request.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kairo::gpu {
class ChunkCheck {
 public:
  bool take(std::string_view bytes);  // false: wrong() says why, from now on
  const std::string& wrong() const { return wrong_; }

 private:
  enum class At : std::uint8_t { size, blank, extension, size_end, data, data_cr, data_end, end };
  bool take_one(char byte);
  bool refuse(const char* why);
  At at_ = At::size;
  std::uint64_t size_ = 0;      // of this chunk
  std::uint64_t left_ = 0;      // of its data
  std::size_t digits_ = 0;      // of its size
  std::size_t line_bytes_ = 0;  // of the line with its size
  std::size_t end_bytes_ = 0;   // of the empty line after the last one
  std::string wrong_;
};
}  // namespace kairo::gpu
