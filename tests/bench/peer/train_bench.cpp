// tests/bench/peer/train_bench.cpp - trains a model folder on tokens and measures speed.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "gpu/aten/open_device.h"
#include "gpu/aten/peak_memory.h"
#include "gpu/engine/machine.h"
#include "gpu/engine/rows_file.h"
#include "gpu/engine/tune.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
using nlohmann::ordered_json;

// What the command line says; turned into a TuneJob once.
struct Options {
  std::string model, rows, method = "lora", schedule = "linear", type = "fp32", device = "cpu";
  std::vector<std::string> targets = {"all-linear"};
  std::int64_t rank = 16, batch = 8, steps = 0, warmup_steps = 0, held_out = 0;
  double alpha = 32, learning_rate = 2e-4, epochs = 1, clip = 1.0, weight_decay = 0;
  std::uint64_t seed = 0;
  int threads = 0;
};

Result<TuneJob> make_job(const Options& o, const RowsFile& rows) {
  TuneJob job;
  job.model_dir = o.model;
  job.method = o.method == "qlora" ? Method::qlora : Method::lora;
  job.type = o.type == "fp32" ? Type::f32 : Type::bf16;
  if (o.type == "mkl") job.products = Products::mkl;
  if (o.type == "onednn") job.products = Products::onednn;
  job.rank = o.rank;
  job.alpha = o.alpha;
  job.targets = o.targets;
  job.seed = o.seed;
  job.schedule = TRY(parse_schedule(o.schedule));
  job.learning_rate = o.learning_rate;
  job.warmup_steps = o.warmup_steps;
  job.epochs = o.epochs;
  job.update.gradient_norm_max = o.clip;
  job.update.weight_decay = o.weight_decay;
  job.threads = o.threads;
  job.rows = rows.rows();
  const auto apart = std::clamp<std::ptrdiff_t>(o.held_out, 0, std::ssize(job.rows) - 1);
  job.held_out.assign(job.rows.end() - apart, job.rows.end());
  job.rows.resize(job.rows.size() - job.held_out.size());
  job.evaluation.at_end = !job.held_out.empty();
  job.data_digest = rows.digest;
  const auto n = static_cast<std::int64_t>(job.rows.size());
  const std::int64_t per_epoch = (n + o.batch - 1) / o.batch;
  job.total_steps =
      o.steps > 0 ? o.steps : static_cast<std::int64_t>(static_cast<double>(per_epoch) * o.epochs);
  // File order, epoch after epoch; an epoch's last step may be smaller.
  job.rows_of_step = [n, per_epoch, batch = o.batch](std::int64_t step) {
    std::vector<std::size_t> out;
    const std::int64_t first = step % per_epoch * batch;
    for (std::int64_t i = first; i < std::min(first + batch, n); ++i)
      out.push_back(static_cast<std::size_t>(i));
    return out;
  };
  return job;
}

int refuse(const std::string& why) {
  log::error("refused", {{"why", why}});
  return static_cast<int>(TuneExit::permanent);
}

int estimate(const TuneJob& job) {
  TuneEstimate e;
  if (const auto failed = estimate_tune(job, e)) return refuse(failed->message);
  const ordered_json out = {{"tokens", e.tokens},
                            {"steps", e.steps},
                            {"peak_bytes", e.peak_bytes},
                            {"seconds", e.seconds}};
  std::puts(out.dump().c_str());
  return 0;
}

