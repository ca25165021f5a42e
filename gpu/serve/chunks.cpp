// gpu/serve/chunks.cpp
#include "gpu/serve/chunks.h"

#include <algorithm>

namespace kairo::gpu {
namespace {
constexpr std::size_t digits_max = 15;
constexpr std::size_t line_bytes_max = 256;  // with extensions, which nobody reads

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

bool ChunkCheck::refuse(const char* why) {
  wrong_ = why;
  return false;
}

bool ChunkCheck::take(std::string_view bytes) {
  while (!bytes.empty() && wrong_.empty()) {
    if (at_ == At::data) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      left_ -= count;
      bytes.remove_prefix(count);
      if (left_ == 0) at_ = At::data_cr;
    } else if (take_one(bytes.front())) {
      bytes.remove_prefix(1);
    }
  }
  return wrong_.empty();
}

// A byte that is not a chunk's data.
bool ChunkCheck::take_one(char byte) {
  const bool in_line = at_ == At::size || at_ == At::blank || at_ == At::extension;
  if (in_line && ++line_bytes_ > line_bytes_max)
    return refuse("the line with a chunk's size is longer than 256 bytes");
  switch (at_) {
    case At::size:
      if (hex_value(byte) >= 0) {
        if (++digits_ > digits_max) return refuse("a chunk's size has more than 15 digits");
        size_ = size_ * 16 + static_cast<std::uint64_t>(hex_value(byte));
        return true;
      }
      if (digits_ == 0) return refuse("a chunk's size must be hexadecimal digits");
      [[fallthrough]];
    case At::blank:
      if (byte == ' ' || byte == '\t')
        at_ = At::blank;
      else if (byte == ';')
        at_ = At::extension;
      else if (byte == '\r')
        at_ = At::size_end;
      else
        return refuse("a chunk's size must be hexadecimal digits");
      return true;
    case At::extension:
      if (byte == '\n') return refuse("the line with a chunk's size must end with CR LF");
      if (byte == '\r') at_ = At::size_end;
      return true;
    case At::size_end:
      if (byte != '\n') return refuse("the line with a chunk's size must end with CR LF");
      left_ = size_;
      at_ = size_ == 0 ? At::end : At::data;
      size_ = digits_ = line_bytes_ = 0;
      return true;
    case At::data_cr:
      at_ = At::data_end;
      return byte == '\r' || refuse("a chunk has more bytes than its size says");
    case At::data_end:
      at_ = At::size;
      return byte == '\n' || refuse("a chunk has more bytes than its size says");
    case At::end:
      return byte == "\r\n"[std::min<std::size_t>(end_bytes_++, 1)] ||
             refuse("there are trailers after the last chunk, which are not taken");
    case At::data:
      break;
  }
  return true;
}
}  // namespace kairo::gpu
