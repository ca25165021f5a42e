// tests/gpu/tune_evaluation_test.cpp - proves: every setting of transformers about held-out rows is
// done as there, or refused by name with the remedy. The steps are those at which its Trainer with
// trl's SFTConfig called on_evaluate; without a strategy ours alone evaluates.
#include "gpu/tune_evaluation.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace kairo;
using namespace kairo::gpu;

namespace {
// "due steps" of 25 steps in epochs of 10, "+best" where the best is kept; or the error.
std::string plan_of(const std::string& arguments, std::size_t held_out = 7) {
  const auto config =
      parse_training_config("training_config:\n  TrainingArguments: {" + arguments + "}\n");
  if (!config.ok()) return config.error().what;
  const auto plan = plan_evaluation(config.value(), held_out, {25, 10});
  if (!plan.ok()) return plan.error().what;
  std::string out;
  for (std::int64_t step = 0; step <= 25; ++step)
    if (plan.value().is_due(step, 25)) out += std::to_string(step) + " ";
  return out + (plan.value().keep_best ? "+best" : "");
}
}  // namespace

TEST_CASE("which evaluations the settings mean") {
  struct Case {
    std::string name, arguments, due;
  };
  const Case cases[] = {
      {"nothing said", "", "25 "},
      {"no", "eval_strategy: 'no'", ""},
      {"a bare no", "eval_strategy: no", ""},
      {"no, yet a look at the start", "eval_strategy: 'no', eval_on_start: true", "0 "},
      {"steps, as logging_steps: trl's default", "eval_strategy: steps", "10 20 25 "},
      {"steps, as logging_steps", "eval_strategy: steps, logging_steps: 7", "7 14 21 25 "},
      {"eval_steps", "eval_strategy: steps, eval_steps: 12, logging_steps: 7", "12 24 25 "},
      {"eval_steps 0 is not set", "eval_strategy: steps, eval_steps: 0", "10 20 25 "},
      {"a whole float", "eval_strategy: steps, eval_steps: 12.0", "12 24 25 "},
      {"a share: ceil(25 * 0.3)", "eval_strategy: steps, eval_steps: 0.3", "8 16 24 25 "},
      {"logging_steps as a share", "eval_strategy: steps, logging_steps: 0.5", "13 25 "},
      {"no strategy: eval_steps waits for one", "eval_steps: 3", "25 "},
      {"epoch", "eval_strategy: epoch", "10 20 25 "},
      {"the old name", "evaluation_strategy: epoch", "10 20 25 "},
      {"both names", "evaluation_strategy: steps, eval_strategy: steps", "10 20 25 "},
      {"delay in steps", "eval_strategy: steps, eval_steps: 5, eval_delay: 11", "15 20 25 "},
      {"delay in epochs", "eval_strategy: epoch, eval_delay: 1.5", "20 25 "},
      {"delay of a whole epoch", "eval_strategy: epoch, eval_delay: 1", "10 20 25 "},
      {"best", "eval_strategy: steps, load_best_model_at_end: true", "10 20 25 +best"},
      {"best by its name",
       "eval_strategy: epoch, load_best_model_at_end: true, metric_for_best_model: eval_loss, "
       "greater_is_better: false",
       "10 20 25 +best"},
      {"what changes nothing",
       "per_device_eval_batch_size: 4, prediction_loss_only: true, do_eval: true, "
       "eval_accumulation_steps: 2, eval_packing: false",
       "25 "},
      {"null is the default", "eval_strategy: null, eval_steps: null, eval_delay: null", "25 "},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CHECK(plan_of(c.arguments) == c.due);
  }
  CHECK(plan_of("", 0) == "");
  CHECK(plan_of("eval_strategy: 'no'", 0) == "");
}

// transformers' TrainerState.compute_steps: ceil(max_steps * n) below 1, in doubles.
TEST_CASE("steps as a share of all steps") {
  struct Case {
    double steps;
    std::int64_t total, whole;
  };
  const Case cases[] = {{0, 25, 0},     {0.3, 25, 8},    {0.1, 10, 1},   {0.1, 30, 3},
                        {0.07, 100, 8}, {0.29, 100, 29}, {1e-9, 25, 1},  {0.999, 25, 25},
                        {1, 25, 1},     {12, 25, 12},    {500, 25, 500}, {0.5, 1, 1}};
  for (const auto& c : cases) {
    CAPTURE(c.steps);
    const auto whole = whole_steps("save_steps", c.steps, c.total);
    REQUIRE(whole.ok());
    CHECK(whole.value() == c.whole);
  }
  CHECK(whole_steps("save_steps", 2.5, 25).error().what ==
        "training_config.yaml: TrainingArguments.save_steps: 2.5 must be a whole number of steps, "
        "or a share of all steps below 1");
}

TEST_CASE("what cannot be done is refused: field, value, remedy") {
  struct Case {
    std::string name, arguments, why;
    std::size_t held_out = 7;
  };
  const std::string best = "load_best_model_at_end: true";
  const Case cases[] = {
      {"steps without rows", "eval_strategy: steps",
       "eval_strategy: steps needs rows that are held out; set DatasetConfig.train_test_split "
       "below 1 (now 0.8) or DatasetConfig.validation_file, or eval_strategy to no",
       0},
      {"epoch without rows", "eval_strategy: epoch", "eval_strategy: epoch needs rows", 0},
      {"start without rows", "eval_on_start: true", "eval_on_start: true needs rows", 0},
      {"best without a strategy", best,
       "load_best_model_at_end: true needs evaluations to choose by; set eval_strategy to steps or "
       "epoch, or load_best_model_at_end to false"},
      {"best with no", best + ", eval_strategy: 'no'", "load_best_model_at_end: true needs"},
      {"another metric", "metric_for_best_model: accuracy",
       "metric_for_best_model: \"accuracy\" must be loss or eval_loss: the held-out rows' loss"},
      {"greater", "greater_is_better: true", "greater_is_better: \"true\" must be false"},
      {"no strategy", "eval_strategy: Steps",
       "eval_strategy: \"Steps\" must be no, steps or epoch"},
      {"yes", "eval_strategy: yes", "eval_strategy: \"yes\" must be no, steps or epoch"},
      {"two names, two things", "evaluation_strategy: steps, eval_strategy: epoch",
       "eval_strategy: \"epoch\" must be steps: eval_strategy and its old name"},
      {"a broken step", "eval_strategy: steps, eval_steps: 1.5",
       "eval_steps: 1.5 must be a whole number of steps, or a share of all steps below 1"},
      {"a negative step", "eval_strategy: steps, eval_steps: -3",
       "eval_steps: \"-3\" must be at least 0"},
      {"no number", "eval_steps: often", "eval_steps: \"often\" must be a number"},
      {"no steps at all", "eval_strategy: steps, logging_steps: 0",
       "eval_steps is not set and its default, logging_steps, is 0; set eval_steps"},
      {"a broken default", "eval_strategy: steps, logging_steps: 2.5",
       "logging_steps: 2.5 must be a whole number of steps"},
      {"a negative delay", "eval_delay: -1", "eval_delay: \"-1\" must be at least 0"},
      {"no flag", "eval_on_start: 3", "eval_on_start: \"3\" must be true or false"},
      {"misspelled", "eval_stategy: steps",
       "eval_stategy is not a known setting; did you mean "
       "eval_strategy?"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const std::string why = plan_of(c.arguments, c.held_out);
    CHECK_MESSAGE(why.find("training_config.yaml: TrainingArguments." + c.why) == 0, why);
  }
}
