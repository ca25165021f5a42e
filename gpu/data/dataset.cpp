// gpu/data/dataset.cpp - data files to token rows, with a digest of what came out.
#include "gpu/data/dataset.h"

#include <strings.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "gpu/data/example.h"
#include "gpu/data/masks.h"
#include "gpu/data/order.h"
#include "gpu/data/row_cache.h"
#include "gpu/hf/rows.h"
#include "schemas/base/log.h"

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

// In parquet every struct has every member, null where the row had none.
bool is_arrow_file(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot != std::string::npos && ::strcasecmp(path.c_str() + dot, ".parquet") == 0;
}
bool has_target(const Row& row) {
  return std::find(row.trained.begin(), row.trained.end(), 1) != row.trained.end();
}

// work(i) for every i below n, on so many threads.
template <class Work>
void for_each_of(std::size_t n, int threads, const Work& work) {
  std::atomic<std::size_t> next{0};
  const auto run = [&] {
    for (std::size_t i = next++; i < n; i = next++) work(i);
  };
  const auto others = std::min<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)) - 1, n);
  std::vector<std::jthread> crew;
  for (std::size_t t = 0; t < others; ++t) crew.emplace_back(run);
  run();
}
// Rows of one file on their way to tokens: read one after the other, tokenised side by side.
class FileRows {
 public:
  FileRows(const std::string& path, const TrainingConfig& config, const Tokenizer& tokenizer,
           int threads, Dataset& out, std::size_t& tokens, std::string& why)
      : path_(path),
        config_(config),
        tokenizer_(tokenizer),
        threads_(threads),
        out_(out),
        tokens_(tokens),
        why_(why) {}
  Status add(std::size_t number, std::string_view json) {
    if (batch_.empty()) first_number_ = number;
    batch_.emplace_back(json);
    bytes_ += json.size();
    return batch_.size() == batch_rows || bytes_ >= batch_bytes ? flush() : ok();
  }
  Status flush() {
    made_.assign(batch_.size(), {});
    for_each_of(batch_.size(), threads_, [&](std::size_t i) { made_[i] = make(batch_[i]); });
    for (std::size_t i = 0; i < batch_.size(); ++i) TRY(take(first_number_ + i, made_[i]));
    batch_.clear();
    bytes_ = 0;
    return ok();
  }

 private:
  struct Made {
    Row row;
    bool truncated = false;
    std::size_t nulls_dropped = 0;
    std::string why_untrained;
    std::optional<Error> error;
  };
  static constexpr std::size_t batch_rows = 2048, batch_bytes = 16 << 20;

  Made make(std::string_view json) const {
    Made made;
    const auto example = read_example(json, config_, is_arrow_file(path_));
    if (!example.ok()) return {{}, false, 0, "", example.error()};
    auto row = tokenise(example.value(), loss_on_of(example.value(), config_), tokenizer_);
    if (!row.ok()) return {{}, false, 0, "", row.error()};
    made.row = std::move(row).value();
    if (!has_target(made.row)) made.why_untrained = why_untrained(example.value());
    made.truncated =
        cut(made.row,
            config_.max_length > 0 ? static_cast<std::size_t>(config_.max_length) : tokens_max);
    made.nulls_dropped = example.value().nulls_dropped;
    return made;
  }
  Status take(std::size_t number, Made& made) {
    const auto named = [&](const Error& e) {
      return Error{e.code,
                   "load data " + path_ + ", row " + std::to_string(number) + ": " + e.what};
    };
    if (made.error) return named(*made.error);
    out_.truncated += made.truncated;
    out_.nulls_dropped += made.nulls_dropped;
    if (!has_target(made.row)) {
      ++out_.dropped;
      if (why_.empty() && !made.why_untrained.empty())
        why_ = "row " + std::to_string(number) + " of " + path_ + ": " + made.why_untrained;
      return ok();
    }
    tokens_ += made.row.tokens.size();
    if (tokens_ > tokens_max)
      return named({Code::invalid, "more than 4 Gi tokens; split the data"});
    out_.rows.push_back(std::move(made.row));
    return ok();
  }

  const std::string& path_;
  const TrainingConfig& config_;
  const Tokenizer& tokenizer_;
  int threads_;
  Dataset& out_;
  std::size_t& tokens_;
  std::string& why_;  // the first row without an answer
  std::vector<std::string> batch_;
  std::vector<Made> made_;
  std::size_t first_number_ = 0, bytes_ = 0;
};

