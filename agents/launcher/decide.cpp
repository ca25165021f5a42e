// agents/launcher/decide.cpp - one step at a time, each from what is known now.
#include "agents/launcher/decide.h"

#include <algorithm>
#include <tuple>
#include <type_traits>
#include <utility>

#include "agents/launcher/obstacle.h"
#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
using runtime::ask;
using runtime::copy;
using runtime::Decision;
using runtime::mark_of;

// The node that was granted for this revision; "" = none.
std::string node_of(const wire::RecordT& record) {
  const wire::ResourcesT* r = record.resources.get();
  const bool is_granted = r != nullptr && r->state == wire::ResourcesState::Ready &&
                          r->revision == record.workspace->revision;
  return is_granted && !r->nodes.empty() ? r->nodes.front() : "";
}
std::string place_of(const wire::RecordT& record) {
  const bool is_named = !node_of(record).empty() && !record.resources->places.empty();
  return is_named ? record.resources->places.front() : node_of(record);
}
// The workload as it is wished for: a revision, in a place.
std::string wish_of(const wire::RecordT& record) {
  return record.workspace->revision + "/" + place_of(record);
}
template <class Workload>
bool exists(const Workload& seen) {
  return seen && seen->exists;
}
// Of this revision and for this node, whether it is there or gone.
template <class Workload>
bool is_of_wish(const wire::RecordT& record, const Workload& seen) {
  return seen && seen->revision == record.workspace->revision &&
         (seen->place.empty() || seen->place == place_of(record));
}

void want_run(Decision& d, const wire::RecordT& record) {
  const wire::WorkspaceT& w = *record.workspace;
  wire::RunT run;
  run.planned = true;
  run.revision = w.revision;
  run.node = node_of(record);
  run.place = place_of(record);
  run.preset = w.tuning ? w.tuning->preset : w.inference ? w.inference->preset : "";
  std::tie(run.reason, run.message) = obstacle(record);
  runtime::publish(d, record, std::move(run));
}

wire::MarkT mark(const std::string& key, const std::string& value) {
  wire::MarkT out;
  out.key = key;
  out.value = value;
  return out;
}

