// tests/gpu/engine/tune_test.cpp - a run leaves a PEFT folder and the sentinel; stopped, killed or
// with a damaged checkpoint it ends with the same bytes; every failure has its code.
#include "gpu/engine/tune.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "gpu/aten/aten_ops.h"
#include "gpu/engine/machine.h"
#include "gpu/formats/files.h"
#include "gpu/formats/model_config.h"
#include "gpu/model/lora_choice.h"
#include "tests/gpu/engine/tune_bench.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

using namespace test;
// So little memory that a step's rows do not run all at once.
std::int64_t tight_budget(const TuneJob& j) {
  const auto config = load_model_config(j.model_dir).value();
  const auto lora = make_lora_layout(config, j.rank, 2.0, j.targets).value();
  const auto o = engine_options(j);
  MemoryRequest request{o.method, o.tokens_per_step, o.longest_row, 1, 1 << 30, {}, false};
  const auto roomy = plan_memory(config, lora, request).value();
  for (request.budget_bytes = roomy.peak_bytes();; request.budget_bytes -= 1 << 10)
    if (plan_memory(config, lora, request).value().microbatch_tokens < roomy.microbatch_tokens)
      return request.budget_bytes;
}
// So little that rows run one by one.
std::int64_t least_budget(const TuneJob& j) {
  const auto config = load_model_config(j.model_dir).value();
  const auto lora = make_lora_layout(config, j.rank, 2.0, j.targets).value();
  const auto o = engine_options(j);
  MemoryRequest request;
  request.method = o.method;
  request.tokens_per_step = o.tokens_per_step;
  request.longest_row = o.longest_row;
  request.data_bytes = o.data_bytes;
  return smallest_plan(config, lora, request).peak_bytes();
}
}  // namespace

TEST_CASE_FIXTURE(TuneBench,
                  "a copy of the result: whole, the sentinel last, made up for after a failure") {
  TuneJob j = job("copied");
  j.copy_dir = folder.path() + "/volume";
  CHECK(run(j, never()) == TuneExit::internal);  // no such folder: the result itself is safe
  CHECK(progress(j).back()["message"].get<std::string>().starts_with("the output volume: create "));
  CHECK(fs::exists(j.output_dir + "/fine_tuning_completed.txt"));
  fs::create_directories(j.copy_dir);
  REQUIRE(write_file(j.copy_dir + "/fine_tuning_completed.txt", "another run's").ok());
  CHECK(run(j, never()) == TuneExit::done);
  for (const auto& entry : fs::directory_iterator(j.output_dir)) {
    const std::string name = "/" + entry.path().filename().string();
    CHECK(read_file(j.copy_dir + name, 1 << 20).value() ==
          read_file(j.output_dir + name, 1 << 20).value());
  }
  CHECK(std::distance(fs::directory_iterator(j.copy_dir), fs::directory_iterator()) == 3);
}

TEST_CASE_FIXTURE(TuneBench, "a run ends with an adapter, the sentinel and a Done line") {
  const TuneJob j = job("plain");
  CHECK(run(j, never()) == TuneExit::done);
  CHECK(fs::exists(j.output_dir + "/fine_tuning_completed.txt"));
  const auto lines = progress(j);
  REQUIRE(lines.size() >= 5);
  CHECK(lines.front()["phase"] == "Starting");
  CHECK(lines.back()["phase"] == "Done");
  CHECK(lines.back()["step"] == 9);
  CHECK(lines.back()["total_steps"] == 9);
  CHECK(lines.back()["attempt"] == 1);
  CHECK(lines.back()["loss"].get<double>() > 0);
  CHECK(lines.back()["tokens"].get<int>() > 0);
  const auto settings = std::count_if(lines.begin(), lines.end(),
                                      [](const json& line) { return line.contains("settings"); });
  CHECK(settings == 1);
  const auto training = std::find_if(lines.begin(), lines.end(),
                                     [](const json& line) { return line["phase"] == "Training"; });
  CHECK((*training)["settings"]["r"] == 4);
  CHECK((*training)["settings"]["learning_rate"] == 1e-2);
  CHECK((*training)["settings"]["rows_per_step"] == 3);
  CHECK((*training)["settings"]["target_modules"] == "q_proj v_proj down_proj");
  const auto adapter = load_adapter(j.output_dir);
  REQUIRE_MESSAGE(adapter.ok(), adapter.error().what);
  CHECK(adapter.value().config.targets.names ==
        std::vector<std::string>{"down_proj", "q_proj", "v_proj"});
  CHECK(adapter.value().modules.size() == 6);

  SUBCASE("started again, it is done at once and touches nothing") {
    const auto before = fs::last_write_time(j.output_dir + "/adapter_model.safetensors");
    CHECK(run(j, never()) == TuneExit::done);
    CHECK(fs::last_write_time(j.output_dir + "/adapter_model.safetensors") == before);
    const auto last = progress(j).back();
    CHECK(last["attempt"] == 2);
    for (const char* figure : {"phase", "step", "total_steps", "loss", "tokens", "epoch"})
      CHECK(last[figure] == lines.back()[figure]);
  }
  SUBCASE("another run's result in the output folder is replaced") {
    const std::string old = adapter_bytes(j);
    TuneJob other = j;
    other.state_dir += "-of-another";
    other.learning_rate = 2e-2;
    REQUIRE(run(other, after(5)) == TuneExit::stopped);
    CHECK_FALSE(fs::exists(j.output_dir + "/fine_tuning_completed.txt"));
    CHECK(run(other, never()) == TuneExit::done);
    CHECK(fs::exists(j.output_dir + "/fine_tuning_completed.txt"));
    CHECK(adapter_bytes(other) != old);
    CHECK(progress(other).back()["step"] == 9);
  }
  SUBCASE("a result without its adapter is made again") {
    fs::remove(j.output_dir + "/adapter_model.safetensors");
    CHECK(run(j, never()) == TuneExit::done);
    CHECK(fs::exists(j.output_dir + "/adapter_model.safetensors"));
  }
}

