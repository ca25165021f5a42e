// tests/gpu/engine/tune_bench.h - small whole runs of kairo-tune's engine on the tiny model, in
// folders of their own.
#pragma once
#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gpu/engine/tune.h"
#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

namespace kairo::gpu::test {
class StepClock final : public Clock {  // a millisecond per look
 public:
  std::int64_t now_ms() const override { return 1'764'000'000'000 + ++ticks_; }
  std::int64_t monotonic_ms() const override { return ++ticks_; }

 private:
  mutable std::atomic<std::int64_t> ticks_ = 0;
};
struct TuneBench {
  TempFolder folder;
  GoldenRows rows = golden_rows(Golden("tiny_lora.safetensors"));
  StepClock clock;
  TuneJob job(const std::string& name) const {
    TuneJob j;
    j.model_dir = golden("tiny_llama");
    j.output_dir = folder.path() + "/" + name + "/results";
    j.state_dir = folder.path() + "/" + name + "/state";
    j.base_model = "tiny";
    j.rank = 4;
    j.alpha = 8;
    j.targets = {"q_proj", "v_proj", "down_proj"};
    j.seed = 3;
    j.learning_rate = 1e-2;
    j.warmup_steps = 2;
    j.total_steps = 9;
    j.save_steps = 2;
    j.update.gradient_norm_max = 1;
    j.threads = 1;
    j.budget_bytes = 1 << 30;
    for (std::size_t i = 0; i < rows.tokens.size(); ++i)
      j.rows.push_back({rows.tokens[i], rows.trained[i]});
    j.data_digest = "rows";
    const std::size_t n = rows.tokens.size();
    j.rows_of_step = [n](std::int64_t step) {
      const auto s = static_cast<std::size_t>(step);
      return std::vector<std::size_t>{s * 3 % n, (s * 3 + 1) % n, (s * 3 + 2) % n};
    };
    return j;
  }
  // The job again, made of its folders in the phase Tokenizing as the program does it.
  TuneExit run(const TuneJob& whole, const std::function<bool()>& should_stop) const {
    TuneJob folders;
    folders.output_dir = whole.output_dir;
    folders.state_dir = whole.state_dir;
    return run_tune(
        folders,
        [&](TuneJob& j) {
          j = whole;
          return std::optional<TuneFailure>();
        },
        clock, should_stop);
  }
  std::vector<nlohmann::json> progress(const TuneJob& j) const {
    std::ifstream in(j.state_dir + "/progress.jsonl");
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }
  static std::string adapter_bytes(const TuneJob& j) {
    const auto bytes = read_file(j.output_dir + "/adapter_model.safetensors", 1 << 30);
    REQUIRE(bytes.ok());
    return bytes.value();
  }
};
inline std::function<bool()> never() {
  return [] { return false; };
}
constexpr int layers = 2;  // a look before each of them is loaded
inline std::function<bool()> after_looks(int looks) {
  return [looks]() mutable { return looks-- <= 0; };
}
inline std::function<bool()> after(int steps) {
  return after_looks(layers + steps);
}
}  // namespace kairo::gpu::test