// Takes the held-out share out of the rows; both stay in file order. As transformers, the held-out
// part is rounded up.
Status split(const TrainingConfig& config, Dataset& data) {
  const std::size_t n = data.rows.size();
  const double test = std::ceil((1 - config.train_test_split) * static_cast<double>(n) - 1e-9);
  if (test < 1) return ok();
  const auto held_out = static_cast<std::size_t>(test);
  if (held_out >= n)
    return Error{Code::invalid, "load data: train_test_split " +
                                    std::to_string(config.train_test_split) + " leaves none of " +
                                    std::to_string(n) + " rows to train on; set it to 1"};
  const auto kept = epoch_order(n, true, config.shuffle_seed, split_epoch);
  std::vector<bool> is_trained(n);
  for (std::size_t i = 0; i < n - held_out; ++i) is_trained[kept[i]] = true;
  std::vector<Row> rows;
  rows.reserve(n - held_out);
  for (std::size_t i = 0; i < n; ++i)
    (is_trained[i] ? rows : data.held_out_rows).push_back(std::move(data.rows[i]));
  data.rows = std::move(rows);
  return ok();
}

// The rows of all files, which go to out.rows.
Status tokenise_files(const std::string& dir_or_file, const std::vector<std::string>& files,
                      const TrainingConfig& config, const Tokenizer& tokenizer,
                      const LoadOptions& options, Dataset& out) {
  std::size_t tokens = 0;
  const std::size_t dropped_before = std::exchange(out.dropped, 0);
  std::string why;
  for (const auto& path : files) {
    FileRows rows(path, config, tokenizer, options.threads, out, tokens, why);
    TRY(read_rows(path, {}, [&](std::size_t number, std::string_view json) -> Status {
      if (options.should_stop && options.should_stop())
        return Error{Code::conflict, "asked to stop while the data was being read"};
      return rows.add(number, json);
    }));
    TRY(rows.flush());
  }
  if (out.rows.empty() && out.dropped == 0)
    return Error{Code::invalid, "load data " + dir_or_file + ": no rows"};
  if (out.rows.empty() && !why.empty())
    return Error{Code::invalid, "load data " + dir_or_file + ": none of " +
                                    std::to_string(out.dropped) + " rows has an answer: " + why};
  if (!why.empty()) log::warn("rows without an answer are left out", {{"first", why}});
  if (out.rows.empty())
    return Error{Code::invalid,
                 "load data " + dir_or_file + ": none of " + std::to_string(out.dropped) +
                     " rows has an answer within max_length " + std::to_string(config.max_length) +
                     " tokens; raise TrainingArguments.max_length, or set "
                     "DatasetConfig.loss_on: all"};
  out.dropped += dropped_before;
  return ok();
}
struct DataFiles {
  std::vector<std::string> trained, held_out;
  std::vector<std::string> all() const {
    std::vector<std::string> out = trained;
    out.insert(out.end(), held_out.begin(), held_out.end());
    return out;
  }
};
Result<DataFiles> files_of(const std::string& dir_or_file, const std::string& extension,
                           const std::string& held_out) {
  DataFiles out;
  out.trained = TRY(data_files(dir_or_file, extension));
  if (held_out.empty()) return out;
  out.held_out = TRY(data_files(held_out, extension));
  std::erase_if(out.trained, [&](const std::string& path) {
    return std::ranges::any_of(out.held_out, [&](const std::string& other) {
      return fs::path(path).lexically_normal() == fs::path(other).lexically_normal();
    });
  });
  if (out.trained.empty())
    return Error{Code::invalid, "load data " + dir_or_file + ": DatasetConfig.validation_file " +
                                    "names all of its files; leave one to train on"};
  return out;
}
Result<Dataset> tokenise_all(const std::string& dir_or_file, const DataFiles& files,
                             const TrainingConfig& config, const Tokenizer& tokenizer,
                             const LoadOptions& options) {
  Dataset out;
  TRY(tokenise_files(dir_or_file, files.trained, config, tokenizer, options, out));
  TRY(split(config, out));
  if (!files.held_out.empty()) {
    std::vector<Row> trained = std::exchange(out.rows, {});
    TRY(tokenise_files(options.held_out, files.held_out, config, tokenizer, options, out));
    out.held_out_rows = std::exchange(out.rows, std::move(trained));
  }
  out.digest = digest_of(out);
  return out;
}
}  // namespace

Result<Dataset> load_dataset(const std::string& dir_or_file, const TrainingConfig& config,
                             const Tokenizer& tokenizer, const LoadOptions& options) {
  const auto files = TRY(files_of(dir_or_file, config.dataset_extension, options.held_out));
  if (options.cache_file.empty())
    return tokenise_all(dir_or_file, files, config, tokenizer, options);
  const auto key = rows_key(files.all(), options.made_by);
  if (key.ok()) {
    auto kept = load_rows(options.cache_file, key.value());
    if (kept.ok()) {
      log::info("rows are as at the last start",
                {{"rows", std::to_string(kept.value().rows.size())}});
      return kept;
    }
  }
  Dataset made = TRY(tokenise_all(dir_or_file, files, config, tokenizer, options));
  if (!key.ok()) return made;
  const auto saved = save_rows(options.cache_file, key.value(), made);
  if (!saved.ok()) log::warn("rows are not kept for the next start", {{"why", saved.error().what}});
  return made;
}
}  // namespace kairo::gpu