Decision leave(const wire::RecordT& record) {
  Decision d;
  d.cancel_effects = mark_of(record, "leaving").value.empty();
  if (d.cancel_effects) d.marks.push_back(mark("leaving", "yes"));
  // Asked for without looking whether it is there: an apply may be on its way to the cluster. Asked
  // for again when a fact shows one that is there all the same.
  std::string removals;  // the release comes after the last of them
  const auto remove = [&](const char* kind, const char* key, const std::string& asked,
                          const std::string& seen) {
    const std::string before = mark_of(record, key).value;
    const bool is_asked = before.starts_with("leaving") && seen.empty();
    const bool is_needed = !is_asked && !(asked.empty() && seen.empty());
    const std::string wish = is_needed ? "leaving " + seen : before;
    removals += "/" + wish;
    if (!is_needed) return;
    wire::RemoveWorkloadT body;
    body.kind = kind;
    ask(d, record, key, wish, "", std::move(body));
  };
  remove("Job", "remove job", mark_of(record, "job").value,
         exists(record.job) ? record.job->uid : "");
  remove("StatefulSet", "remove server", mark_of(record, "server").value,
         exists(record.server) ? record.server->uid : "");
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

// The Job of an older revision, or for another place, goes first: one that was asked for, or one
// that is seen (by a launcher that has lost its store, or has taken a cluster over). Effects of one
// Workspace run in order and a removal is done only when the object is gone, so the new Job cannot
// meet the old one.
void remove_older(Decision& d, const wire::RecordT& record) {
  const std::string& revision = record.workspace->revision;
  const bool is_placed = !node_of(record).empty();
  const auto is_older = [&](const std::string& wish) {
    return is_placed ? wish != wish_of(record) : !wish.starts_with(revision + "/");
  };
  const std::string asked = mark_of(record, "job").value;
  const bool is_asked = !asked.empty() && is_older(asked);
  const bool is_seen = exists(record.job) && !is_foreign(record.job) &&
                       is_older(record.job->revision + "/" +
                                (record.job->place.empty() ? place_of(record) : record.job->place));
  const std::string seen = is_seen ? record.job->uid : "";
  if (!is_asked && (seen.empty() || mark_of(record, "older job").value == seen)) return;
  wire::RemoveWorkloadT body;
  body.kind = "Job";
  body.place = place_of(record);
  wire::CommandT remove;
  remove.revision = revision;  // the Job of this one stays
  remove.coalesce = "remove job";
  remove.body.Set(std::move(body));
  d.commands.push_back(std::move(remove));
  d.cancel_effects = true;
  // No Job is asked for any more, so this is said once; each revision may come back.
  d.marks.push_back(mark("job", ""));
  d.marks.push_back(mark("older job", seen));
}

// Asks for the workload: once, again when what is seen is not as wished (`counts`: also when it is
// another one; an older Job must go first), when somebody has edited it (another generation than
// when it was asked for), and when one of its parts is gone.
template <class Apply, class Workload>
void want(Decision& d, const wire::RecordT& record, const runtime::View& view,
          const std::string& key, const Workload& seen, bool counts) {
  const std::string wish = wish_of(record);
  const wire::MarkT& asked = mark_of(record, key);
  const auto body = [&](bool is_first) {
    Apply apply;
    if constexpr (std::is_same_v<Apply, wire::ApplyTuningT>)
      if (is_first) apply.since_ms = static_cast<std::int64_t>(mark_of(record, "known").seen);
    apply.workspace = copy(*record.workspace);
    apply.resources = copy(*record.resources);
    apply.run_dir = copy(*runtime::run_dir_of(record));
    return apply;
  };
  const std::uint64_t generation = asked.value == wish
                                       ? std::max<std::uint64_t>(asked.generation, 1)
                                       : 1;  // of an object as it was made
  const std::string& revision = record.workspace->revision;
  if (!exists(seen) || !is_of_wish(record, seen)) {
    runtime::Seen what;
    if (exists(seen) && counts) what = {seen->version, seen->generation + 1};  // updated in place
    if (seen && !seen->exists && (counts || is_of_wish(record, seen))) what = {seen->version, 0};
    const char* command = record.workspace->tuning ? "ApplyTuning" : "ApplyInference";
    const auto* trouble = runtime::trouble_of(record, command);
    if (!trouble || Code(trouble->code) != Code::invalid) what.now_ms = view.now_ms;
    const bool is_asked_now = ask(d, record, key, wish, revision, body(asked.value != wish), what);
    if (what.now_ms != 0)
      d.wake_at_ms = (is_asked_now ? view.now_ms : asked.at_ms) + runtime::unseen_ms_max + 1;
  } else if (seen->generation > generation) {
    ask(d, record, key, wish, revision, body(false), {seen->version, seen->generation});
  }
  std::uint64_t lost = 0;
  for (const auto& part : record.parts)
    if (!part->exists) lost = std::max(lost, part->version);
  if (lost > mark_of(record, key + " parts").seen)
    ask(d, record, key + " parts", wish, revision, body(false), {lost});
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view) {
  // A Workspace that is gone is left too: it may have gone while something was on its way.
  if (record.workspace && !runtime::is_live(record)) return leave(record);
  Decision d;
  if (record.workspace && mark_of(record, "known").seen == 0) {
    d.marks.push_back(mark("known", ""));
    d.marks.back().seen = static_cast<std::uint64_t>(view.now_ms);
  }
  if (!runtime::is_live(record) || !record.resources) return d;
  const wire::WorkspaceT& w = *record.workspace;
  if (w.tuning) remove_older(d, record);
  const wire::ResourcesT& resources = *record.resources;
  const bool granted =
      resources.state == wire::ResourcesState::Ready && resources.revision == w.revision;
  if (!granted) return d;  // what runs goes on: a node that is late again must not end a training
  want_run(d, record);
  const wire::RunDirT* dir = runtime::of_node(record.run_dirs, node_of(record));
  const bool prepared = dir != nullptr && dir->state == wire::RunDirState::Ready &&
                        dir->revision == w.revision && dir->place == place_of(record) &&
                        record.run && record.run->node == dir->node;
  if (!prepared) return d;
  if (w.tuning && !runtime::is_trained(record) && !is_foreign(record.job))
    want<wire::ApplyTuningT>(d, record, view, "job", record.job, false);
  if (w.inference && !is_foreign(record.server))
    want<wire::ApplyInferenceT>(d, record, view, "server", record.server, true);
  return d;
}
}  // namespace kairo::launcher
