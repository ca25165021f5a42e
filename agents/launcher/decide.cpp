// agents/launcher/decide.cpp - one step at a time, each from what is known now.
#include "agents/launcher/decide.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "agents/launcher/drain.h"
#include "agents/launcher/obstacle.h"
#include "agents/launcher/want.h"
#include "agents/launcher/wish.h"
#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
using runtime::ask;
using runtime::copy;
using runtime::Decision;
using runtime::mark_of;

// A pod of the user's own brings its files, and so does what KAITO has made; only what is in its
// way is said.
bool needs_run(const wire::RecordT& record) {
  const wire::WorkspaceT& w = *record.workspace;
  if (w.inference && !w.inference->template_.empty()) return false;
  const auto is_run = [&](const auto& seen) {
    return exists(seen) && runtime::is_kaitos(record, seen);
  };
  return !is_run(record.job) && !is_run(record.server) && !runtime::has_kaito_done(record);
}
void want_run(Decision& d, const wire::RecordT& record) {
  const wire::WorkspaceT& w = *record.workspace;
  wire::RunT run;
  run.revision = w.revision;
  if (needs_run(record)) {
    run.planned = true;
    const std::vector<std::string> places = places_of(record);
    run.node = node_of(record);
    run.place = places.front();
    run.peers.assign(places.begin() + 1, places.end());
    run.preset = w.tuning ? w.tuning->preset : w.inference ? w.inference->preset : "";
  }
  std::tie(run.reason, run.message) = obstacle(record);
  runtime::publish(d, record, std::move(run));
}

wire::MarkT mark(const std::string& key, const std::string& value) {
  wire::MarkT out;
  out.key = key;
  out.value = value;
  return out;
}

Decision leave(const wire::RecordT& record, std::int64_t now_ms) {
  Decision d;
  d.cancel_effects = mark_of(record, "leaving").value.empty();
  if (d.cancel_effects) d.marks.push_back(mark("leaving", "yes"));
  // Asked for without looking whether it is there: an apply may be on its way to the cluster. Asked
  // for again by each fact that shows one that is there all the same, and now and then.
  std::string removals;  // the release comes after the last of them
  const auto remove = [&](const char* kind, const char* key, const std::string& asked,
                          const auto& workload) {
    const std::string seen = exists(workload) ? workload->uid : "";
    const std::string before = mark_of(record, key).value;
    const bool is_asked = before.starts_with("leaving") && seen.empty();
    const bool is_needed = !is_asked && !(asked.empty() && seen.empty());
    const std::string wish = is_needed ? "leaving " + seen : before;
    removals += "/" + wish;
    if (!is_needed) return;
    wire::RemoveWorkloadT body;
    body.kind = kind;
    body.volumes = record.workspace->count > 1;
    if (seen.empty()) return void(ask(d, record, key, wish, "", std::move(body)));
    ask(d, record, key, wish, "", std::move(body), {workload->version, 0, now_ms});
    d.wake_at_ms = now_ms + runtime::unseen_ms_max + 1;
  };
  remove("Job", "remove job", mark_of(record, "job").value, record.job);
  remove("StatefulSet", "remove server", mark_of(record, "server").value, record.server);
  // Effects run in order: the directory is given up when the workload is surely gone. Said though
  // no run is known here: others may know of one that was lost.
  if (!record.run || record.run->planned) {
    wire::ReleaseRunT release;
    release.run = record.run ? copy(*record.run) : std::make_unique<wire::RunT>();
    const std::string wish = release.run->revision + removals;
    ask(d, record, "release", wish, "", std::move(release));
  }
  return d;
}

// KAITO made it, for what the Workspace wished before: it goes, as KAITO would have it.
template <class Workload>
bool is_outdated_kaitos(const wire::RecordT& record, const Workload& seen) {
  return exists(seen) && is_foreign(seen) && !seen->kaito_revision.empty() &&
         !runtime::is_kaitos(record, seen) &&
         runtime::annotation_of(*record.workspace, "workspace.kaito.io/hash") ==
             record.workspace->revision;
}
void remove_kaitos_server(Decision& d, const wire::RecordT& record, std::int64_t now_ms) {
  if (!is_outdated_kaitos(record, record.server)) return;
  wire::RemoveWorkloadT body;
  body.kind = "StatefulSet";
  ask(d, record, "older server", record.server->uid, record.workspace->revision, std::move(body),
      {record.server->version, 0, now_ms});
  d.wake_at_ms = now_ms + runtime::unseen_ms_max + 1;
}

