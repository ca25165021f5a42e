// gpu/data/row_cache.h - tokenised rows in a file, for the next start of the same run. Private to
// gpu/data.
#pragma once
#include <string>
#include <vector>

#include "gpu/data/dataset.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// Names everything that decides the rows: the data files' bytes and `made_by`, which names the
// rest. not_found: a file cannot be read.
Result<std::string> rows_key(const std::vector<std::string>& files, const std::string& made_by);
// The rows that were saved under this key. not_found: none. corrupt: a damaged file.
Result<Dataset> load_rows(const std::string& path, const std::string& key);
// invalid: more than a gibibyte of rows, which are not kept. Else as write_file.
Status save_rows(const std::string& path, const std::string& key, const Dataset& data);
// SHA-256 of all token rows and targets, in hex.
std::string digest_of(const Dataset& data);
}  // namespace kairo::gpu
