// gpu/hf/rows.h - the rows of a data file (.jsonl, .ndjson, .json, .csv, also packed as .gz or
// .zst; .parquet), each as one JSON object. Endings count in any case.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::gpu {
struct RowLimits {
  std::size_t file_bytes = std::size_t{8} << 30;  // as it lies there, and unpacked
  std::size_t row_bytes = std::size_t{64} << 20;  // of one row as JSON
  std::size_t rows = 50'000'000;
};
// number counts from 1. json: valid for the call only. A returned error ends the reading.
using OnRow = std::function<Status(std::size_t number, std::string_view json)>;
// Whether the name ends like a file that read_rows reads.
bool is_data_file(std::string_view path);
// Whether the file is of the kind that dataset_extension names (json, jsonl, csv, parquet, with or
// without a dot, in any case; with .gz or .zst only files that are packed so). As in KAITO, json
// also means lines of it.
bool has_data_extension(std::string_view path, std::string_view extension);
// The endings of data files, for error texts.
std::string_view data_extensions();
// Calls on_row for every row in file order; returns their number. The format follows from the
// file's extension.
// JSON: lines of objects, one array of objects, or {"data": [..]}; numbers keep their digits; at
// most 512 MiB where it is no lines. CSV: as Python's csv module; the first record names the
// columns, every value is a string. Parquet: bytes are text where they are UTF-8.
// not_found: no such file. invalid: another extension, a limit, or a row that is not what it must
// be (names the row or line). corrupt: a parquet or packed file that is cut off or damaged. Else
// what on_row returned.
Result<std::size_t> read_rows(const std::string& path, const RowLimits& limits,
                              const OnRow& on_row);
}  // namespace kairo::gpu
