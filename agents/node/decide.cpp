// agents/node/decide.cpp - prepare, check what a finished run left, clean up.
#include "agents/node/decide.h"

#include "agents/node/adapters_wanted.h"
#include "agents/runtime/decision.h"

namespace kairo::node {
namespace {
using runtime::ask;
using runtime::copy;
using runtime::Decision;

// Its processes may still write here.
bool is_used(const wire::RecordT& record, const std::string& self) {
  const auto is_here = [&](const auto& seen) {  // its place may be several: "a/1,b/2"
    return seen && seen->exists &&
           (seen->place.empty() || ("," + seen->place).find("," + self + "/") != std::string::npos);
  };
  return is_here(record.job) || is_here(record.server);
}

// Where the weights come from, and with which Secrets, when the user says so.
void name_source(wire::PrepareRunT& prepare, const wire::RecordT& record) {
  const auto name = [&](const auto& wish) {
    prepare.access_secret = wish.access_secret;
    prepare.weights_image = wish.weights_image;
    prepare.weights_secrets = wish.weights_secrets;
  };
  if (!record.workspace) return;
  if (record.workspace->tuning) return name(*record.workspace->tuning);
  if (record.workspace->inference) name(*record.workspace->inference);
}

// A checkpoint of this revision that another node's pusher has put into the registry, and with
// which Secret. One that is as new as it may lie here: the effect looks.
const wire::CheckpointT* to_bring(const wire::RecordT& record) {
  const bool is_tuning =
      runtime::is_live(record) && record.workspace->tuning && record.workspace->tuning->output;
  const bool is_wanted =
      is_tuning && runtime::annotation_of(*record.workspace, runtime::keep_checkpoints) != "false";
  return is_wanted ? runtime::checkpoint_of(record, record.run->revision) : nullptr;
}

// It hangs again and again, and makes no step between: a person must look at it.
constexpr unsigned stalls_max = 3;  // that it is started again after
void give_up(Decision& d, const wire::RecordT& record, const wire::RunT& run,
             const std::string& self) {
  const wire::TrainingT* training = runtime::of_node(record.trainings, self);
  if (training == nullptr || training->revision != run.revision || training->stalled.empty() ||
      training->stalls <= stalls_max)
    return;
  wire::ArtifactT artifact;
  artifact.revision = run.revision;
  artifact.node = self;
  artifact.place = run.place;
  artifact.problem = "the training hangs: " + std::to_string(training->stalls) +
                     " times in a row it was ended without a step between, the last time with " +
                     training->stalled +
                     "; look at its log and at the GPU, then make the Workspace anew";
  runtime::publish(d, record, std::move(artifact));
}

// The directory could not be made (disk full, weights missing): said once per cause; the relay goes
// on trying what may get better by itself.
void tell_trouble(Decision& d, const wire::RecordT& record, const wire::TroubleT& trouble,
                  const std::string& self) {
  wire::RunDirT failed;
  failed.revision = trouble.revision;
  failed.state = wire::RunDirState::Failed;
  failed.node = self;
  failed.place = runtime::place_on(*record.run, self);
  failed.reason = "RunDirectoryFailed";
  failed.message = trouble.what;
  runtime::publish(d, record, std::move(failed));
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view) {
  Decision d;
  if (!record.run) return d;
  const wire::RunT& run = *record.run;
  const wire::RunDirT* dir = runtime::of_node(record.run_dirs, view.self);
  // Of this word about the run: a wish may come back, and a store may be older than what was done.
  const std::string asked_for = run.revision + "/" + std::to_string(run.version);
  const bool is_here = runtime::is_on(run, view.self);
  const std::string place = runtime::place_on(run, view.self);
  if (!run.planned || !is_here) {  // no longer wanted, or another node's by now
    const bool was_here =
        dir != nullptr || is_here || !runtime::mark_of(record, "prepare").value.empty();
    if (!was_here || is_used(record, view.self)) return d;
    if (dir != nullptr && dir->state == wire::RunDirState::Removed) return d;
    wire::RemoveRunT remove;
    remove.run = copy(run);
    d.cancel_effects = runtime::mark_of(record, "remove").value != asked_for;
    ask(d, record, "remove", asked_for, run.revision, std::move(remove));
    return d;
  }
  const bool ready = dir != nullptr && dir->state == wire::RunDirState::Ready &&
                     dir->revision == run.revision && dir->place == place &&
                     !dir->volume.empty();  // else an earlier version made it, elsewhere
  if (!ready) {
    wire::PrepareRunT prepare;
    prepare.run = copy(run);
    prepare.run->node = view.self;
    prepare.run->place = place;
    name_source(prepare, record);
    std::string wish = asked_for;
    if (const wire::CheckpointT* checkpoint = to_bring(record)) {
      prepare.checkpoint = copy(*checkpoint);
      prepare.checkpoint_secret = record.workspace->tuning->output->image_push_secret;
      wish += "/" + std::to_string(checkpoint->step);
    }
    ask(d, record, "prepare", wish, run.revision, std::move(prepare));
    if (const wire::TroubleT* trouble = runtime::trouble_of(record, "PrepareRun"))
      tell_trouble(d, record, *trouble, view.self);
    return d;
  }
  want_adapters(d, record, view);
  const wire::JobT* job = record.job.get();
  const bool ended = job != nullptr && job->revision == run.revision && job->finished &&
                     job->succeeded > 0 && (job->place.empty() || job->place == run.place);
  const wire::ArtifactT* artifact = runtime::of_node(record.artifacts, view.self);
  const bool checked =
      artifact != nullptr && artifact->revision == run.revision && artifact->place == run.place;
  if (!checked) give_up(d, record, run, view.self);
  if (ended && !checked) {
    wire::CheckArtifactT check;
    check.run = copy(run);
    check.job_is_gone = !job->exists;
    ask(d, record, "check", asked_for + "/" + job->uid + (job->exists ? "" : " gone"), run.revision,
        std::move(check));
  }
  return d;
}
}  // namespace kairo::node
