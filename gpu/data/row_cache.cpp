// gpu/data/row_cache.cpp - the file: "kairo rows 1 <key> <digest>\n", three counts, then for the
// rows to train on and for those held out: their number, their lengths, all tokens, all targets.
// Numbers are little-endian as in memory; the digest is that of the rows.
#include "gpu/data/row_cache.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>

#include "gpu/formats/files.h"
#include "schemas/base/digest.h"

namespace kairo::gpu {
namespace {
constexpr std::size_t file_bytes_max = std::size_t{1} << 30;
constexpr const char* magic = "kairo rows 1 ";  // the number changes when rows are made otherwise

template <class T>
std::string_view bytes_of(const T* values, std::size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}
std::string_view bytes_of(const std::uint64_t& number) {
  return bytes_of(&number, 1);
}
std::size_t size_of(const Dataset& data) {
  std::size_t bytes = 256;
  for (const auto* rows : {&data.rows, &data.held_out_rows})
    for (const auto& row : *rows) bytes += 8 + 5 * row.tokens.size();
  return bytes;
}
void append(std::string& out, const std::vector<Row>& rows) {
  out.append(bytes_of(rows.size()));
  for (const auto& row : rows) out.append(bytes_of(row.tokens.size()));
  for (const auto& row : rows) out.append(bytes_of(row.tokens.data(), row.tokens.size()));
  for (const auto& row : rows) out.append(bytes_of(row.trained.data(), row.trained.size()));
}
// Reads the file's parts in order; every read is within its bytes.
class CacheReader {
 public:
  explicit CacheReader(std::string_view rest) : rest_(rest) {}
  template <class T, std::size_t n>
  bool read(std::span<T, n> out) {
    if (out.size() > rest_.size() / sizeof(T)) return false;
    if (!out.empty()) std::memcpy(out.data(), rest_.data(), out.size_bytes());
    rest_.remove_prefix(out.size_bytes());
    return true;
  }
  bool read(std::vector<Row>& rows) {
    std::uint64_t count = 0;
    if (!read(std::span(&count, 1)) || count > rest_.size() / 8) return false;
    std::vector<std::uint64_t> sizes(count);
    if (!read(std::span(sizes))) return false;
    rows.resize(count);
    std::size_t at = 0;
    for (auto& row : rows) {
      if (sizes[at] > rest_.size() / sizeof(std::int32_t)) return false;
      row.tokens.resize(sizes[at++]);
      if (!read(std::span(row.tokens))) return false;
    }
    for (auto& row : rows) {
      row.trained.resize(row.tokens.size());
      if (!read(std::span(row.trained))) return false;
    }
    return true;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};
}  // namespace

std::string digest_of(const Dataset& data) {
  Sha256 sha;
  for (const auto* rows : {&data.rows, &data.held_out_rows}) {
    sha.update(bytes_of(rows->size()));
    for (const auto& row : *rows) {
      sha.update(bytes_of(row.tokens.size()));
      sha.update(bytes_of(row.tokens.data(), row.tokens.size()));
      sha.update(bytes_of(row.trained.data(), row.trained.size()));
    }
  }
  return sha.hex();
}

Result<std::string> rows_key(const std::vector<std::string>& files, const std::string& made_by) {
  Sha256 sha;
  sha.update(made_by);
  std::string piece(1 << 20, '\0');
  for (const auto& path : files) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return Error{Code::not_found, "read " + path + ": cannot be opened"};
    std::uint64_t size = 0;
    sha.update(std::filesystem::path(path).filename().string());
    while (in) {
      in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      const auto got = static_cast<std::size_t>(in.gcount());
      sha.update(std::string_view(piece).substr(0, got));
      size += got;
    }
    if (in.bad()) return Error{Code::not_found, "read " + path + ": cannot be read"};
    sha.update(bytes_of(size));
  }
  return sha.hex();
}

Status save_rows(const std::string& path, const std::string& key, const Dataset& data) {
  const std::size_t size = size_of(data);
  if (size > file_bytes_max)
    return Error{Code::invalid, "keep the rows: " + std::to_string(size) + " bytes; at most " +
                                    std::to_string(file_bytes_max) + " are kept"};
  std::string out;
  out.reserve(size);
  out.append(magic + key + " " + data.digest + "\n");
  for (const std::uint64_t count : {data.truncated, data.dropped, data.nulls_dropped})
    out.append(bytes_of(count));
  append(out, data.rows);
  append(out, data.held_out_rows);
  return write_file(path, out);
}

Result<Dataset> load_rows(const std::string& path, const std::string& key) {
  const std::string text = TRY(read_file(path, static_cast<std::int64_t>(file_bytes_max)));
  const std::string begin = magic + key + " ";
  const auto line_end = text.find('\n');
  if (!text.starts_with(begin) || line_end == std::string::npos)
    return Error{Code::not_found, "read " + path + ": rows of other data or settings"};
  Dataset out;
  out.digest = text.substr(begin.size(), line_end - begin.size());
  CacheReader reader(std::string_view(text).substr(line_end + 1));
  std::uint64_t counts[3] = {};
  if (!reader.read(std::span(counts)) || !reader.read(out.rows) ||
      !reader.read(out.held_out_rows) || !reader.at_end() || digest_of(out) != out.digest)
    return Error{Code::corrupt, "read " + path + ": the kept rows are damaged"};
  out.truncated = counts[0];
  out.dropped = counts[1];
  out.nulls_dropped = counts[2];
  return out;
}
}  // namespace kairo::gpu
