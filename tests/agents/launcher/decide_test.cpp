// What this proves: a workload is applied once, only with a node and a run directory of its own
// revision, replaced in order, made again when somebody
// has edited or deleted it, left alone when it is another controller's, and removed when its
// Workspace leaves.
#include "agents/launcher/decide.h"

#include <doctest/doctest.h>

#include "agents/runtime/decision.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
template <class Workload>
Workload on(Workload workload, const std::string& place) {
  workload.place = place;
  return workload;
}
template <class Workload>
Workload edited(Workload workload, std::uint64_t generation) {
  workload.generation = generation;
  return workload;
}
template <class Workload>
Workload of_kaito(Workload workload, const std::string& number) {
  workload.kaito_revision = number;
  return workload;
}
wire::PartT part(std::uint64_t version, const std::string& name, bool exists = true) {
  wire::PartT part;
  part.version = version;
  part.exists = exists;
  part.kind = "Service";
  part.name = name;
  return part;
}
wire::PartT lost(std::uint64_t version) {
  return part(version, "w", false);
}
wire::WorkspaceT paused(wire::WorkspaceT w) {
  w.annotations.push_back(label("kairo.dev/paused", "true"));
  return w;
}
wire::WorkspaceT queued(wire::WorkspaceT w) {
  w.queue = "team-a";
  return w;
}
wire::JobT held(wire::JobT job) {
  job.suspended = true;
  return job;
}
wire::WorkspaceT unfinalized(wire::WorkspaceT w) {
  w.finalized = false;
  return w;
}
wire::WorkspaceT several(wire::WorkspaceT w) {
  w.count = 2;
  return w;
}
wire::WorkspaceT templated(std::uint64_t version) {
  wire::WorkspaceT w = serving(version);
  w.inference->preset.clear();
  w.inference->template_ = "{}";
  return w;
}
wire::RecordT long_ago(wire::RecordT asked) {
  asked.marks.at(0)->at_ms = -60'000;
  return asked;
}
wire::PodT unclaimed(std::uint64_t version) {
  wire::PodT x;
  x.version = version;
  x.exists = true;
  x.reason = "Unschedulable";
  x.message = "0/1 nodes are available: persistentvolumeclaim \"kairo-runs-n1\" not found.";
  return x;
}
}  // namespace

