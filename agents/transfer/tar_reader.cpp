// agents/transfer/tar_reader.cpp - blocks of 512 bytes, one state per kind of block.
#include "agents/transfer/tar_reader.h"

#include <algorithm>
#include <charconv>

namespace kairo::transfer {
namespace {
constexpr std::size_t block_bytes = 512, record_bytes_max = 64 * 1024;
constexpr std::uint64_t size_max = 1ULL << 50;

Error corrupt(const std::string& why) {
  return {Code::corrupt, "tar: " + why};
}
std::string text_at(const std::string& block, std::size_t at, std::size_t size) {
  const std::string field = block.substr(at, size);
  return field.substr(0, field.find('\0'));
}
// Octal, or base 256 when the first bit is set; -1 = neither.
std::int64_t number_at(const std::string& block, std::size_t at, std::size_t size) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(block[at + i]); };
  std::uint64_t value = 0;
  if ((byte(0) & 0x80) != 0) {
    for (std::size_t i = 1; i < size; ++i) {
      if (value >> 54 != 0) return -1;
      value = value << 8 | byte(i);
    }
    return byte(0) == 0x80 && value <= size_max ? static_cast<std::int64_t>(value) : -1;
  }
  std::size_t i = 0;
  while (i < size && byte(i) == ' ') ++i;
  for (; i < size && byte(i) != ' ' && byte(i) != 0; ++i) {
    if (byte(i) < '0' || byte(i) > '7') return -1;
    value = value * 8 + (byte(i) - '0');
  }
  return value <= size_max ? static_cast<std::int64_t>(value) : -1;
}
bool has_right_sum(const std::string& block) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < block_bytes; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  return number_at(block, 148, 8) == sum;
}
TarKind kind_of(char type) {
  switch (type) {
    case '0':
    case '\0':
    case '7':
      return TarKind::file;
    case '1':
      return TarKind::hardlink;
    case '2':
      return TarKind::symlink;
    case '5':
      return TarKind::directory;
    default:  // the archive's alphabet, not ours
      return TarKind::other;
  }
}
std::size_t padding_after(std::uint64_t size) {
  return static_cast<std::size_t>((block_bytes - size % block_bytes) % block_bytes);
}
}  // namespace

Status TarReader::begin(const TarEntry& entry) {
  left_ = entry.size;
  padding_ = padding_after(entry.size);
  part_ = left_ > 0 ? Part::data : Part::header;
  next_path_.clear();
  next_link_.clear();
  next_size_ = -1;
  return sink_.begin(entry);
}
Status TarReader::read_header() {
  const std::string block = std::move(buffer_);
  buffer_.clear();
  if (block.find_first_not_of('\0') == std::string::npos) {
    part_ = Part::ended;
    return ok();
  }
  if (!has_right_sum(block)) return corrupt("a header's checksum is wrong");
  const std::int64_t size = number_at(block, 124, 12);
  if (size < 0) return corrupt("a header's size is unreadable");
  const char type = block[156];
  if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
    if (size == 0 || static_cast<std::uint64_t>(size) > record_bytes_max)
      return corrupt("a record of " + std::to_string(size) + " bytes");
    record_type_ = type;
    left_ = static_cast<std::uint64_t>(size);
    padding_ = padding_after(left_);
    part_ = Part::record;
    return ok();
  }
  TarEntry entry;
  entry.kind = kind_of(type);
  entry.path = text_at(block, 0, 100);
  const std::string prefix = block.compare(257, 6, std::string("ustar\0", 6)) == 0
                                 ? text_at(block, 345, 155)
                                 : std::string();
  if (!prefix.empty()) entry.path = prefix + "/" + entry.path;
  entry.link = text_at(block, 157, 100);
  if (!next_path_.empty()) entry.path = next_path_;
  if (!next_link_.empty()) entry.link = next_link_;
  entry.size = static_cast<std::uint64_t>(next_size_ >= 0 ? next_size_ : size);
  if (entry.kind == TarKind::file && entry.path.ends_with('/')) entry.kind = TarKind::directory;
  if (entry.kind != TarKind::file && entry.kind != TarKind::other) entry.size = 0;
  return begin(entry);
}
Status TarReader::read_record() {
  part_ = padding_ > 0 ? Part::padding : Part::header;
  left_ = padding_;
  const std::string name = buffer_.substr(0, buffer_.find('\0'));
  if (record_type_ == 'L') next_path_ = name;
  if (record_type_ == 'K') next_link_ = name;
  const Status read = record_type_ == 'x' ? read_pax() : ok();
  buffer_.clear();
  return read;
}
Status TarReader::read_pax() {  // "<length> <key>=<value>\n" ...
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    const std::size_t digits = static_cast<std::size_t>(end - rest.data());
    if (error != std::errc() || length <= digits + 1 || length > rest.size() ||
        rest[digits] != ' ' || rest[length - 1] != '\n')
      return corrupt("a pax record is malformed");
    const std::string_view line = rest.substr(digits + 1, length - digits - 2);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return corrupt("a pax record without a value");
    const std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
    if (key == "path") next_path_ = value;
    if (key == "linkpath") next_link_ = value;
    if (key.starts_with("GNU.sparse")) return corrupt("sparse files are not taken");
    if (key == "size") {
      const auto [tail, bad] =
          std::from_chars(value.data(), value.data() + value.size(), next_size_);
      if (bad != std::errc() || tail != value.data() + value.size() || next_size_ < 0 ||
          static_cast<std::uint64_t>(next_size_) > size_max)
        return corrupt("a pax size is unreadable");
    }
    rest.remove_prefix(length);
  }
  return ok();
}
Status TarReader::feed(std::string_view bytes) {
  while (!bytes.empty() && part_ != Part::ended) {
    const std::uint64_t want = part_ == Part::header ? block_bytes - buffer_.size() : left_;
    const std::size_t take = static_cast<std::size_t>(std::min<std::uint64_t>(want, bytes.size()));
    const std::string_view piece = bytes.substr(0, take);
    bytes.remove_prefix(take);
    if (part_ == Part::header) {
      buffer_.append(piece);
      if (buffer_.size() == block_bytes) TRY(read_header());
      continue;
    }
    left_ -= take;
    if (part_ == Part::record) buffer_.append(piece);
    if (part_ == Part::data) TRY(sink_.data(piece));
    if (left_ > 0) continue;
    if (part_ == Part::record) {
      TRY(read_record());
    } else {
      const bool has_padding = part_ == Part::data && padding_ > 0;
      part_ = has_padding ? Part::padding : Part::header;
      left_ = has_padding ? padding_ : 0;
    }
  }
  return ok();
}
Status TarReader::finish() {
  const bool is_between = part_ == Part::header && buffer_.empty();
  return part_ == Part::ended || is_between ? ok() : Status(corrupt("cut in the middle"));
}
}  // namespace kairo::transfer
