// gpu/engine/tune.h - one fine-tuning run from a model folder and tokens to an adapter, and its
// estimate.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gpu/engine/engine.h"
#include "gpu/engine/trainer.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"
#include "schemas/run_generated.h"

namespace kairo::gpu {
// Everything is decided: no defaults are filled in below here.
struct TuneJob {
  std::string model_dir, output_dir, state_dir;
  std::string copy_dir;    // the result goes there too, e.g. a user's volume; "" = nowhere
  std::string base_model;  // base_model_name_or_path of the adapter
  Method method = Method::lora;
  Type type = Type::f32;  // of compute, as EngineOptions, and so are:
  std::optional<Products> products;
  std::int64_t rank = 8;
  double alpha = 8;
  bool use_rslora = false;
  double dropout = 0;  // as EngineOptions
  LoraTargets targets;
  LoraInit init = LoraInit::uniform;
  std::uint64_t seed = 0;
  ScheduleKind schedule = ScheduleKind::linear;
  ScheduleOptions schedule_options;
  double learning_rate = 2e-5, warmup_ratio = 0, epochs = 1;
  std::int64_t warmup_steps = 0, total_steps = 0;
  std::int64_t save_steps = 0;  // 0: by time
  Update update;                // learning_rate is ignored
  DevicePtr device;             // null: the CPU
  RanksPtr ranks;               // who trains together, each with such a job; null: this process
  int threads = 0;
  std::int64_t budget_bytes = 0;
  std::vector<TrainRow> rows, held_out;    // the tokens must outlive the run
  std::size_t dropped = 0, truncated = 0;  // rows of the data set: only told
  std::string data_digest;
  RowsOfStep rows_of_step;
  EvaluationPlan evaluation;         // of held_out; without rows there: none
  std::int64_t steps_per_epoch = 0;  // each takes every row once; 0: rows_of_step knows no epochs
  // Of the rank that writes: each line of progress.jsonl as it was written. It must not take long.
  std::function<void(const wire::ProgressT&)> on_line;
};
// Process exit codes; the run's owner decides by them whether to start again.
enum class TuneExit : std::uint8_t {
  done = 0,
  internal = 1,   // start again
  permanent = 2,  // bad_config, bad_data, bad_model, out_of_memory: a person must change something
  disk_full = 3,  // start again when there is space
  stopped = 75,   // asked to stop; a checkpoint is there
};
// code: of schemas/run.fbs (bad_config, bad_data, bad_model, out_of_memory, disk_full, internal),
// or stopped: should_stop said so, which is no failure.
struct TuneFailure {
  std::string code, message;
};
// Completes a job whose folders are set: reads the configuration and the data. What the rows view
// must outlive the run.
using PrepareJob = std::function<std::optional<TuneFailure>(TuneJob& job)>;
// Prepares the job (phase Tokenizing) and runs it to its end: progress.jsonl and checkpoints in
// state_dir, the adapter and, last of all, fine_tuning_completed.txt in output_dir, which names the
// run; then the same files in copy_dir. Of several ranks that is done by rank 0; the others prepare
// after it, train with it, and are done with the last step. Where it names this very run, all is
// done already; one of another run is removed before the first step. A checkpoint of the same
// model, data and settings is gone on from. Errors are the last line of progress.jsonl and a log
// line. should_stop is asked between layers (Loading) and between steps; once true it stays true.
TuneExit run_tune(TuneJob job, const PrepareJob& prepare, const Clock& clock,
                  const std::function<bool()>& should_stop);

struct TuneEstimate {
  std::int64_t tokens = 0, trained_tokens = 0, steps = 0;  // over all epochs
  std::int64_t evaluations = 0;
  std::int64_t peak_bytes = 0;
  double seconds = 0;  // on this machine, now, evaluations included: products are timed for two
  // Of a job with a device, whose time is not known: its plan, and what the smallest one takes.
  std::optional<MemoryPlan> on_device;
  std::int64_t least_bytes = 0;
};
// The failures that the run would have before its first step, but for those of the weights' files,
// which are not read here. A device is planned for, not used: without free_bytes one that has room
// for all.
std::optional<TuneFailure> estimate_tune(const TuneJob& job, TuneEstimate& out);
// Whether rows, settings and model go together.
std::optional<TuneFailure> check_job(const TuneJob& job);
TuneFailure model_failure(const Error& error);
// What it trains with, as people compare runs by it: a flat JSON object, under the names of
// training_config.yaml where that has one.
std::string settings_json(const TuneJob& job);
// Hex of everything that decides the parameters after step n.
std::string fingerprint(const TuneJob& job);
// The largest step's (of the first ten thousand steps and ten million rows) and the longest row's
// input tokens: what the memory plan needs. A larger step runs in two parts.
void fill_extremes(EngineOptions& options, const TuneJob& job);
EngineOptions engine_options(const TuneJob& job);
}  // namespace kairo::gpu
