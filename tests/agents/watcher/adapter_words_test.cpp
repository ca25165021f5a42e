// What this proves: a status tells which revision of each named tuning answers, what the others
// wait for, and what to do.
#include <doctest/doctest.h>

#include "agents/watcher/patience.h"
#include "agents/watcher/status.h"
#include "agents/watcher/status_json.h"
#include "tests/support/tuned.h"

using namespace kairo;
using namespace kairo::test;
namespace {
template <class... Bodies>
wire::StatusT told(const wire::RecordT& tuning, Bodies... bodies) {
  return watcher::compose(
      record(naming(1), ready(1), planned(1), run_dir(1), server(1), std::move(bodies)...), 60'000,
      "", names(tuning));
}
std::string words(const wire::StatusT& status) {
  const auto& a = *status.adapters.at(0);
  return a.state + " " + a.digest.substr(0, 9) + " | " + a.message;
}
std::string ready_of(const wire::StatusT& status) {
  for (const auto& c : status.conditions)
    if (c->type == "AdaptersReady") return c->value + " " + c->reason + ": " + c->message;
  return {};
}
wire::RecordT training(unsigned step) {
  wire::RecordT out = pip(tuning(1));
  out.status = std::make_unique<wire::StatusT>();
  out.status->tuning = std::make_unique<wire::TuningStatusT>();
  out.status->tuning->phase = "Training";
  out.status->tuning->step = step;
  out.status->tuning->total_steps = 36;
  return out;
}
}  // namespace

TEST_CASE("adapters: states and their words") {
  const wire::RecordT coming = training(12), done = pip(tuning(1), pushed_as(2, digest_1)),
                      again = pip(tuning(1), pushed_as(2, digest_2)),
                      gone = pip(test::gone(tuning(1)));
  wire::WorkspaceT of_another = tuning(1);
  of_another.tuning->preset = "qwen3-4b";
  const wire::RecordT other = pip(std::move(of_another));
  CHECK(words(told(coming)) == "Waiting  | waits for the tuning Workspace pip: Training 12/36");
  CHECK(words(told(pip(tuning(1)))) ==
        "Waiting  | waits for the tuning Workspace pip: it has not begun");
  CHECK(words(told(gone)) ==
        "Waiting  | tuning Workspace pip not found: apply it, or take the name out of "
        "kairo.dev/adapters-from");
  CHECK(words(told(other)) ==
        "Waiting  | tuned on another base model: tuning Workspace pip on qwen3-4b, the server has "
        "smollm2-135m-instruct");
  CHECK(words(told(done)) == "Loading  | revision " + digest_1 + " is being loaded");
  CHECK(words(told(done, served(2, "", digest_1, "pull: 401"))) == "Loading  | pull: 401");
  CHECK(words(told(done, served(2, digest_1))) == "Serving sha256:11 | ");
  CHECK(words(told(again, served(2, digest_1))) ==
        "Replacing sha256:11 | revision " + digest_2 + " is being loaded");
  CHECK(words(told(coming, served(2, digest_1))) ==
        "Serving sha256:11 | waits for the tuning Workspace pip: Training 12/36; the last revision "
        "goes on answering");
  CHECK(words(told(gone, served(2, digest_1))) ==
        "Serving sha256:11 | tuning Workspace pip not found: apply it, or take the name out of "
        "kairo.dev/adapters-from; the last revision goes on answering");
}

TEST_CASE("adapters: the condition, and what the object shows") {
  const wire::RecordT coming = training(12), done = pip(tuning(1), pushed_as(2, digest_1));
  CHECK(ready_of(told(coming)) ==
        "False AdapterWaiting: pip: waits for the tuning Workspace pip: Training 12/36");
  CHECK(ready_of(told(done, served(2, digest_1))) == "True AdaptersServing: all adapters answer");
  CHECK(ready_of(watcher::compose(record(serving(1), ready(1)), 5)) == "");
  const std::string patch = watcher::status_patch(told(done, served(2, digest_1)));
  CHECK(patch.find(R"("adapters":[{"name":"pip","state":"Serving","digest":")" + digest_1 +
                   R"(","image":"localhost:5000/a@)" + digest_1 +
                   R"(","since":"1970-01-01T00:00:05Z"}])") != std::string::npos);
  const std::string without = watcher::status_patch(watcher::compose(record(serving(1)), 5));
  CHECK(without.find(R"("adapters":null)") != std::string::npos);
}

TEST_CASE("adapters: a training's steps are told now and then, another revision at once") {
  const auto late = watcher::patience(told(training(12)), told(training(13)));
  CHECK(late.settle_ms == 2'000);
  CHECK(late.apart_ms == 5'000);
  const wire::RecordT done = pip(tuning(1), pushed_as(2, digest_1));
  const auto now = watcher::patience(told(training(36)), told(done, served(2, digest_1)));
  CHECK(now.settle_ms + now.apart_ms == 0);
}
