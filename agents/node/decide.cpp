// agents/node/decide.cpp - prepare, check what a finished run left, clean up.
#include "agents/node/decide.h"

#include "agents/runtime/decision.h"

namespace kairo::node {
namespace {
using runtime::ask;
using runtime::copy;
using runtime::Decision;

// Its processes may still write there.
bool is_used(const wire::RecordT& record) {
  return (record.job && record.job->exists) || (record.server && record.server->exists);
}

// The directory could not be made (disk full, weights missing): said once per cause; the relay goes
// on trying what may get better by itself.
void tell_trouble(Decision& d, const wire::RecordT& record, const wire::TroubleT& trouble) {
  wire::RunDirT failed;
  failed.revision = trouble.revision;
  failed.state = wire::RunDirState::Failed;
  failed.node = record.run->node;
  failed.reason = "RunDirectoryFailed";
  failed.message = trouble.what;
  runtime::publish(d, record, std::move(failed));
}
// The run is another node's by now: what was made here goes, without a word about it, for the word
// about a run's directory is the other's.
Decision leave_to_another(const wire::RecordT& record, const std::string& self) {
  Decision d;
  const bool was_here = !runtime::mark_of(record, "prepare").value.empty();
  const auto runs_here = [&](const auto& seen) {
    return seen && seen->exists && seen->node == self;
  };
  if (!was_here || runs_here(record.job) || runs_here(record.server)) return d;
  wire::RemoveRunT remove;
  remove.run = copy(*record.run);
  d.cancel_effects = true;
  ask(d, record, "remove", "moved", "", std::move(remove));
  wire::MarkT forgotten;
  forgotten.key = "prepare";
  d.marks.push_back(std::move(forgotten));
  return d;
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view) {
  Decision d;
  if (!record.run) return d;
  const wire::RunT& run = *record.run;
  if (run.node != view.self) return leave_to_another(record, view.self);
  const wire::RunDirT* dir = record.run_dir.get();
  // Of this word about the run: a wish may come back, and a store may be older than what was done.
  const std::string asked_for = run.revision + "/" + std::to_string(run.version);
  if (!run.planned) {
    if (is_used(record)) return d;
    if (dir != nullptr && dir->state == wire::RunDirState::Removed) return d;
    wire::RemoveRunT remove;
    remove.run = copy(run);
    d.cancel_effects = runtime::mark_of(record, "remove").value != asked_for;
    ask(d, record, "remove", asked_for, run.revision, std::move(remove));
    return d;
  }
  const bool ready =
      dir != nullptr && dir->state == wire::RunDirState::Ready && dir->revision == run.revision;
  if (!ready) {
    wire::PrepareRunT prepare;
    prepare.run = copy(run);
    ask(d, record, "prepare", asked_for, run.revision, std::move(prepare));
    if (const wire::TroubleT* trouble = runtime::trouble_of(record, "PrepareRun"))
      tell_trouble(d, record, *trouble);
    return d;
  }
  const bool ended = record.job && record.job->revision == run.revision && record.job->finished &&
                     record.job->succeeded > 0;
  const bool checked = record.artifact && record.artifact->revision == run.revision;
  if (ended && !checked) {
    wire::CheckArtifactT check;
    check.run = copy(run);
    ask(d, record, "check", run.revision, run.revision, std::move(check));
  }
  return d;
}
}  // namespace kairo::node
