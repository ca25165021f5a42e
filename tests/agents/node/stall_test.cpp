// What this proves: a training is taken for hung when it writes no step and its GPU idles, for as
// long as its own steps say; slow steps, evaluations and what is not known are no reason.
#include "agents/node/stall.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "agents/node/training_metrics.h"

namespace kairo::node {
namespace {
std::string line(const char* phase, unsigned step, std::int64_t at_ms, unsigned attempt = 1) {
  return std::string(R"({"phase":")") + phase + R"(","step":)" + std::to_string(step) +
         R"(,"at_ms":)" + std::to_string(at_ms) + R"(,"attempt":)" + std::to_string(attempt) +
         "}\n";
}
wire::ProgressT progress(unsigned step, unsigned attempt = 1) {
  wire::ProgressT out;
  out.phase = wire::RunPhase::Training;
  out.step = step;
  out.total_steps = 400;
  out.attempt = attempt;
  out.at_ms = 1'764'000'000'000;
  out.device = "NVIDIA H200, compute capability 9.0, 139 GiB";
  out.gpu = "GPU-1";
  return out;
}

TEST_CASE("how long a step may take") {
  CHECK(patience_ms("") == 600'000);
  CHECK(patience_ms(line("Training", 1, 1'000)) == 600'000);
  std::string steps;
  for (unsigned i = 1; i <= 100; ++i) steps += line("Training", i, i * 10'000);
  CHECK(patience_ms(steps) == 50'000);
  CHECK(patience_ms(steps + line("Training", 101, 2'000'000)) == 50'000);  // one of a hundred
  std::string fast;
  for (unsigned i = 0; i < 100; ++i) fast += line("Training", i * 10, i * 1'000);
  CHECK(patience_ms(fast) == 30'000);  // ten steps a line
  CHECK(patience_ms(line("Training", 1, 0) + line("Training", 2, 90'000)) == 450'000);
  // Another process begins anew; what is no step counts for none; torn and foreign lines are none.
  CHECK(patience_ms(steps + line("Starting", 0, 2'000'000, 2)) == 600'000);
  CHECK(patience_ms(line("Loading", 0, 0) + line("Training", 1, 99'000)) == 600'000);
  CHECK(patience_ms("x\n" + steps + "{\"phase\":\"Tra") == 50'000);
  CHECK(patience_ms(line("Training", 1, 5'000) + line("Training", 2, 1'000)) == 30'000);
}

TEST_CASE("what is hung, and what is not") {
  StallWatch w;
  w.moved(progress(120), 40'000, 1'000);
  CHECK(w.is_watched());
  CHECK_FALSE(w.look(0, 40'999));
  REQUIRE(w.look(0, 41'000));
  wire::TrainingT training;
  w.say(training);
  CHECK(training.stalls == 1);
  CHECK(training.stalls_step == 120);
  CHECK(training.stalls_attempt == 1);
  CHECK(training.stalled ==
        "no step since 2025-11-24T16:00:00Z (step 120 of 400), and its GPU (NVIDIA H200, compute "
        "capability 9.0, 139 GiB) has been idle for 40 s");
  CHECK_FALSE(w.look(0, 99'000));  // told once

  StallWatch busy;
  busy.moved(progress(120), 40'000, 1'000);
  CHECK_FALSE(busy.look(3, 39'000));  // an evaluation, a slow step
  CHECK_FALSE(busy.look(0, 78'999));
  CHECK_FALSE(busy.look(std::nullopt, 79'000));  // nobody knows
  CHECK_FALSE(busy.look(0, 118'999));
  busy.moved(progress(121), 40'000, 118'999);
  CHECK_FALSE(busy.look(0, 119'000));
  CHECK(busy.look(0, 158'999));

  wire::ProgressT on_cpu = progress(1);
  on_cpu.gpu.clear();
  StallWatch cpu;
  cpu.moved(on_cpu, 30'000, 0);
  CHECK_FALSE(cpu.is_watched());
  CHECK_FALSE(cpu.look(0, 9'000'000));
  wire::ProgressT saves = progress(400);
  saves.phase = wire::RunPhase::Saving;
  StallWatch saving;
  saving.moved(saves, 30'000, 0);
  CHECK_FALSE(saving.look(0, 9'000'000));
}

TEST_CASE("stalls in a row are counted as long as no step comes between") {
  StallWatch w;
  const auto stalls_at = [&](unsigned step, unsigned attempt) {
    w.moved(progress(step, attempt), 30'000, 0);
    CHECK(w.look(0, 30'000));
    wire::TrainingT training;
    w.say(training);
    return training.stalls;
  };
  CHECK(stalls_at(120, 1) == 1);
  CHECK(stalls_at(100, 2) == 2);  // from its checkpoint, and not even so far
  CHECK(stalls_at(100, 3) == 3);
  CHECK(stalls_at(119, 4) == 4);
  CHECK(stalls_at(121, 5) == 1);
  CHECK(stalls_at(121, 6) == 2);
}

TEST_CASE("stalls are counted on by an agent that begins anew, from its own last word") {
  const auto word = [](const StallWatch& w, const wire::ProgressT& last) {
    wire::FactT fact;
    fact.uid = "uid-1";
    wire::TrainingT training;
    training.node = "n1";
    training.revision = "rev1";
    training.progress = std::make_unique<wire::ProgressT>(last);
    w.say(training);
    fact.body.Set(std::move(training));
    return fact;
  };
  StallWatch w;
  w.moved(progress(120), 30'000, 0);
  CHECK(w.look(0, 30'000));
  w.moved(progress(100, 2), 30'000, 40'000);
  CHECK(w.look(0, 70'000));
  std::vector<wire::FactT> words(1);
  words[0] = word(w, progress(100, 2));
  const auto again = [&](const char* uid, const char* revision, const char* node,
                         const wire::ProgressT& last) {
    StallWatch out = StallWatch::recalled(words, uid, revision, node);
    out.moved(last, 30'000, 0);
    return out;
  };
  wire::TrainingT said;
  StallWatch same = again("uid-1", "rev1", "n1", progress(100, 2));
  CHECK_FALSE(same.look(0, 99'000));  // of this process it was told
  same.say(said);
  CHECK(said.stalls == 2);  // and it still stands
  CHECK(said.stalled.starts_with("no step since 2025-11-24T16:00:00Z (step 100 of 400)"));
  StallWatch next = again("uid-1", "rev1", "n1", progress(120, 3));
  next.say(said);
  CHECK(said.stalled == "");
  CHECK(said.stalls == 2);  // what is said meanwhile does not lose the count
  CHECK(next.look(0, 30'000));
  next.say(said);
  CHECK(said.stalls == 3);
  CHECK(said.stalls_step == 120);
  CHECK(said.stalls_attempt == 3);
  again("uid-1", "rev1", "n1", progress(121, 3)).say(said);
  CHECK(said.stalls == 0);  // a step came between
  for (const auto& [uid, revision, node] :
       {std::tuple("uid-2", "rev1", "n1"), {"uid-1", "rev2", "n1"}, {"uid-1", "rev1", "n2"}}) {
    StallWatch other = again(uid, revision, node, progress(120, 3));
    CHECK(other.look(0, 30'000));
    other.say(said);
    CHECK(said.stalls == 1);
  }
}

TEST_CASE(
    "trainings as metrics: the device, joined to a GPU's figures by its UUID; the self-test") {
  const auto seen = [](const char* ns, const char* workspace, wire::RunPhase phase,
                       const char* device, const char* gpu, const char* self_test,
                       std::int64_t at_ms = 1'000) {
    TrainingSeen out{ns, workspace, {}};
    out.last.phase = phase;
    out.last.at_ms = at_ms;
    out.last.device = device;
    out.last.gpu = gpu;
    out.last.self_test = self_test;
    return out;
  };
  using enum wire::RunPhase;
  const std::string agree = "self-test: 141 trials against the CPU agree (812 ms)";
  const std::vector<TrainingSeen> trainings = {
      seen("default", "on-gpu", Training, "NVIDIA H200, compute capability 9.0, 139 GiB",
           "GPU-8a6f", agree.c_str()),
      seen("default", "done", Done, "NVIDIA H200", "GPU-8a6f", agree.c_str()),
      seen("default", "begins", Tokenizing, "", "", ""),
      seen("team", "on-cpu", Loading, "", "", ""),
      seen("team", "moved", Training, "NVIDIA H200", "GPU-2", agree.c_str(), 999),
      seen("team", "slower", Saving, "a \"new\" GPU", "GPU-1",
           "self-test: 141 trials against the CPU; norm of 3 x 65: libtorch computes it instead")};
  std::stringstream golden;
  golden << std::ifstream(std::string(KAIRO_SOURCE_DIR) +
                          "/tests/agents/node/golden/trainings.prom")
                .rdbuf();
  CHECK(training_metrics(trainings, 3'601'000) == golden.str());
  CHECK(training_metrics({trainings[1], trainings[2]}, 3'601'000) == "");
}
}  // namespace
}  // namespace kairo::node
