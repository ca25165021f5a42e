// tests/gpu/engine/evaluation_test.cpp - proves: held-out rows have the loss that transformers'
// Trainer gives them at every step, the step that it loads at the end is the adapter that comes
// out, interrupted or not, and the run's lines say so.
#include <doctest/doctest.h>

#include <cmath>

#include "gpu/formats/adapter.h"
#include "tests/gpu/engine/tune_bench.h"

namespace kairo::gpu {
namespace {
using namespace test;
struct EvaluationBench : TuneBench {
  Golden file{"tiny_evaluation.safetensors"};
  GoldenRows held_out = golden_rows(file, "held_out.");
  // As tests/parity/evaluation_golden.py.
  TuneJob evaluated(const std::string& name) const {
    TuneJob j = job(name);
    for (std::size_t i = 0; i < held_out.tokens.size(); ++i)
      j.held_out.push_back({held_out.tokens[i], held_out.trained[i]});
    j.total_steps = 24;
    j.schedule = ScheduleKind::constant;
    j.warmup_steps = 0;
    j.learning_rate = 4e-2;
    j.evaluation = {2, 0, true, true, true};
    return j;
  }
};
}  // namespace

TEST_CASE_FIXTURE(EvaluationBench, "every evaluation and the best step are those of transformers") {
  const TuneJob j = evaluated("parity");
  REQUIRE(run(j, never()) == TuneExit::done);
  std::vector<double> losses;
  for (const auto& line : progress(j)) {
    if (line["phase"] == "Training" && !line.contains("eval_loss")) CHECK(line["step"] == 0);
    CHECK((line["phase"] == "Starting" || line["phase"] == "Tokenizing" ||
           line["held_out_rows"] == 5));
    const bool is_new = line.contains("eval_loss") && line["eval_step"] == line["step"] &&
                        line["step"] == 2 * losses.size() && line["phase"] == "Training";
    if (is_new) losses.push_back(line["eval_loss"].get<double>());
  }
  const auto wanted = file.floats("eval_losses");
  REQUIRE(losses.size() == wanted.size());
  CHECK(losses[0] == doctest::Approx(static_cast<double>(wanted[0])).epsilon(1e-5));
  for (std::size_t i = 1; i < losses.size(); ++i)  // a step amplifies the last bits
    CHECK(losses[i] == doctest::Approx(static_cast<double>(wanted[i])).epsilon(1e-4));
  const auto last = progress(j).back();
  CHECK(last["phase"] == "Done");
  CHECK(last["step"] == 24);
  CHECK(last["eval_step"] == 24);
  CHECK(last["best_step"] == 18);
  CHECK(file.floats("best_step")[0] == 18.0f);
  CHECK(last["best_eval_loss"].get<double>() < last["eval_loss"].get<double>());
  const auto tensors = TensorFile::open(j.output_dir + "/adapter_model.safetensors");
  REQUIRE(tensors.ok());
  CHECK(file.names("trained.").size() == 12);
  for (const auto& name : file.names("trained.")) {
    CAPTURE(name);
    const TensorInfo* tensor = tensors.value().find(name);
    REQUIRE(tensor != nullptr);
    std::vector<float> values(static_cast<std::size_t>(tensor->count()));
    REQUIRE(tensors.value().read(*tensor, values).ok());
    CHECK(relative_difference(values, file.floats("trained." + name)) <= 1e-3);
  }

  SUBCASE("stopped at every step and every batch of an evaluation, the same adapter comes out") {
    const TuneJob other = evaluated("stopped");
    TuneExit end = TuneExit::stopped;
    for (int looks = 0; end == TuneExit::stopped && looks < 90; ++looks)
      end = run(other, after(2 + looks % 3));
    CHECK(end == TuneExit::done);
    CHECK(progress(other).back()["attempt"] > 4);
    CHECK(progress(other).back()["best_step"] == 18);
    CHECK(adapter_bytes(other) == adapter_bytes(j));
  }
  SUBCASE("without load_best_model_at_end the last step comes out") {
    TuneJob other = evaluated("last"), blind = evaluated("blind");
    other.evaluation.keep_best = false;
    blind.evaluation = {};
    REQUIRE(run(other, never()) == TuneExit::done);
    REQUIRE(run(blind, never()) == TuneExit::done);
    CHECK(adapter_bytes(other) != adapter_bytes(j));
    CHECK(adapter_bytes(other) == adapter_bytes(blind));  // a look changes nothing
    CHECK(progress(other).back()["best_step"] == 18);
    CHECK_FALSE(progress(blind).back().contains("eval_loss"));
    CHECK(progress(blind).back()["held_out_rows"] == 5);
  }
  SUBCASE("another rhythm may choose another step: it is another run") {
    TuneJob other = j;
    other.evaluation.every = 3;
    CHECK(run(other, never()) == TuneExit::done);
    CHECK(progress(other).back()["attempt"] == 2);
    CHECK(progress(other).back()["resumed_from"] == 0);
  }
}

TEST_CASE_FIXTURE(EvaluationBench, "a held-out row may be the longest, if only looked at once") {
  const std::vector<std::int32_t> wide(200, 1);
  const std::vector<std::uint8_t> mask(200, 1);
  TuneJob j = evaluated("longest");
  j.held_out.push_back({wide, mask});
  j.evaluation = {0, 0, true, false, false};
  CHECK(engine_options(j).longest_row == 199);
  CHECK(run(j, never()) == TuneExit::done);
  CHECK(progress(j).back()["eval_step"] == 0);
  j.evaluation = {};
  CHECK(engine_options(j).longest_row == 130);
}

TEST_CASE_FIXTURE(EvaluationBench, "held-out rows count in the estimate, and are checked") {
  TuneJob j = evaluated("estimate");
  TuneEstimate with, without;
  REQUIRE_FALSE(estimate_tune(j, with));
  CHECK(with.evaluations == 13);
  j.evaluation = {};
  REQUIRE_FALSE(estimate_tune(j, without));
  CHECK(without.evaluations == 0);
  CHECK(without.steps == 24);
  CHECK(with.tokens == without.tokens);
  CHECK(with.peak_bytes > without.peak_bytes);  // the best step's parameters
  const std::vector<std::int32_t> foreign = {1, 400, 2}, wide(400, 1);
  const std::vector<std::uint8_t> mask = {0, 1, 1}, wide_mask(400, 1);
  j.held_out[1] = {foreign, mask};
  CHECK(check_job(j)->message.find("held-out row 2: token 400") == 0);
  j.held_out[1] = {wide, wide_mask};
  CHECK(check_job(j)->message.find("a row has 400 tokens, the model takes 256") == 0);
}
}  // namespace kairo::gpu