TEST_CASE_FIXTURE(TuneBench, "one trainer at a time; a killed one's half checkpoint is cleared") {
  const TuneJob j = job("twice");
  const std::string half = j.state_dir + "/checkpoints/.writing-checkpoint-4";
  REQUIRE(make_folders(half).ok());
  std::ofstream(half + "/state.safetensors") << "half";
  bool second_ran = false;
  TuneExit second = TuneExit::done;
  const auto look = [&] {
    if (!second_ran) {
      second_ran = true;
      second = run(j, never());
    }
    return false;
  };
  CHECK(run(j, look) == TuneExit::done);
  CHECK(second == TuneExit::internal);
  for (const auto& line : progress(j)) CHECK(line["attempt"] == 1);
  CHECK_FALSE(fs::exists(half));
}

TEST_CASE_FIXTURE(TuneBench, "interrupted runs end with the bytes of an undisturbed one") {
  const TuneJob whole = job("whole");
  REQUIRE(run(whole, never()) == TuneExit::done);

  SUBCASE("stopped at every step") {
    const TuneJob j = job("stopped");
    TuneExit end = TuneExit::stopped;
    int attempts = 0;
    for (; end == TuneExit::stopped && attempts < 20; ++attempts) end = run(j, after(1));
    CHECK(end == TuneExit::done);
    CHECK(attempts == 9);
    CHECK(progress(j).back()["resumed_from"] == 8);
    CHECK(adapter_bytes(j) == adapter_bytes(whole));
  }
  SUBCASE("the newest checkpoint is damaged: the one before serves") {
    const TuneJob j = job("damaged");
    REQUIRE(run(j, after(5)) == TuneExit::stopped);
    const std::string newest = j.state_dir + "/checkpoints/checkpoint-5/state.safetensors";
    REQUIRE(fs::exists(newest));
    {
      std::fstream file(newest, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-9, std::ios::end);
      file.put('x');
    }
    CHECK(run(j, never()) == TuneExit::done);
    CHECK(progress(j).back()["resumed_from"] == 4);
    CHECK(adapter_bytes(j) == adapter_bytes(whole));
  }
  SUBCASE("with more memory than before, it sums in the same order") {
    TuneJob tight = job("tight"), disturbed = job("disturbed");
    tight.budget_bytes = disturbed.budget_bytes = tight_budget(tight);
    REQUIRE(run(tight, never()) == TuneExit::done);
    REQUIRE(run(disturbed, after(5)) == TuneExit::stopped);
    disturbed.budget_bytes = 1 << 30;
    CHECK(run(disturbed, never()) == TuneExit::done);
    CHECK(progress(disturbed).back()["resumed_from"] == 5);
    CHECK(adapter_bytes(disturbed) == adapter_bytes(tight));
  }
  SUBCASE("with too little memory for that, it says so") {
    const TuneJob j = job("less");
    REQUIRE(run(j, after(5)) == TuneExit::stopped);
    EngineOptions options = engine_options(j);
    const auto dir = j.state_dir + "/checkpoints";
    const auto state = read_file(dir + "/checkpoint-5/state.json", 1 << 16).value();
    const auto found = load_checkpoint(dir, json::parse(state)["fingerprint"].get<std::string>());
    REQUIRE(found.ok());
    options.as_before = found.value().state.shape;
    CHECK(resume(*Engine::load(options).value(), found).note == "goes on from step 5");
    options.budget_bytes = least_budget(j);
    const auto note = resume(*Engine::load(options).value(), found).note;
    CHECK(note.find("goes on from step 5; not bit-equal to an undisturbed run") == 0);
    struct Case {
      std::string name, part;
      std::function<void(ComputeShape&)> change;
    };
    const Case cases[] = {
        {"threads", "9 / 1 threads", [](ComputeShape& s) { s.threads = 9; }},
        {"CPU", "AVX512, GenuineIntel / ",
         [](auto& s) { s.instruction_set = "AVX512, GenuineIntel"; }},
        {"library", "libtorch 2.9.0 / libtorch ",
         [](ComputeShape& s) { s.library = "libtorch 2.9.0"; }},
        {"an older checkpoint", "not known / libtorch ", [](ComputeShape& s) { s.library = ""; }}};
    options.budget_bytes = 1 << 30;
    for (const auto& c : cases) {
      CAPTURE(c.name);
      Checkpoint changed = found.value();
      c.change(changed.state.shape);
      const auto said = resume(*Engine::load(options).value(), changed).note;
      CHECK(said.find("goes on from step 5; not bit-equal to an undisturbed run: before / now " +
                      c.part) == 0);
    }
  }
  SUBCASE("a resumed run takes the cores that are there") {
    const TuneJob j = job("cores");
    EngineOptions options = engine_options(j);
    options.threads = 0;
    options.as_before = Engine::load(options).value()->shape();
    options.as_before.threads = 1 + usable_cores();
    CHECK(Engine::load(options).value()->shape().threads == usable_cores());
  }
  SUBCASE("stopped while the model is loaded, nothing is lost") {
    const TuneJob j = job("loading");
    REQUIRE(run(j, after(5)) == TuneExit::stopped);
    CHECK(run(j, after_looks(1)) == TuneExit::stopped);
    CHECK(progress(j).back()["phase"] == "Stopped");
    CHECK(run(j, never()) == TuneExit::done);
    CHECK(progress(j).back()["resumed_from"] == 5);
    CHECK(adapter_bytes(j) == adapter_bytes(whole));
  }
  SUBCASE("another configuration starts anew") {
    TuneJob j = job("changed");
    REQUIRE(run(j, after(5)) == TuneExit::stopped);
    j.learning_rate = 2e-2;
    CHECK(run(j, never()) == TuneExit::done);
    CHECK(progress(j).back()["resumed_from"] == 0);
    CHECK(adapter_bytes(j) != adapter_bytes(whole));
  }
  SUBCASE("a torn progress line is left behind") {
    const TuneJob j = job("torn");
    REQUIRE(run(j, after(3)) == TuneExit::stopped);
    std::ofstream(j.state_dir + "/progress.jsonl", std::ios::app) << "{\"phase\":\"Trai";
    CHECK(run(j, never()) == TuneExit::done);
    std::ifstream in(j.state_dir + "/progress.jsonl");
    std::string last;
    for (std::string line; std::getline(in, line);) last = line;
    CHECK(json::parse(last)["attempt"] == 2);
  }
}

