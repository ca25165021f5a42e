// gpu/tune_main.cpp - kairo-tune: fine-tunes a model folder, estimates a run, imports GGUF models.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>

#include "gpu/aten/cuda_device.h"
#include "gpu/aten/open_device.h"
#include "gpu/engine/machine.h"
#include "gpu/engine/tune.h"
#include "gpu/formats/files.h"
#include "gpu/formats/gguf.h"
#include "gpu/tune_events.h"
#include "gpu/tune_job.h"
#include "gpu/tune_report.h"
#include "gpu/tune_status_post.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
constexpr int gpus_max = 16;  // of one node
// SIGTERM and SIGINT, which only this notices until it lets them go. Made before any thread starts.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    sigprocmask(SIG_BLOCK, &set_, nullptr);
  }
  void let_go() const { sigprocmask(SIG_UNBLOCK, &set_, nullptr); }
  bool came() {  // once true it stays true
    const timespec now{0, 0};
    came_ = came_ || ::sigtimedwait(&set_, nullptr, &now) > 0;
    return came_;
  }

 private:
  sigset_t set_{};
  bool came_ = false;
};

// bad_config: it cannot be had, or computes something else.
std::optional<TuneFailure> take_device(TuneJob& job, const std::string& name, const Clock& clock) {
  auto opened = open_device(name, clock);
  if (!opened.ok()) return TuneFailure{"bad_config", "--" + opened.error().what};
  log::info("computes on " + opened.value().text);
  job.device = opened.value().device;
  return std::nullopt;
}

// How many GPUs the driver shows. Asked in a process of its own: what has opened a driver cannot be
// forked.
int visible_gpus() {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto facts = open_cuda();
    ::_exit(facts.ok() ? std::min(facts.value().devices, gpus_max) : 0);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 0;
  return WEXITSTATUS(status);
}
// The ranks of a run; each from here on sees one GPU. gpus 0: all that there are.
Result<RanksPtr> take_ranks(int gpus, const std::string& device) {
  const bool may_be_gpu = device == "cuda" || device == "auto";
  const int count = gpus > 0 ? gpus : may_be_gpu ? visible_gpus() : 1;
  if (count <= 1) return RanksPtr();
  const RanksPtr ranks = TRY(Ranks::start(count));
  if (ranks->rank() > 0) log::start("kairo-tune " + std::to_string(ranks->rank() + 1), "warn");
  if (may_be_gpu) {
    const std::string own = visible_device(std::getenv("CUDA_VISIBLE_DEVICES"), ranks->rank());
    ::setenv("CUDA_VISIBLE_DEVICES", own.c_str(), 1);
  }
  if (ranks->rank() == 0) log::info("trains with", {{"processes", std::to_string(count)}});
  return ranks;
}

int train(const TuneInput& input, TuneJob job, const std::string& device, StopSignals& signals,
          const std::string& logs) {
  const std::function<bool()> should_stop = [&] { return signals.came(); };
  const SystemClock clock;
  Dataset data;
  EventFiles events(logs, job.state_dir + "/progress.jsonl");
  const bool writes = job.ranks == nullptr || job.ranks->rank() == 0;
  const auto told = writes ? status_post_of([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  })
                           : nullptr;
  job.on_line = [&](const wire::ProgressT& line) {
    if (!logs.empty()) events.take(line);
    if (told != nullptr) told->take(line);
  };
  const auto end = run_tune(
      std::move(job),
      [&](TuneJob& j) {
        if (auto absent = take_device(j, device, clock)) return absent;
        const auto failed = prepare_tune_job(j, data, input, clock, should_stop);
        if (!failed)
          log::info("data", {{"rows", std::to_string(data.rows.size())},
                             {"truncated", std::to_string(data.truncated)},
                             {"dropped", std::to_string(data.dropped)},
                             {"held_out", std::to_string(data.held_out_rows.size())}});
        return failed;
      },
      clock, should_stop);
  return static_cast<int>(end);
}

int refuse(const std::string& code, const std::string& why) {
  log::error("refused", {{"code", code}, {"why", why}});
  return static_cast<int>(TuneExit::permanent);
}

// What a run would compute on, to plan for; it need not be there. gib 0: of the memory that is free
// here; without a GPU, enough. Null: the CPU.
DevicePtr planned_device(const std::string& name, double gib) {
  if (name == "cpu") return nullptr;
  const auto facts = open_cuda();
  if (name == "auto" && gib == 0 && !facts.ok()) return nullptr;
  Device device{"cuda", facts.ok() ? facts.value().text() : "a GPU", {}, 0, {}};
  device.by_kernels = device.by_flash = true;
  constexpr double gib_bytes = 1 << 30;
  device.free_bytes = gib > 0      ? static_cast<std::int64_t>(gib * gib_bytes)
                      : facts.ok() ? facts.value().free_bytes
                                   : 0;
  return std::make_shared<const Device>(std::move(device));
}

int estimate(const TuneInput& input, TuneJob job, bool as_json) {
  const SystemClock clock;
  Dataset data;
  if (!job.state_dir.empty())
    if (const auto made = make_folders(job.state_dir); !made.ok())
      return refuse("bad_config", "--state: " + made.error().what);
  if (const auto failed = prepare_tune_job(job, data, input, clock))
    return refuse(failed->code, failed->message);
  TuneEstimate e;
  if (const auto failed = estimate_tune(job, e)) return refuse(failed->code, failed->message);
  std::puts((as_json ? estimate_json(job, e) : estimate_text(job, e)).c_str());
  return 0;
}

