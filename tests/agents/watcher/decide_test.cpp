// What this proves: what the watcher writes on a Workspace, and that it writes what the object does
// not show: once, again when somebody else has changed it, and not when it is there.
#include "agents/watcher/decide.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agents/watcher/status.h"
#include "agents/watcher/status_json.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;

TEST_CASE("watcher: numbers may wait a second, news may not") {
  auto r = record(tuning(1), ready(1), job(1), training(wire::RunPhase::Training, 1));
  r = marked(marked(std::move(r), "revision", "rev1"), "finalizer", "on");
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 10'000));
  r.patched_at_ms = 10'000;
  const runtime::Nodes nodes;
  CHECK(kinds(watcher::decide(r, {nodes, 10'500})) == "");
  r.trainings.at(0)->progress->step = 2;
  const auto soon = watcher::decide(r, {nodes, 10'500});
  CHECK(kinds(soon) == "");
  CHECK(soon.wake_at_ms == 11'000);
  CHECK(kinds(watcher::decide(r, {nodes, 11'000})) == "PatchStatus AnnounceStatus");
  r.trainings[0]->progress->phase = wire::RunPhase::Saving;
  CHECK(kinds(watcher::decide(r, {nodes, 10'500})) == "");
  runtime::absorb(r, fact(finished(2, 0)));
  CHECK(kinds(watcher::decide(r, {nodes, 10'500})) == "PatchStatus AnnounceStatus");
}

TEST_CASE("watcher: the moment of a status that was set first stands, unless news come") {
  const runtime::Nodes nodes;
  auto r = record(tuning(1));
  r = marked(marked(std::move(r), "revision", "rev1"), "finalizer", "on");
  const auto first = watcher::decide(r, {nodes, 10'000});
  CHECK(kinds(first) == "");
  CHECK(first.wake_at_ms == 11'500);
  r.wake_at_ms = 11'500;
  CHECK(watcher::decide(r, {nodes, 10'200}).wake_at_ms == 11'500);
  CHECK(kinds(watcher::decide(r, {nodes, 11'500})) == "PatchStatus AnnounceStatus");
  CHECK(watcher::decide(r, {nodes, 9'000}).wake_at_ms == 10'500);  // the clock was set back
  auto granted = wire::RecordT(r), refused = wire::RecordT(r);
  runtime::absorb(granted, fact(ready(1)));
  CHECK(watcher::decide(granted, {nodes, 10'200}).wake_at_ms == 10'500);
  wire::ResourcesT no = ready(1);
  no.state = wire::ResourcesState::Refused;
  runtime::absorb(refused, fact(std::move(no)));
  CHECK(kinds(watcher::decide(refused, {nodes, 10'200})) == "PatchStatus AnnounceStatus");
  r.workspace->problem = "the Workspace cannot be read";
  CHECK(kinds(watcher::decide(r, {nodes, 10'200})) == "PatchStatus AnnounceStatus");
}
TEST_CASE("watcher: finalizer and revision are one wish while both are missing") {
  const auto bare = [](bool finalized, const char* noted) {
    wire::WorkspaceT w = tuning(1);
    w.finalized = finalized;
    w.annotations.clear();
    for (const char* key : {"workspace.kaito.io/hash", "workspace.kaito.io/revision"}) {
      if (noted == nullptr) break;
      w.annotations.push_back(std::make_unique<wire::LabelT>());
      w.annotations.back()->key = key;
      w.annotations.back()->value = noted;
    }
    auto r = record(std::move(w), ready(1));
    r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 10'000));
    return r;
  };
  const runtime::Nodes nodes;
  const auto both = watcher::decide(bare(false, nullptr), {nodes, 10'000});
  REQUIRE(kinds(both) == "SaveRevision");
  CHECK(both.commands[0].body.AsSaveRevision()->finalize);
  const auto later = watcher::decide(bare(true, "another"), {nodes, 10'000});
  REQUIRE(kinds(later) == "SaveRevision");
  CHECK_FALSE(later.commands[0].body.AsSaveRevision()->finalize);
  CHECK(kinds(watcher::decide(bare(false, "rev1"), {nodes, 10'000})) == "SetFinalizer");
  CHECK(kinds(watcher::decide(bare(true, "rev1"), {nodes, 10'000})) == "");
}

TEST_CASE("watcher: a bus that is new hears the status again; the end is said once") {
  auto r = record(tuning(1), ready(1));
  r = marked(marked(std::move(r), "revision", "rev1"), "finalizer", "on");
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 10'000));
  const runtime::Nodes nodes;
  r = marked(std::move(r), "announce", "bus1/0");
  CHECK(kinds(watcher::decide(r, {nodes, 20, "bus1"})) == "");
  CHECK(kinds(watcher::decide(r, {nodes, 20, ""})) == "");
  CHECK(kinds(watcher::decide(r, {nodes, 21LL * 24 * 3600 * 1000, "bus1"})) == "AnnounceStatus");
  CHECK(kinds(watcher::decide(r, {nodes, 20, "bus2"})) == "AnnounceStatus");
  runtime::absorb(r, fact(gone(tuning(9))));
  const auto end = watcher::decide(r, {nodes, 30, "bus1"});
  REQUIRE(kinds(end) == "AnnounceStatus");
  CHECK(end.marks[0].value == "gone");
  CHECK(watcher::status_event(end.commands[0], 5).find("\"dev.kairo.workspace.deleted.v1\"") !=
        std::string::npos);
  CHECK(kinds(watcher::decide(marked(std::move(r), "announce", "gone"), {nodes, 30, "bus2"})) ==
        "");
}

TEST_CASE("watcher: progress goes on when the clock is set back") {
  auto r = record(tuning(1), ready(1), job(1), training(wire::RunPhase::Training, 1));
  r = marked(marked(std::move(r), "revision", "rev1"), "finalizer", "on");
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 3'600'000));
  r.patched_at_ms = 3'600'000;
  r.trainings.at(0)->progress->step = 2;
  const runtime::Nodes nodes;
  CHECK(kinds(watcher::decide(r, {nodes, 1'000})) == "PatchStatus AnnounceStatus");
}

TEST_CASE("watcher: the finalizer goes when nothing is left, not before") {
  runtime::Nodes nodes;
  nodes.emplace("n1", test::node(1));
  wire::ResourcesT released = ready(2);
  released.state = wire::ResourcesState::Released;
  const auto base = [&] {
    return record(leaving(tuning(3)), wire::ResourcesT(released), planned(2, "rev1", false),
                  run_dir(2, "rev1", wire::RunDirState::Removed));
  };
  CHECK(kinds(watcher::decide(base(), {nodes, 1})) == "SetFinalizer");
  auto with_job = base();
  runtime::absorb(with_job, fact(job(1)));
  CHECK(kinds(watcher::decide(with_job, {nodes, 1})) == "PatchStatus AnnounceStatus");
  auto with_dir =
      record(leaving(tuning(3)), wire::ResourcesT(released), planned(2, "rev1", false), run_dir(2));
  CHECK(kinds(watcher::decide(with_dir, {nodes, 1})) == "PatchStatus AnnounceStatus");
  auto unheard = record(leaving(tuning(3)));
  CHECK(kinds(watcher::decide(unheard, {nodes, 1})) == "PatchStatus AnnounceStatus");
}

namespace {
// A record whose Workspace shows `status`, seen in `version`.
wire::RecordT showing(wire::RecordT r, const wire::StatusT& status, std::uint64_t version) {
  const auto patch = watcher::status_patch(status);
  r.status_seen =
      std::make_unique<wire::StatusSeenT>(watcher::status_seen(nlohmann::json::parse(patch)));
  r.status_seen->version = version;
  return r;
}
wire::WorkspaceT without_finalizer(std::uint64_t version) {
  wire::WorkspaceT w = tuning(version);
  w.finalized = false;
  w.finalizers = {"foregroundDeletion"};
  return w;
}
const runtime::Nodes none;
}  // namespace

TEST_CASE("watcher: a status that somebody overwrites is written again, once for each time") {
  auto r = record(tuning(1), ready(1), job(1));
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 10'000));
  r = marked(std::move(r), "announce", "bus1/0");
  const auto told = watcher::compose(r, 10'000);
  CHECK(kinds(watcher::decide(showing(wire::RecordT(r), told, 5), {none, 11'000, "bus1"})) == "");
  wire::StatusT foreign(told);
  foreign.state = "Succeeded";
  foreign.conditions.clear();
  r = showing(std::move(r), foreign, 6);
  const auto again = watcher::decide(r, {none, 11'000, "bus1"});
  REQUIRE(kinds(again) == "PatchStatus");
  CHECK(*again.commands[0].body.AsPatchStatus()->status == told);
  runtime::set_mark(r, wire::MarkT(again.marks.at(0)));
  CHECK(kinds(watcher::decide(r, {none, 12'000, "bus1"})) == "");
  r = showing(std::move(r), foreign, 7);
  CHECK(kinds(watcher::decide(r, {none, 12'000, "bus1"})) == "PatchStatus");
}
TEST_CASE("watcher: with an empty store, what the object shows is not written again") {
  auto r = record(tuning(1), ready(1), job(1));
  const auto told = watcher::compose(r, 10'000);
  r = showing(std::move(r), told, 5);
  const auto d = watcher::decide(r, {none, 900'000, "bus1"});
  CHECK(kinds(d) == "AnnounceStatus");
  REQUIRE(d.status != nullptr);
  CHECK(*d.status == told);  // the times of its conditions, too
}
TEST_CASE("watcher: with an empty store, a tuning that had started has started") {
  auto r = record(tuning(1), ready(1), job(1), training(wire::RunPhase::Training, 1));
  const auto running = watcher::compose(r, 10'000);
  REQUIRE(running.state == "Running");
  auto lost = record(tuning(1), ready(1));  // its pod has died, its Job is being made anew
  CHECK(watcher::compose(lost, 20'000).state == "Pending");
  CHECK(watcher::compose(showing(std::move(lost), running, 5), 20'000).state == "Running");
}
TEST_CASE("watcher: a finalizer that somebody drops is put on again, beside the others") {
  auto r = record(without_finalizer(3));
  const auto first = watcher::decide(r, {none, 1});
  REQUIRE(kinds(first).starts_with("SetFinalizer"));
  CHECK(first.commands[0].body.AsSetFinalizer()->others ==
        std::vector<std::string>{"foregroundDeletion"});
  CHECK_FALSE(kinds(watcher::decide(marked(wire::RecordT(r), "finalizer", "on", 3), {none, 1}))
                  .starts_with("SetFinalizer"));
  r = record(without_finalizer(7));
  CHECK(kinds(watcher::decide(marked(std::move(r), "finalizer", "on", 3), {none, 1}))
            .starts_with("SetFinalizer"));
}
TEST_CASE("watcher: annotations that somebody drops are written again") {
  wire::WorkspaceT w = tuning(3);
  w.annotations.clear();
  const auto r = record(std::move(w));
  CHECK(kinds(watcher::decide(r, {none, 1})).starts_with("SaveRevision"));
  CHECK_FALSE(kinds(watcher::decide(marked(wire::RecordT(r), "revision", "rev1", 3), {none, 1}))
                  .starts_with("SaveRevision"));
}
TEST_CASE("watcher: a deletion says what it waits for, and ends though its node is gone") {
  wire::ResourcesT released = ready(2);
  released.state = wire::ResourcesState::Released;
  const auto r =
      record(leaving(tuning(3)), std::move(released), planned(2, "rev1", false), run_dir(2));
  const auto waits = [&](const runtime::Nodes& nodes, std::int64_t now_ms) {
    const auto d =
        watcher::decide(marked(wire::RecordT(r), "leaving", "", 10'000), {nodes, now_ms});
    return d.status ? d.status->conditions.back()->message : kinds(d);
  };
  runtime::Nodes nodes;
  nodes.emplace("n1", test::node(1));
  CHECK(waits(nodes, 11'000) ==
        "workspace is being deleted: waiting for node n1 to remove its run directory");
  nodes["n1"].ready = false;
  CHECK(waits(nodes, 11'000).ends_with("(the node is not Ready)"));
  CHECK(waits(nodes, 10'000 + 601'000) == "SetFinalizer");  // it cleans up when it is back
  nodes["n1"].exists = false;
  CHECK(waits(nodes, 11'000) == "SetFinalizer");
  CHECK(waits({}, 11'000) == "SetFinalizer");
}
TEST_CASE(
    "watcher: a deletion that waits for others alone names them, and says that the node is free") {
  wire::ResourcesT released = ready(2);
  released.state = wire::ResourcesState::Released;
  released.reason.clear();
  released.revision.clear();
  wire::WorkspaceT w = leaving(tuning(3));
  w.finalized = false;
  w.finalizers = {"example.com/x", "kaito.sh/kaito"};
  const auto r = record(w, released, planned(2, "rev1", false));
  const auto d = watcher::decide(r, {{}, 11'000});
  REQUIRE(d.status);
  CHECK(d.status->conditions.back()->message ==
        "workspace is being deleted: waiting for those who hold example.com/x, kaito.sh/kaito; "
        "kairo has nothing left of it");
  CHECK(d.status->conditions[1]->message == "the workspace has given up its node");
  w.finalizers.clear();  // it is gone by now
  CHECK(
      kinds(watcher::decide(record(w, released, planned(2, "rev1", false)), {{}, 11'000})).empty());
}