TEST_CASE("launcher: one record, one step") {
  struct Row {
    std::string name;
    wire::RecordT record;
    std::string commands;
  };
  wire::ResourcesT waiting = ready(1);
  waiting.state = wire::ResourcesState::Waiting;
  const auto fetching = [](const std::string& place, const std::string& volume) {
    wire::RunDirT dir = run_dir(1, "rev1", wire::RunDirState::Fetching);
    dir.path.clear();
    dir.place = place;
    dir.volume = volume;
    return dir;
  };
  const auto with = [](const wire::WorkspaceT& w, auto... seen) {
    return record(wire::WorkspaceT(w), ready(1), planned(1), run_dir(1), std::move(seen)...);
  };
  const Row rows[] = {
      {"nothing known", record(), ""},
      {"a job without its workspace", record(job(1)), ""},
      {"no word on resources", record(tuning(1)), ""},
      {"resources wait", record(tuning(1), std::move(waiting)), ""},
      {"resources of an older revision", record(tuning(2, "rev2"), ready(1)), ""},
      {"resources ready: a run is wanted", record(tuning(1), ready(1)), "Publish:run"},
      {"directory of an older revision",
       record(tuning(2, "rev2"), ready(2, "rev2"), planned(2, "rev2"), run_dir(1)), "Publish:run"},
      {"directory failed",
       record(tuning(1), ready(1), planned(1), run_dir(1, "rev1", wire::RunDirState::Failed)),
       "Publish:run"},
      {"weights on their way: the volume, for its binder takes its time",
       record(tuning(1), ready(1), planned(1), fetching("n1/uid-n1", "/runs/default")),
       "Publish:run MakeVolume"},
      {"and once",
       marked(record(tuning(1), ready(1), planned(1), fetching("n1/uid-n1", "/runs/d")), "volume",
              "n1/uid-n1"),
       "Publish:run"},
      {"weights on their way, of an agent that names no volume",
       record(tuning(1), ready(1), planned(1), fetching("n1/uid-n1", "")), "Publish:run"},
      {"weights on their way to what was a node of this name",
       record(tuning(1), ready(1), planned(1), fetching("n1/before", "/runs/default")),
       "Publish:run"},
      {"directory ready: the Job", with(tuning(1)), "Publish:run ApplyTuning"},
      {"the Job waits for no finalizer: it goes with its owner", with(unfinalized(tuning(1))),
       "Publish:run ApplyTuning"},
      {"volumes of its own do: nobody else takes them away", with(unfinalized(several(serving(1)))),
       "Publish:run"},
      {"the Job was asked for", marked(with(tuning(1)), "job", "rev1/n1/uid-n1"), "Publish:run"},
      {"somebody deleted the Job: once more",
       marked(record(tuning(1), ready(1), planned(1), run_dir(1), gone(job(5))), "job",
              "rev1/n1/uid-n1"),
       "Publish:run ApplyTuning"},
      {"and only once",
       marked(record(tuning(1), ready(1), planned(1), run_dir(1), gone(job(5))), "job",
              "rev1/n1/uid-n1", 5),
       "Publish:run"},
      {"an older revision's Job is gone",
       marked(record(tuning(2, "rev2"), ready(2, "rev2"), planned(2, "rev2"), run_dir(2, "rev2"),
                     gone(job(5))),
              "job", "rev2/n1/uid-n1"),
       "Publish:run"},
      {"the Job is gone after the training",
       marked(record(tuning(1), ready(1), planned(1), run_dir(1), gone(job(5)), artifact(1)), "job",
              "rev1/n1/uid-n1"),
       "Publish:run"},
      {"somebody deleted the server: once more",
       marked(record(serving(1), ready(1), planned(1), run_dir(1), gone(server(5))), "server",
              "rev1/n1/uid-n1"),
       "Publish:run ApplyInference"},
      {"the server went while another node was put on it: once more",
       marked(record(serving(1), ready(1), planned(1), run_dir(1), gone(on(server(5), "n2"))),
              "server", "rev1/n1"),
       "Publish:run ApplyInference"},
      {"a pod of the user's own needs no directory", record(templated(1), ready(1)),
       "Publish:run ApplyInference"},
      {"directory ready: the server", with(serving(1)), "Publish:run ApplyInference"},
      {"new revision: the old Job goes first",
       marked(record(tuning(2, "rev2"), ready(1)), "job", "rev1/n1/uid-n1"), "RemoveWorkload"},
      {"new revision, all ready: removal, then the new Job",
       marked(record(tuning(2, "rev2"), ready(2, "rev2"), planned(2, "rev2"), run_dir(2, "rev2")),
              "job", "rev1/n1/uid-n1"),
       "RemoveWorkload Publish:run ApplyTuning"},
      {"to and fro: the old Job goes each time",
       marked(marked(record(tuning(2, "rev2"), ready(1)), "job", "rev1/n2/uid-n2", 7), "remove job",
              "rev2"),
       "RemoveWorkload"},
      {"another node was granted: the old Job goes first",
       marked(record(tuning(1), ready(2), planned(1), run_dir(1), on(job(3), "n2/uid-n2")), "job",
              "rev1/n2/uid-n2"),
       "RemoveWorkload Publish:run ApplyTuning"},
      {"somebody edited the Job: once more",
       marked(with(tuning(1), edited(job(3), 2)), "job", "rev1/n1/uid-n1"),
       "Publish:run ApplyTuning"},
      {"and only once for this edit",
       marked(with(tuning(1), edited(job(3), 2)), "job", "rev1/n1/uid-n1", 3, 2), "Publish:run"},
      {"KAITO's number of the revision is another: once more",
       marked(with(serving(1), of_kaito(server(3), "7")), "server", "rev1/n1/uid-n1"),
       "Publish:run ApplyInference"},
      {"and only once for this sight",
       marked(with(serving(1), of_kaito(server(3), "7")), "server", "rev1/n1/uid-n1", 3, 1),
       "Publish:run"},
      {"somebody scaled the server: once more",
       marked(with(serving(1), edited(server(3), 2)), "server", "rev1/n1/uid-n1"),
       "Publish:run ApplyInference"},
      {"a Service is gone: once more",
       marked(with(serving(1), server(3), lost(4)), "server", "rev1/n1/uid-n1"),
       "Publish:run ApplyInference"},
      {"and only once for this loss",
       marked(marked(with(serving(1), server(3), lost(4)), "server", "rev1/n1/uid-n1"),
              "server parts", "rev1/n1/uid-n1", 4),
       "Publish:run"},
      {"the claim of the runs is gone: once more",
       long_ago(marked(with(tuning(1), job(3), unclaimed(4)), "job", "rev1/n1/uid-n1")),
       "Publish:run ApplyTuning"},
      {"and only once for this pod",
       marked(long_ago(marked(with(tuning(1), job(3), unclaimed(4)), "job", "rev1/n1/uid-n1")),
              "job parts", "rev1/n1/uid-n1", 4),
       "Publish:run"},
      {"KAITO's Job of this revision goes on",
       record(tuning(1), ready(1), of_kaito(job(3, ""), "1")), "Publish:run"},
      {"KAITO's Job went before it was done: a run of our own",
       with(tuning(1), of_kaito(gone(job(3, "")), "1")), "Publish:run ApplyTuning"},
      {"KAITO's server went: one of our own", with(serving(1), of_kaito(gone(server(3, "")), "1")),
       "Publish:run ApplyInference"},
      {"and what it has done is not done again",
       record(tuning(1), ready(1), of_kaito(finished(3, 1, ""), "1")), "Publish:run"},
      {"KAITO's Job of another revision goes first",
       record(tuning(1), ready(1), of_kaito(job(3, ""), "7")), "RemoveWorkload Publish:run"},
      {"KAITO's server of this revision goes on",
       record(serving(1), ready(1), of_kaito(server(3, ""), "1")), "Publish:run"},
      {"KAITO's server of another revision goes first",
       record(serving(1), ready(1), of_kaito(server(3, ""), "7")), "RemoveWorkload Publish:run"},
      {"paused while it runs", marked(with(paused(tuning(1)), job(3)), "job", "rev1/n1/uid-n1"),
       "Publish:run ApplyTuning"},
      {"paused already", marked(with(paused(tuning(1)), held(job(3))), "job", "rev1/n1/uid-n1"),
       "Publish:run"},
      {"goes on", marked(with(tuning(1), held(job(3))), "job", "rev1/n1/uid-n1"),
       "Publish:run ApplyTuning"},
      {"that was asked for",
       marked(marked(with(tuning(1), held(job(3))), "job", "rev1/n1/uid-n1"), "pause",
              "rev1/n1/uid-n1 goes on", 3),
       "Publish:run"},
      {"in a queue it is Kueue's to say",
       marked(with(queued(paused(tuning(1))), held(job(3))), "job", "rev1/n1/uid-n1"),
       "Publish:run"},
      {"another controller's Job is left alone", with(tuning(1), job(3, "")), "Publish:run"},
      {"another controller's server is left alone", with(serving(1), server(3, "")), "Publish:run"},
      {"leaving, never started", record(leaving(tuning(1))), "ReleaseRun"},
      {"leaving with a Job",
       marked(record(leaving(tuning(1)), planned(1)), "job", "rev1/n1/uid-n1"),
       "RemoveWorkload ReleaseRun"},
      {"leaving with a server",
       marked(record(leaving(serving(1)), planned(1)), "server", "rev1/n1/uid-n1"),
       "RemoveWorkload ReleaseRun"},
  };
  const runtime::Nodes nodes;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(kinds(launcher::decide(row.record, {nodes, 1000})) == row.commands);
  }
}