TEST_CASE_FIXTURE(TuneBench, "every failure has a code, a message and an exit code") {
  struct Case {
    std::string name, code, what;
    TuneExit exit;
    std::function<void(TuneJob&)> change;
  };
  const std::vector<std::int32_t> outside = {1, 400, 2};
  const std::vector<std::uint8_t> mask = {0, 1, 1};
  const std::vector<Case> cases = {
      {"no model", "bad_model", "config.json", TuneExit::permanent,
       [](TuneJob& j) { j.model_dir = "/nonexistent"; }},
      {"unknown target", "bad_config", "\"query\"", TuneExit::permanent,
       [](TuneJob& j) { j.targets = {"query"}; }},
      {"rank", "bad_config", "r = 0", TuneExit::permanent, [](TuneJob& j) { j.rank = 0; }},
      {"no rows", "bad_data", "no rows", TuneExit::permanent, [](TuneJob& j) { j.rows.clear(); }},
      {"nothing trained", "bad_data", "no token", TuneExit::permanent,
       [](TuneJob& j) { j.rows = {j.rows[1]}; }},
      {"foreign tokens", "bad_data", "token 400", TuneExit::permanent,
       [&](TuneJob& j) {
         j.rows[2] = {outside, mask};
       }},
      {"no memory", "out_of_memory", "MiB", TuneExit::permanent,
       [](TuneJob& j) { j.budget_bytes = 1 << 20; }},
      {"no steps", "bad_config", "no optimizer step", TuneExit::permanent,
       [](TuneJob& j) { j.total_steps = 0; }},
      {"diverges", "bad_config", "is not finite, from model.layers.", TuneExit::permanent,
       [](TuneJob& j) { j.learning_rate = 1e38, j.update.gradient_norm_max = 0; }}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    TuneJob j = job(c.name);
    c.change(j);
    CHECK(run(j, never()) == c.exit);
    const auto last = progress(j).back();
    CHECK(last["phase"] == "Failed");
    CHECK(last["code"] == c.code);
    CHECK(last["message"].get<std::string>().find(c.what) != std::string::npos);
    CHECK_FALSE(fs::exists(j.output_dir + "/fine_tuning_completed.txt"));
  }
}

