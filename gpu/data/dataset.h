// gpu/data/dataset.h - a data set as token rows with their training targets.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gpu/formats/training_config.h"
#include "gpu/hf/tokenizer.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// trained[i] = 1: token i is a training target. trained[0] is always 0: nothing predicts it.
struct Row {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> trained;  // as long as tokens
};
struct Dataset {
  std::vector<Row> rows;           // to train on, in file order; each has at least one target
  std::vector<Row> held_out_rows;  // kept from training by the configuration; likewise
  std::string digest;              // SHA-256 of all token rows and targets, in hex
  std::size_t truncated = 0;       // rows that were cut to max_length
  std::size_t dropped = 0;         // rows without a target after the cut
  std::size_t nulls_dropped = 0;   // members of messages and tools that Arrow had filled in
};
struct LoadOptions {
  int threads = 1;       // that tokenise; the rows are the same for any number
  std::string held_out;  // a file or folder whose rows are held out; empty: as the split says
  std::function<bool()> should_stop;  // asked before every row, by the calling thread; may be empty
  // Where the rows are kept for the next start; empty: nowhere. A file that is there and is not of
  // the same data and made_by is replaced.
  std::string cache_file;
  std::string
      made_by;  // names what else decides the rows: configuration, tokenizer, template, time
};
// dir_or_file: a data file, or a folder: its data files and those below it are read in the order of
// their paths; names that begin with a dot are passed over.
// Columns, first match wins: the configured ones; messages; conversations (ShareGPT); prompt and
// completion; question with answer or response; instruction (and input) with output or response;
// text. Beside a chat: system (or system_prompt), history, tools.
// A chat is rendered with the tokenizer's template; without one, question and answer kinds fall
// back to plain text. not_found: nothing there. invalid: no rows, unknown columns, a wrong type:
// names file, row and what is accepted. corrupt: a damaged parquet file. conflict: should_stop
// said so.
// Files of options.held_out are not trained on, though dir_or_file hold them.
Result<Dataset> load_dataset(const std::string& dir_or_file, const TrainingConfig& config,
                             const Tokenizer& tokenizer, const LoadOptions& options = {});
}  // namespace kairo::gpu