TEST_CASE("launcher: a missing Secret is told through the run") {
  wire::TroubleT trouble;
  trouble.version = 1;
  trouble.command = "ApplyTuning";
  trouble.revision = "rev1";
  trouble.code = static_cast<std::uint8_t>(Code::not_found);
  trouble.what = "Secret 'push' not found";
  auto r = marked(record(tuning(1), ready(1), planned(1), run_dir(1), std::move(trouble)), "job",
                  "rev1/n1/uid-n1");
  const runtime::Nodes nodes;
  const auto d = launcher::decide(r, {nodes, 1000});
  REQUIRE(kinds(d) == "Publish:run");
  const auto* run = d.commands[0].body.AsPublish()->fact->body.AsRun();
  CHECK(run->reason == "DependencyNotFound");
  CHECK(run->message == "Secret 'push' not found");
}

TEST_CASE(
    "launcher: a Job or a Service of which nothing is ever seen is asked for again, now and then") {
  constexpr std::int64_t asked_ms = 1'764'000'000'000, after = runtime::unseen_ms_max + 1;
  const auto wished = [](auto... seen) {
    return record(tuning(1), ready(1), planned(1), run_dir(1), std::move(seen)...);
  };
  const auto served = [](auto... parts) {
    return record(serving(1), ready(1), planned(1), run_dir(1), server(2), std::move(parts)...);
  };
  const auto trouble = [](Code code) {
    wire::TroubleT out;
    out.version = 1;
    out.command = "ApplyTuning";
    out.revision = "rev1";
    out.code = static_cast<std::uint8_t>(code);
    out.what = "trouble";
    return out;
  };
  struct Row {
    const char* what;
    wire::RecordT record;
    std::int64_t now_ms;
    bool is_asked;
    std::int64_t wake_at_ms;
  };
  Row rows[] = {
      {"just asked for", wished(), asked_ms + after - 1, false, asked_ms + after},
      {"made and deleted before anybody looked", wished(), asked_ms + after, true,
       asked_ms + 2 * after},
      {"the clock was set back", wished(), asked_ms - 1, true, asked_ms - 1 + after},
      {"an old trouble of which nobody said that it is over", wished(trouble(Code::unavailable)),
       asked_ms + after, true, asked_ms + 2 * after},
      {"refused, just now", wished(trouble(Code::invalid)), asked_ms + after - 1, false,
       asked_ms + after},
      {"refused, by a policy that somebody may have changed", wished(trouble(Code::invalid)),
       asked_ms + after, true, asked_ms + 2 * after},
      {"seen", wished(job(3)), asked_ms + after, false, 0},
      {"a server's Service, just made", served(part(3, "w-headless")), asked_ms + after - 1, false,
       asked_ms + after},
      {"a Service that was deleted before anybody looked", served(part(3, "w-headless")),
       asked_ms + after, true, asked_ms + 2 * after},
      {"all parts seen", served(part(3, "w"), part(3, "w-headless")), asked_ms + after, false, 0},
  };
  const runtime::Nodes nodes;
  for (Row& row : rows) {
    CAPTURE(std::string(row.what));
    const bool tunes = row.record.workspace->tuning != nullptr;
    wire::RecordT asked = marked(std::move(row.record), tunes ? "job" : "server", "rev1/n1/uid-n1");
    asked.marks[0]->at_ms = asked_ms;
    const auto d = launcher::decide(asked, {nodes, row.now_ms});
    const std::string apply = tunes ? " ApplyTuning" : " ApplyInference";
    CHECK(kinds(d) == "Publish:run" + (row.is_asked ? apply : ""));
    CHECK(d.wake_at_ms == row.wake_at_ms);
  }
}
TEST_CASE("launcher: a pod that is there before its claim is waited for") {
  auto r = marked(record(tuning(1), ready(1), planned(1), run_dir(1), job(3), unclaimed(4)), "job",
                  "rev1/n1/uid-n1");
  r.marks.at(0)->at_ms = 50'000;
  const runtime::Nodes nodes;
  const auto soon = launcher::decide(r, {nodes, 51'000});
  CHECK(kinds(soon) == "Publish:run");
  CHECK(soon.wake_at_ms == 80'000);
  CHECK(kinds(launcher::decide(r, {nodes, 80'000})) == "Publish:run ApplyTuning");
  CHECK(kinds(launcher::decide(r, {nodes, 49'000})) == "Publish:run ApplyTuning");  // set back
}
TEST_CASE(
    "launcher: a server that was asked for elsewhere, and is not made yet, is not made any more") {
  const runtime::Nodes nodes;
  const auto asked = [](const std::string& wish) {
    return marked(record(serving(1), ready(1), planned(1)), "server", wish);
  };
  const auto dropped = launcher::decide(asked("rev0/n2/uid-n2"), {nodes, 1000});
  CHECK(dropped.cancel_effects);
  REQUIRE_FALSE(dropped.marks.empty());
  CHECK(dropped.marks[1].value == "dropped");
  CHECK_FALSE(launcher::decide(asked("dropped"), {nodes, 1000}).cancel_effects);  // once
  CHECK_FALSE(launcher::decide(asked("rev1/n1/uid-n1"), {nodes, 1000}).cancel_effects);
}

TEST_CASE("launcher: a tuning whose GPU is ill, or that stalls, is ended, that very Job and once") {
  wire::ResourcesT ill = ready(2);
  ill.state = wire::ResourcesState::Waiting;
  const runtime::Nodes nodes;
  const auto decide = [&](const wire::RecordT& r) { return launcher::decide(r, {nodes, 1000}); };
  const auto removal = [](const runtime::Decision& d) -> std::string {
    for (const auto& c : d.commands)
      if (const auto* x = c.body.AsRemoveWorkload()) return x->kind + " " + x->uid;
    return "";
  };
  const auto with = [](wire::ResourcesT r, auto... seen) {
    return record(tuning(1), ready(1), planned(1), run_dir(1), std::move(r), std::move(seen)...);
  };
  CHECK(removal(decide(with(ill, job(1)))) == "");  // late: what runs goes on
  ill.drain = true;
  const auto d = decide(with(ill, job(1)));
  CHECK(removal(d) == "Job " + job(1).uid);
  CHECK(d.cancel_effects);
  CHECK(removal(decide(with(ill))) == "");
  wire::JobT over = job(1);
  over.finished = true;
  CHECK(removal(decide(with(ill, std::move(over)))) == "");

  wire::TrainingT training;
  training.version = 1;
  training.revision = "rev1";
  training.node = planned(1).node;
  training.progress = std::make_unique<wire::ProgressT>();
  training.progress->attempt = 2;
  CHECK(removal(decide(with(ready(3), job(1), training))) == "");
  training.stalled = "no step since ...";
  wire::RecordT r = with(ready(3), job(1), training);
  const auto ended = decide(r);
  CHECK(removal(ended) == "Job " + job(1).uid);
  for (const auto& mark : ended.marks) runtime::set_mark(r, mark);
  CHECK(removal(decide(r)) == "");  // the next one has not begun yet
  training.version = 2;
  training.progress->attempt = 3;
  runtime::absorb(r, fact(std::move(training)));
  wire::JobT next = job(2);
  next.uid = "j-2";
  runtime::absorb(r, fact(std::move(next)));
  CHECK(removal(decide(r)) == "Job j-2");  // and has stalled too
}