// Steps without files: tokens per second after the first step, losses, peak memory; one JSON line.
int measure(const TuneJob& job) {
  const SystemClock clock;
  const std::int64_t began = clock.monotonic_ms();
  auto loaded = Engine::load(engine_options(job));
  if (!loaded.ok()) return refuse(loaded.error().what);
  const auto engine = std::move(loaded).value();
  const std::int64_t loaded_ms = clock.monotonic_ms() - began;
  ordered_json losses = ordered_json::array(), step_tokens = losses, step_seconds = losses;
  std::int64_t tokens = 0, first_ms = 0, after_first = 0;
  Update update = job.update;
  const Schedule schedule{job.schedule, job.learning_rate, job.total_steps, job.warmup_steps};
  for (std::int64_t step = 0; step < job.total_steps; ++step) {
    const std::int64_t step_began = clock.monotonic_ms();
    std::vector<TrainRow> bag;
    std::int64_t targets = 0, bag_tokens = 0;
    for (const auto i : job.rows_of_step(step)) {
      bag.push_back(job.rows[i]);
      targets += targets_of(job.rows[i]);
      bag_tokens += static_cast<std::int64_t>(job.rows[i].tokens.size());
    }
    const auto sum = engine->accumulate(bag, targets, step);
    if (!sum.ok()) return refuse(sum.error().what);
    update.learning_rate = learning_rate(schedule, step);
    engine->update(update, step + 1);
    const std::int64_t now = clock.monotonic_ms();
    step_tokens.push_back(bag_tokens);
    step_seconds.push_back(static_cast<double>(now - step_began) / 1000);
    losses.push_back(sum.value() / static_cast<double>(targets));
    if (step == 0)
      first_ms = clock.monotonic_ms();
    else
      tokens += bag_tokens;
    after_first = clock.monotonic_ms() - first_ms;
  }
  double held_out = 0;
  if (!job.held_out.empty()) {
    std::int64_t targets = 0;
    for (const auto& row : job.held_out) targets += targets_of(row);
    const auto sum = engine->evaluate(job.held_out);
    if (!sum.ok()) return refuse(sum.error().what);
    held_out = sum.value() / static_cast<double>(targets);
  }
  const auto seconds = static_cast<double>(after_first) / 1000;
  const ordered_json out = {
      {"tokens_per_second", seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0},
      {"seconds", seconds},
      {"load_seconds", static_cast<double>(loaded_ms) / 1000},
      {"first_step_at_seconds", static_cast<double>(first_ms - began) / 1000},
      {"peak_rss_bytes", peak_resident_bytes()},
      {"peak_device_bytes", peak_gpu_bytes()},
      {"products", engine->products().text},
      {"planned_peak_bytes", engine->plan().peak_bytes()},
      {"held_out_loss", held_out},
      {"losses", losses},
      {"step_tokens", step_tokens},
      {"step_seconds", step_seconds}};
  std::puts(out.dump().c_str());
  return 0;
}

void add_options(CLI::App& app, Options& o) {
  app.add_option("--model", o.model, "Model folder: config.json and *.safetensors")->required();
  app.add_option("--rows", o.rows, "Tokenised rows (rows.tokens, rows.trained, rows.lengths)")
      ->required();
  app.add_option("--method", o.method, "lora (base in bf16 or fp32) or qlora (base in NF4)")
      ->check(CLI::IsMember({"lora", "qlora"}));
  app.add_option("--type", o.type,
                 "fp32, bf16 (as the CPU likes it), mkl or onednn (whatever it likes)")
      ->check(CLI::IsMember({"fp32", "bf16", "mkl", "onednn"}));
  app.add_option("--device", o.device, devices_in_words);
  app.add_option("--rank", o.rank, "LoRA r");
  app.add_option("--alpha", o.alpha, "LoRA alpha");
  app.add_option("--target", o.targets, "Modules to adapt, or all-linear");
  app.add_option("--learning-rate", o.learning_rate, "Peak rate");
  app.add_option("--schedule", o.schedule, "linear, cosine, constant, constant_with_warmup");
  app.add_option("--warmup-steps", o.warmup_steps, "Steps of linear warm-up");
  app.add_option("--batch", o.batch, "Rows of an optimizer step")->check(CLI::PositiveNumber);
  app.add_option("--epochs", o.epochs, "Passes over the rows");
  app.add_option("--steps", o.steps, "Optimizer steps; wins over --epochs");
  app.add_option("--held-out", o.held_out, "The last so many rows: evaluated at the end");
  app.add_option("--clip", o.clip, "Largest gradient norm; 0 = no clipping");
  app.add_option("--weight-decay", o.weight_decay, "Decoupled weight decay");
  app.add_option("--seed", o.seed, "Of the initial adapter");
  app.add_option("--threads", o.threads, "0 = all usable cores");
}

int run(int argc, char** argv) {
  log::start("train_bench");
  Options o;
  bool only_estimate = false;
  CLI::App app{"train_bench - speed and memory of training on tokenised rows"};
  add_options(app, o);
  app.add_flag("--estimate", only_estimate, "Print the estimate instead");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(TuneExit::permanent);
  }
  const auto rows = load_rows_file(o.rows);
  if (!rows.ok()) return refuse(rows.error().what);
  auto made = make_job(o, rows.value());
  if (!made.ok()) return refuse(made.error().what);
  TuneJob job = std::move(made).value();
  const auto device = open_device(o.device, SystemClock());
  if (!device.ok()) return refuse(device.error().what);
  job.device = device.value().device;
  if (job.products && !is_possible(*job.products)) {
    log::error("refused", {{"why", "this CPU has no bf16 instructions"}});
    return 77;
  }
  return only_estimate ? estimate(job) : measure(job);
}
}  // namespace
}  // namespace kairo::gpu

int main(int argc, char** argv) {
  return kairo::gpu::run(argc, argv);
}
