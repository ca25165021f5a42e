// gpu/hf/rows.cpp - read_rows over the Rust crate.
#include "gpu/hf/rows.h"

#include <sys/stat.h>

#include <optional>

#include "gpu/hf/owned.h"

namespace kairo::gpu {
namespace {
enum class Format : int { jsonl = 0, json = 1, csv = 2, parquet = 3 };
enum class Packing : int { none = 0, gzip = 1, zstd = 2 };
struct Kind {
  Format format;
  Packing packing = Packing::none;
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}
bool take_ending(std::string& name, std::string_view ending) {
  if (!name.ends_with(ending)) return false;
  name.resize(name.size() - ending.size());
  return true;
}
std::optional<Kind> kind_of(std::string_view path) {
  std::string name = lower(path);
  Kind out{Format::jsonl};
  if (take_ending(name, ".gz")) out.packing = Packing::gzip;
  if (out.packing == Packing::none && take_ending(name, ".zst")) out.packing = Packing::zstd;
  if (name.ends_with(".jsonl") || name.ends_with(".ndjson")) return out;
  out.format = Format::json;
  if (name.ends_with(".json")) return out;
  out.format = Format::csv;
  if (name.ends_with(".csv")) return out;
  out.format = Format::parquet;
  if (name.ends_with(".parquet") && out.packing == Packing::none) return out;
  return std::nullopt;
}

// What travels through C to on_row and back.
struct Caller {
  const OnRow& on_row;
  std::optional<Error> error;
};
int give_row(void* user, std::size_t number, const char* json, std::size_t size) {
  auto& caller = *static_cast<Caller*>(user);
  const Status status = caller.on_row(number, {json, size});
  if (status.ok()) return 0;
  caller.error = status.error();
  return 1;
}
}  // namespace

bool is_data_file(std::string_view path) {
  return kind_of(path).has_value();
}

bool has_data_extension(std::string_view path, std::string_view extension) {
  if (extension.starts_with('.')) extension.remove_prefix(1);
  const auto found = kind_of(path), wanted = kind_of("." + std::string(extension));
  if (!found || !wanted) return false;
  const bool is_kind = found->format == wanted->format ||
                       (wanted->format == Format::json && found->format == Format::jsonl);
  return is_kind && (wanted->packing == Packing::none || wanted->packing == found->packing);
}

std::string_view data_extensions() {
  return ".jsonl, .ndjson, .json or .csv, each also with .gz or .zst behind it, or .parquet";
}

Result<std::size_t> read_rows(const std::string& path, const RowLimits& limits,
                              const OnRow& on_row) {
  const auto kind = kind_of(path);
  const std::string action = "read rows " + path + ": ";
  struct stat s;
  if (::stat(path.c_str(), &s) != 0) return Error{Code::not_found, action + "no such file"};
  if (!kind)
    return Error{Code::invalid, action + "the name must end in " + std::string(data_extensions())};
  if (!S_ISREG(s.st_mode)) return Error{Code::invalid, action + "not a regular file"};
  if (static_cast<std::uint64_t>(s.st_size) > limits.file_bytes)
    return Error{Code::invalid, action + std::to_string(s.st_size) + " bytes; at most " +
                                    std::to_string(limits.file_bytes) + ": split it"};
  Caller caller{on_row, std::nullopt};
  OwnedBytes error;
  std::size_t rows = 0;
  const int answer = kh_rows(path.data(), path.size(), static_cast<int>(kind->format),
                             static_cast<int>(kind->packing), limits.file_bytes, limits.row_bytes,
                             limits.rows, give_row, &caller, &rows, &error.raw);
  if (caller.error) return *caller.error;
  if (answer != 0)
    return Error{answer == -2 ? Code::corrupt : Code::invalid, action + error.text()};
  return rows;
}
}  // namespace kairo::gpu