int self_test(const std::string& device) {
  const auto opened = open_device(device, SystemClock());
  if (!opened.ok()) return refuse("bad_config", "--" + opened.error().what);
  std::puts(opened.value().text.c_str());
  return 0;
}

int import(const std::string& gguf, const std::string& dir, ImportAs as) {
  const auto progress = [](std::size_t written, std::size_t total) {
    if (written == total) log::info("imported", {{"tensors", std::to_string(total)}});
  };
  const auto done = import_gguf(gguf, dir, progress, as);
  if (done.ok()) return 0;
  if (done.error().code == Code::unavailable) {
    log::error("import failed", {{"why", done.error().what}});
    return static_cast<int>(TuneExit::disk_full);
  }
  return refuse("bad_model", done.error().what);
}

void add_input(CLI::App& command, TuneInput& input) {
  command
      .add_option("--model", input.model_dir, "Model folder: config.json, *.safetensors, tokenizer")
      ->required();
  command.add_option("--data", input.data, "Data file or folder (.jsonl .json .csv .parquet)")
      ->required();
  command.add_option(
      "--config", input.config_file,
      "training_config.yaml; absent: KAITO's defaults, which hold 20 % of the rows out");
  command
      .add_option("--method", input.method, "lora (base in bf16 or fp32) or qlora (base in NF4)")
      ->check(CLI::IsMember({"lora", "qlora"}))
      ->required();
  command.add_option("--name", input.name, "base_model_name_or_path of the adapter");
  command.add_option("--threads", input.threads, "0 = all usable cores");
}

int run(int argc, char** argv) {
  StopSignals signals;
  log::start("kairo-tune");
  CLI::App app{"kairo-tune - LoRA and QLoRA fine-tuning, resumable and reproducible"};
  app.require_subcommand(1);
  app.footer(
      "A first run:\n"
      "  kairo-tune import model.gguf model/\n"
      "  kairo-tune estimate --model model --data rows.jsonl --method qlora\n"
      "  kairo-tune train --model model --data rows.jsonl --method qlora --output out --state run\n"
      "run/progress.jsonl says where it stands; started again, it goes on from run/checkpoints.\n"
      "Exit codes: 0 done, 1 internal (start again), 2 change the input, 3 disk full, 75 stopped\n"
      "with a checkpoint (start again).");
  TuneInput input;
  TuneJob job;
  int gpus = 0;
  std::string gguf, model_dir, import_as = "stored", device = "auto", logs;
  double gpu_memory = 0;
  bool as_json = false;
  auto* train_command = app.add_subcommand("train", "Fine-tune; resumes from --state");
  auto* estimate_command =
      app.add_subcommand("estimate", "Tokens, steps, memory and time of a run");
  auto* self_test_command =
      app.add_subcommand("selftest", "Whether a device computes what the CPU does, call by call");
  auto* import_command = app.add_subcommand("import", "GGUF model file -> model folder");
  add_input(*train_command, input);
  add_input(*estimate_command, input);
  train_command->add_option("--output", job.output_dir, "Folder for the adapter")->required();
  train_command->add_option("--state", job.state_dir, "Folder for progress and checkpoints")
      ->required();
  for (CLI::App* command : {train_command, self_test_command})
    command->add_option("--device", device, devices_in_words)->capture_default_str();
  train_command
      ->add_option("--gpus", gpus,
                   "GPUs that train together, a process each; 0: all that there are. With --device "
                   "cpu: so many processes, 0 is one")
      ->check(CLI::Range(0, gpus_max));
  train_command->add_option("--copy-to", job.copy_dir, "Folder that gets a copy of the adapter");
  train_command->add_option("--logs", logs,
                            "Folder for TensorBoard's event files, which follow the training");
  estimate_command->add_option("--state", job.state_dir,
                               "Folder of the run to come: keeps the tokenised rows for it");
  estimate_command
      ->add_option("--device", device,
                   "What would compute: cpu, cuda (whether or not a GPU is here), auto: cuda where "
                   "it can be used")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->capture_default_str();
  estimate_command
      ->add_option("--gpu-memory", gpu_memory,
                   "GiB of the GPU to plan for; 0: what is free here, without a GPU enough")
      ->check(CLI::Range(0.0, 65536.0));
  estimate_command->add_flag("--json", as_json, "One JSON object");
  import_command->add_option("gguf", gguf, "The file")->required();
  import_command->add_option("dir", model_dir, "The folder to make")->required();
  import_command
      ->add_option("--as", import_as,
                   "stored: quantised matrices stay as they are, for kairo alone; f32: for other "
                   "programs, at four bytes a weight")
      ->check(CLI::IsMember({"stored", "f32"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(TuneExit::permanent);
  }
  if (train_command->parsed()) {
    auto ranks = take_ranks(gpus, device);
    if (!ranks.ok()) {
      log::error("run failed", {{"why", ranks.error().what}});
      return static_cast<int>(TuneExit::internal);
    }
    job.ranks = std::move(ranks).value();
    return train(input, std::move(job), device, signals, logs);
  }
  signals.let_go();  // Ctrl-C ends what leaves nothing behind
  if (self_test_command->parsed()) return self_test(device);
  if (estimate_command->parsed()) {
    job.device = planned_device(device, gpu_memory);
    return estimate(input, std::move(job), as_json);
  }
  return import(gguf, model_dir, import_as == "f32" ? ImportAs::f32 : ImportAs::stored);
}
}  // namespace
}  // namespace kairo::gpu

int main(int argc, char** argv) {
  kairo::gpu::restart_with_short_spins(argv);
  return kairo::gpu::run(argc, argv);
}