// What was asked for in another revision, or for another place, and has not been made yet is not
// made any more: its run directory may go.
void drop_older_server(Decision& d, const wire::RecordT& record) {
  constexpr const char* dropped = "dropped";
  const std::string& asked = mark_of(record, "server").value;
  if (asked.empty() || asked == dropped || asked == wish_of(record)) return;
  d.cancel_effects = true;
  d.marks.push_back(mark("server", dropped));
}

// The Job of an older revision, or for another place, goes first: one that was asked for, or one
// that is seen (by a launcher that has lost its store, or has taken a cluster over). Effects of one
// Workspace run in order and a removal is done only when the object is gone, so the new Job cannot
// meet the old one.
void remove_older(Decision& d, const wire::RecordT& record, std::int64_t now_ms) {
  const std::string& revision = record.workspace->revision;
  const bool is_placed = !node_of(record).empty();
  const auto is_older = [&](const std::string& wish) {
    return is_placed ? wish != wish_of(record) : !wish.starts_with(revision + "/");
  };
  const std::string asked = mark_of(record, "job").value;
  const bool is_asked = !asked.empty() && is_older(asked);
  const bool is_seen =
      is_outdated_kaitos(record, record.job) ||
      (exists(record.job) && !is_foreign(record.job) &&
       is_older(record.job->revision + "/" +
                (record.job->place.empty() ? place_of(record) : record.job->place)));
  const std::uint64_t seen = is_seen ? record.job->version : 0;
  const wire::MarkT& before = mark_of(record, "older job");
  const std::int64_t again_ms = before.at_ms + runtime::unseen_ms_max + 1;
  const bool is_overdue = seen != 0 && (now_ms >= again_ms || now_ms < before.at_ms);
  if (seen != 0) d.wake_at_ms = is_overdue ? now_ms + runtime::unseen_ms_max + 1 : again_ms;
  if (!is_asked && !is_overdue && seen <= before.seen) return;
  wire::RemoveWorkloadT body;
  body.kind = "Job";
  body.place = place_of(record);
  wire::CommandT remove;
  remove.revision = revision;  // the Job of this one stays
  remove.coalesce = "remove job";
  remove.body.Set(std::move(body));
  d.commands.push_back(std::move(remove));
  d.cancel_effects = true;
  // No Job is asked for any more, so this is said once, and again by each fact that shows the old
  // one; each revision may come back.
  d.marks.push_back(mark("job", ""));
  d.marks.push_back(mark("older job", ""));
  d.marks.back().seen = seen;
  d.marks.back().at_ms = now_ms;
}

// On each of its nodes there is a run directory, with the weights.
bool is_prepared(const wire::RecordT& record) {
  const std::vector<std::string> places = places_of(record);
  return record.run && record.run->node == node_of(record) &&
         std::all_of(places.begin(), places.end(), [&](const std::string& place) {
           const wire::RunDirT* dir =
               runtime::of_node(record.run_dirs, runtime::node_of_place(place));
           return dir != nullptr && dir->state == wire::RunDirState::Ready &&
                  dir->revision == record.workspace->revision && dir->place == place &&
                  !dir->volume.empty();
         });
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view) {
  // A Workspace that is gone is left too: it may have gone while something was on its way.
  if (record.workspace && !runtime::is_live(record)) return leave(record, view.now_ms);
  Decision d;
  if (record.workspace && mark_of(record, "known").seen == 0) {
    d.marks.push_back(mark("known", ""));
    d.marks.back().seen = static_cast<std::uint64_t>(view.now_ms);
  }
  if (!runtime::is_live(record) || !record.resources) return d;
  const wire::WorkspaceT& w = *record.workspace;
  if (w.tuning) remove_older(d, record, view.now_ms);
  if (w.inference) remove_kaitos_server(d, record, view.now_ms);
  const wire::ResourcesT& resources = *record.resources;
  const bool granted =
      resources.state == wire::ResourcesState::Ready && resources.revision == w.revision;
  if (drain(d, record, view.now_ms)) return d;
  if (!granted) return d;  // what runs goes on: a node that is late again must not end a training
  if (w.inference) drop_older_server(d, record);
  want_run(d, record);
  if (!is_prepared(record) && needs_run(record)) return want_volume(d, record), std::move(d);
  // What is started is the Workspace's own and goes with it, finalizer or not. The volumes of
  // several nodes are the nodes': somebody must take them away.
  if (!w.finalized && w.count > 1) return d;
  if (w.tuning && !runtime::is_trained(record) && !is_foreign(record.job))
    want_job(d, record, view.now_ms);
  if (w.inference && !is_foreign(record.server)) want_server(d, record, view.now_ms);
  return d;
}
}  // namespace kairo::launcher
