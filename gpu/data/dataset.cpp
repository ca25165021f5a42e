// gpu/data/dataset.cpp - data files to token rows, with a digest of what came out.
#include "gpu/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "gpu/data/example.h"
#include "gpu/data/masks.h"
#include "gpu/data/order.h"
#include "gpu/hf/rows.h"
#include "schemas/base/digest.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
constexpr std::int64_t split_epoch = -1;  // the split has an order of its own
constexpr std::size_t tokens_max = std::size_t{4} << 30;

// As in KAITO, json also means lines of it.
bool is_wanted(const std::string& path, const std::string& extension) {
  if (extension.empty()) return is_data_file(path);
  return path.ends_with("." + extension) || (extension == "json" && path.ends_with(".jsonl"));
}
// Which tokens of this row count: each of trl's switches governs its own kind.
LossOn loss_on_of(const Example& example, const TrainingConfig& config) {
  if (config.loss_on) return *config.loss_on;
  const auto& only =
      example.has_completion ? config.completion_only_loss : config.assistant_only_loss;
  return only.value_or(true) ? LossOn::answer : LossOn::all;
}

Result<std::vector<std::string>> data_files(const std::string& dir_or_file,
                                            const std::string& extension) {
  std::error_code error;
  const auto status = fs::status(dir_or_file, error);
  if (!fs::exists(status))
    return Error{Code::not_found, "load data " + dir_or_file + ": no such file or folder"};
  if (!fs::is_directory(status)) return std::vector<std::string>{dir_or_file};
  std::vector<std::string> files;
  const auto skip = fs::directory_options::skip_permission_denied;  // a volume's lost+found
  for (fs::recursive_directory_iterator at(dir_or_file, skip, error), end; !error && at != end;
       at.increment(error)) {
    const std::string path = at->path().string();
    const bool is_hidden = at->path().filename().string().starts_with('.');
    if (is_hidden) at.disable_recursion_pending();
    if (is_hidden || at->is_directory(error)) continue;
    if (is_wanted(path, extension)) files.push_back(path);
  }
  if (error) return Error{Code::invalid, "load data " + dir_or_file + ": " + error.message()};
  std::sort(files.begin(), files.end());
  if (files.empty())
    return Error{Code::not_found,
                 "load data " + dir_or_file + ": the folder holds no ." +
                     (extension.empty() ? "jsonl, .json, .csv or .parquet" : extension) + " file"};
  return files;
}

bool has_target(const Row& row) {
  return std::find(row.trained.begin(), row.trained.end(), 1) != row.trained.end();
}

Status add_file(const std::string& path, const TrainingConfig& config, const Tokenizer& tokenizer,
                const std::function<bool()>& should_stop, Dataset& out, std::size_t& tokens) {
  const auto max = config.max_length > 0 ? static_cast<std::size_t>(config.max_length) : tokens_max;
  const auto on_row = [&](std::size_t number, std::string_view json) -> Status {
    if (should_stop && should_stop())
      return Error{Code::conflict, "asked to stop while the data was being read"};
    const auto named = [&](const Error& e) {
      return Error{e.code, "load data " + path + ", row " + std::to_string(number) + ": " + e.what};
    };
    const auto example = read_example(json, config);
    if (!example.ok()) return named(example.error());
    auto row = tokenise(example.value(), loss_on_of(example.value(), config), tokenizer);
    if (!row.ok()) return named(row.error());
    Row made = std::move(row).value();
    out.truncated += cut(made, max);
    if (!has_target(made)) {
      ++out.dropped;
      return ok();
    }
    tokens += made.tokens.size();
    if (tokens > tokens_max) return named({Code::invalid, "more than 4 Gi tokens; split the data"});
    out.rows.push_back(std::move(made));
    return ok();
  };
  TRY(read_rows(path, {}, on_row));
  return ok();
}

// Keeps the training share, in file order. As transformers, the held-out part is rounded up.
Status split(const TrainingConfig& config, Dataset& data) {
  const std::size_t n = data.rows.size();
  const double test = std::ceil((1 - config.train_test_split) * static_cast<double>(n) - 1e-9);
  if (test < 1) return ok();
  const auto held_out = static_cast<std::size_t>(test);
  if (held_out >= n)
    return Error{Code::invalid, "load data: train_test_split " +
                                    std::to_string(config.train_test_split) + " leaves none of " +
                                    std::to_string(n) + " rows to train on; set it to 1"};
  auto kept = epoch_order(n, true, config.shuffle_seed, split_epoch);
  kept.resize(n - held_out);
  std::sort(kept.begin(), kept.end());
  std::vector<Row> rows;
  rows.reserve(kept.size());
  for (const auto i : kept) rows.push_back(std::move(data.rows[i]));
  data.rows = std::move(rows);
  data.held_out = held_out;
  return ok();
}

template <class T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
std::string digest_of(const std::vector<Row>& rows) {
  Sha256 sha;
  for (const auto& row : rows) {
    char size[8];
    const std::uint64_t count = row.tokens.size();
    std::memcpy(size, &count, sizeof size);
    sha.update({size, sizeof size});
    sha.update(bytes_of(row.tokens));
    sha.update(bytes_of(row.trained));
  }
  return sha.hex();
}
}  // namespace

Result<Dataset> load_dataset(const std::string& dir_or_file, const TrainingConfig& config,
                             const Tokenizer& tokenizer, const std::function<bool()>& should_stop) {
  Dataset out;
  std::size_t tokens = 0;
  for (const auto& path : TRY(data_files(dir_or_file, config.dataset_extension)))
    TRY(add_file(path, config, tokenizer, should_stop, out, tokens));
  if (out.rows.empty() && out.dropped == 0)
    return Error{Code::invalid, "load data " + dir_or_file + ": no rows"};
  if (out.rows.empty())
    return Error{Code::invalid,
                 "load data " + dir_or_file + ": none of " + std::to_string(out.dropped) +
                     " rows has an answer within max_length " + std::to_string(config.max_length) +
                     " tokens; raise TrainingArguments.max_length, or set "
                     "DatasetConfig.loss_on: all"};
  TRY(split(config, out));
  out.digest = digest_of(out.rows);
  return out;
}
}  // namespace kairo::gpu
