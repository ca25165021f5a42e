// agents/launcher/decide.cpp - one step at a time, each from what is known now.
#include "agents/launcher/decide.h"

#include <utility>

#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
using runtime::ask;
using runtime::copy;
using runtime::Decision;
using runtime::mark_of;

// Why the workload could not be applied: a ConfigMap or Secret that is missing or wrong.
std::string reason_of(const wire::TroubleT& trouble) {
  switch (static_cast<Code>(trouble.code)) {
    case Code::invalid:
      return "InvalidWorkload";
    case Code::not_found:
      return "DependencyNotFound";
    case Code::conflict:
      return "InvalidConfiguration";
    case Code::unavailable:
      return "ClusterUnavailable";
    case Code::corrupt:
    case Code::expired:
      return "InternalError";
  }
  return "InternalError";
}

void want_run(Decision& d, const wire::RecordT& record) {
  const wire::WorkspaceT& w = *record.workspace;
  wire::RunT run;
  run.planned = true;
  run.revision = w.revision;
  run.node = record.resources->nodes.empty() ? "" : record.resources->nodes.front();
  run.preset = w.tuning ? w.tuning->preset : w.inference ? w.inference->preset : "";
  const auto* trouble = runtime::trouble_of(record, w.tuning ? "ApplyTuning" : "ApplyInference");
  run.reason = trouble != nullptr ? reason_of(*trouble) : "";
  run.message = trouble != nullptr ? trouble->what : "";
  runtime::publish(d, record, std::move(run));
}

Decision leave(const wire::RecordT& record) {
  Decision d;
  d.cancel_effects = mark_of(record, "leaving").empty();
  if (d.cancel_effects) {
    wire::MarkT mark;
    mark.key = "leaving";
    mark.value = "yes";
    d.marks.push_back(std::move(mark));
  }
  // Asked for without looking whether it is there: an apply may be on its way to the cluster. Asked
  // for again when a fact shows one that is there all the same.
  const auto remove = [&](const char* kind, const char* key, const std::string& asked,
                          const std::string& seen) {
    const std::string mark = mark_of(record, key);
    if (asked.empty() && seen.empty()) return;
    if (mark.starts_with("leaving") && seen.empty()) return;
    wire::RemoveWorkloadT body;
    body.kind = kind;
    ask(d, record, key, "leaving " + seen, "", std::move(body));
  };
  const bool job = record.job && record.job->exists,
             server = record.server && record.server->exists;
  remove("Job", "remove job", mark_of(record, "job"), job ? record.job->uid : "");
  remove("StatefulSet", "remove server", mark_of(record, "server"), server ? "seen" : "");
  // Effects run in order: the directory is given up when the workload is surely gone.
  if (record.run && record.run->planned) {
    wire::ReleaseRunT release;
    release.run = copy(*record.run);
    ask(d, record, "release", record.run->revision, "", std::move(release));
  }
  return d;
}

// The mark of a workload that was asked for: its revision; and when it was seen gone although it is
// wanted (somebody deleted it), or seen to be of another revision, that version too, so that it is
// asked for once more.
template <class Workload>
std::string wish(const std::string& revision, const Workload& seen, bool another_counts) {
  const bool is_gone = seen && !seen->exists && seen->revision == revision;
  const bool is_another = seen && seen->exists && seen->revision != revision && another_counts;
  return is_gone || is_another ? revision + "@" + std::to_string(seen->version) : revision;
}
template <class Workload>
bool is_there(const std::string& revision, const Workload& seen) {
  return seen && seen->exists && seen->revision == revision;
}
std::string revision_in(const std::string& mark) {
  return mark.substr(0, mark.find('@'));
}

// The Job of an older revision goes first: one that was asked for, or one that is seen (by a
// launcher that has lost its store, or has taken a cluster over). Effects of one Workspace run in
// order and a removal is done only when the object is gone, so the new Job cannot meet the old one.
void remove_older(Decision& d, const wire::RecordT& record) {
  const std::string& revision = record.workspace->revision;
  const std::string asked = mark_of(record, "job");
  const bool is_asked = !asked.empty() && revision_in(asked) != revision;
  const bool is_seen = record.job && record.job->exists && record.job->revision != revision;
  const std::string seen = is_seen ? record.job->uid : "";
  if (!is_asked && (seen.empty() || mark_of(record, "older job") == seen)) return;
  wire::RemoveWorkloadT body;
  body.kind = "Job";
  wire::CommandT remove;
  remove.revision = revision;  // the Job of this one stays
  remove.coalesce = "remove job";
  remove.body.Set(std::move(body));
  d.commands.push_back(std::move(remove));
  d.cancel_effects = true;
  // No Job is asked for any more, so this is said once; each revision may come back.
  for (const auto& [key, value] : {std::pair{"job", std::string()}, {"older job", seen}}) {
    wire::MarkT mark;
    mark.key = key;
    mark.value = value;
    d.marks.push_back(std::move(mark));
  }
}

void tune(Decision& d, const wire::RecordT& record) {
  if (record.artifact && record.artifact->revision == record.workspace->revision)
    return;  // the training is over, whether its Job is still there or not
  if (is_there(record.workspace->revision, record.job)) return;
  wire::ApplyTuningT apply;
  apply.workspace = copy(*record.workspace);
  apply.resources = copy(*record.resources);
  apply.run_dir = copy(*record.run_dir);
  const std::string& revision = record.workspace->revision;
  // A Job of another revision is removed first (remove_older), not changed.
  ask(d, record, "job", wish(revision, record.job, false), revision, std::move(apply));
}
void serve(Decision& d, const wire::RecordT& record) {
  if (is_there(record.workspace->revision, record.server)) return;
  wire::ApplyInferenceT apply;
  apply.workspace = copy(*record.workspace);
  apply.resources = copy(*record.resources);
  apply.run_dir = copy(*record.run_dir);
  const std::string& revision = record.workspace->revision;
  ask(d, record, "server", wish(revision, record.server, true), revision, std::move(apply));
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View&) {
  // A Workspace that is gone is left too: it may have gone while something was on its way.
  if (record.workspace && !runtime::is_live(record)) return leave(record);
  Decision d;
  if (!runtime::is_live(record) || !record.resources) return d;
  const wire::WorkspaceT& w = *record.workspace;
  if (w.tuning) remove_older(d, record);
  const wire::ResourcesT& resources = *record.resources;
  const bool granted =
      resources.state == wire::ResourcesState::Ready && resources.revision == w.revision;
  if (!granted) return d;  // what runs goes on: a node that is late again must not end a training
  want_run(d, record);
  const bool prepared = record.run_dir && record.run_dir->state == wire::RunDirState::Ready &&
                        record.run_dir->revision == w.revision;
  if (!prepared) return d;
  if (w.tuning) tune(d, record);
  if (w.inference) serve(d, record);
  return d;
}
}  // namespace kairo::launcher