TEST_CASE_FIXTURE(TuneBench, "a disk that fails is not the user's configuration") {
  const TuneJob j = job("disk");
  REQUIRE(make_folders(j.state_dir).ok());
  std::ofstream(j.state_dir + "/checkpoints") << "a file where a folder must be";
  CHECK(run(j, never()) == TuneExit::internal);
  CHECK(progress(j).back()["code"] == "internal");
  CHECK(progress(j).back()["message"].get<std::string>().find("checkpoints") != std::string::npos);
}

TEST_CASE_FIXTURE(TuneBench, "what preparing the job says is the run's failure") {
  const TuneJob j = job("unprepared");
  const auto end = run_tune(
      j,
      [](TuneJob&) {
        return std::optional<TuneFailure>({"bad_data", "row 3 is damaged"});
      },
      clock, never());
  CHECK(end == TuneExit::permanent);
  CHECK(progress(j).back()["message"] == "row 3 is damaged");
}

TEST_CASE_FIXTURE(TuneBench, "the estimate counts tokens and steps exactly") {
  const TuneJob j = job("estimate");
  TuneEstimate e;
  REQUIRE_FALSE(estimate_tune(j, e));
  CHECK(e.seconds > 0);
  CHECK(e.peak_bytes > 100 << 20);
  std::int64_t tokens = 0, trained = 0;
  for (std::int64_t s = 0; s < j.total_steps; ++s)
    for (const auto i : j.rows_of_step(s)) {
      tokens += static_cast<std::int64_t>(rows.tokens[i].size());
      trained += rows.targets(i, 1);
    }
  CHECK(e.tokens == tokens);
  CHECK(e.trained_tokens == trained);
  CHECK(e.steps == 9);
  TuneJob epochs = j;  // each of these steps takes every row once
  epochs.total_steps = 1'000'000'000;
  epochs.steps_per_epoch = 1;
  std::vector<std::size_t> all(rows.tokens.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  epochs.rows_of_step = [&](std::int64_t) { return all; };
  std::int64_t in_epoch = 0;
  for (const auto& row : rows.tokens) in_epoch += static_cast<std::int64_t>(row.size());
  REQUIRE_FALSE(estimate_tune(epochs, e));
  CHECK(e.tokens == in_epoch * 1'000'000'000);
}

TEST_CASE_FIXTURE(TuneBench, "the estimate of a device is what the engine plans there") {
  TuneJob j = job("estimate");
  j.budget_bytes = 0;
  Device device{"aten-cpu", "a device", "", std::int64_t{2} << 30,
                [](int threads) -> Result<std::unique_ptr<Ops>> {
                  return std::unique_ptr<Ops>(make_aten_ops("cpu", threads));
                }};
  device.by_kernels = device.by_flash = true;
  j.device = std::make_shared<const Device>(device);
  TuneEstimate e;
  REQUIRE_FALSE(estimate_tune(j, e));
  REQUIRE(e.on_device);
  const auto engine = Engine::load(engine_options(j));
  REQUIRE_MESSAGE(engine.ok(), engine.error().what);
  CHECK(e.on_device->text() == engine.value()->plan().text());
  CHECK(e.peak_bytes == e.on_device->peak_bytes());
  CHECK(e.least_bytes < e.peak_bytes);
  CHECK(e.seconds == 0);
  CHECK(e.steps == 9);

  device.free_bytes = 0;  // a device that is not here: room for all
  j.device = std::make_shared<const Device>(device);
  REQUIRE_FALSE(estimate_tune(j, e));
  CHECK(e.on_device->budget_bytes == e.peak_bytes);
  device.free_bytes = e.least_bytes;  // nine tenths of it are planned with
  j.device = std::make_shared<const Device>(device);
  const auto failed = estimate_tune(j, e);
  REQUIRE(failed);
  CHECK(failed->code == "out_of_memory");
}
}  // namespace kairo::gpu
