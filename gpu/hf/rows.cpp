// gpu/hf/rows.cpp - read_rows over the Rust crate.
#include "gpu/hf/rows.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "gpu/hf/owned.h"

namespace kairo::gpu {
namespace {
enum class Format : int { jsonl = 0, json = 1, csv = 2, parquet = 3 };
struct Extension {
  std::string_view ending, kind;
  Format format;
};
constexpr Extension extensions[] = {{".jsonl", "jsonl", Format::jsonl},
                                    {".json", "json", Format::json},
                                    {".csv", "csv", Format::csv},
                                    {".parquet", "parquet", Format::parquet}};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}
const Extension* extension_of(std::string_view path) {
  for (const auto& e : extensions)
    if (path.size() >= e.ending.size() &&
        same_letters(path.substr(path.size() - e.ending.size()), e.ending))
      return &e;
  return nullptr;
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
  return extension_of(path) != nullptr;
}

bool has_data_extension(std::string_view path, std::string_view extension) {
  const Extension* found = extension_of(path);
  if (extension.starts_with('.')) extension.remove_prefix(1);
  if (found == nullptr) return false;
  return same_letters(found->kind, extension) ||
         (same_letters(extension, "json") && found->format == Format::jsonl);
}

std::string_view data_extensions() {
  return ".jsonl, .json, .csv or .parquet";
}

Result<std::size_t> read_rows(const std::string& path, const RowLimits& limits,
                              const OnRow& on_row) {
  const Extension* found = extension_of(path);
  const std::string action = "read rows " + path + ": ";
  struct stat s;
  if (::stat(path.c_str(), &s) != 0) return Error{Code::not_found, action + "no such file"};
  if (found == nullptr)
    return Error{Code::invalid, action + "the name must end in " + std::string(data_extensions())};
  if (!S_ISREG(s.st_mode)) return Error{Code::invalid, action + "not a regular file"};
  if (static_cast<std::uint64_t>(s.st_size) > limits.file_bytes)
    return Error{Code::invalid, action + std::to_string(s.st_size) + " bytes; at most " +
                                    std::to_string(limits.file_bytes) + ": split it"};
  Caller caller{on_row, std::nullopt};
  OwnedBytes error;
  std::size_t rows = 0;
  const int answer = kh_rows(path.data(), path.size(), static_cast<int>(found->format),
                             limits.row_bytes, limits.rows, give_row, &caller, &rows, &error.raw);
  if (caller.error) return *caller.error;
  if (answer != 0)
    return Error{found->format == Format::parquet ? Code::corrupt : Code::invalid,
                 action + error.text()};
  return rows;
}
}  // namespace kairo::gpu
