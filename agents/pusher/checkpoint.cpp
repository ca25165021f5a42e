// agents/pusher/checkpoint.cpp - by rhythm, by need, and away.
#include "agents/pusher/checkpoint.h"

#include <algorithm>
#include <array>

#include "agents/runtime/decision.h"

namespace kairo::pusher {
namespace {
using runtime::Decision;
using runtime::of_node;

bool is_wanted(const wire::RecordT& record, const runtime::View& view) {
  const wire::WorkspaceT& w = *record.workspace;
  if (!w.tuning->output || w.tuning->output->image.empty()) return false;
  const std::string word = runtime::annotation_of(w, runtime::keep_checkpoints);
  if (word == "true" || word == "false") return word == "true";
  const auto node = view.nodes.find(view.self);
  return node != view.nodes.end() && is_spot(node->second);
}
// Its run directory, when the run of this revision is here.
const wire::RunDirT* run_here(const wire::RecordT& record, const std::string& self) {
  const wire::RunT* run = record.run.get();
  const wire::RunDirT* dir = of_node(record.run_dirs, self);
  const bool is_here = run != nullptr && run->planned && run->node == self && dir != nullptr &&
                       dir->state == wire::RunDirState::Ready && dir->place == run->place &&
                       dir->revision == run->revision;
  return is_here && run->revision == record.workspace->revision ? dir : nullptr;
}
// What does not wait for the rhythm, named so that each is asked for once; "" = nothing.
std::string hurry(const wire::RecordT& record, const wire::ProgressT& progress,
                  const std::string& self) {
  if (progress.phase == wire::RunPhase::Stopped)
    return "stopped/" + std::to_string(progress.attempt) + "/" + std::to_string(progress.step);
  for (const auto& claim : record.claims)
    if (claim->exists && claim->deleting && claim->node == self) return "leaving/" + claim->uid;
  return {};
}
// A failed push is said beside what is safe all the same.
void tell_trouble(Decision& d, const wire::RecordT& record, const wire::CheckpointT* known,
                  const std::string& self) {
  const wire::TroubleT* trouble = runtime::trouble_of(record, "PushCheckpoint");
  if (trouble == nullptr) return;
  wire::CheckpointT said;
  if (known != nullptr) said = *known;
  said.node = self;
  said.revision = record.workspace->revision;
  said.reason = "CheckpointNotPushed";
  said.message = trouble->what;
  runtime::publish(d, record, std::move(said));
}
}  // namespace

bool is_spot(const wire::NodeT& node) {
  struct Mark {
    const char *key, *value;
  };
  static constexpr std::array<Mark, 6> marks{{{"karpenter.sh/capacity-type", "spot"},
                                              {"kubernetes.azure.com/scalesetpriority", "spot"},
                                              {"eks.amazonaws.com/capacityType", "SPOT"},
                                              {"cloud.google.com/gke-spot", "true"},
                                              {"cloud.google.com/gke-preemptible", "true"},
                                              {"node.kubernetes.io/lifecycle", "spot"}}};
  return std::any_of(node.labels.begin(), node.labels.end(), [](const auto& label) {
    return std::any_of(marks.begin(), marks.end(), [&](const Mark& mark) {
      return label->key == mark.key && label->value == mark.value;
    });
  });
}

void push_checkpoint(Decision& d, const wire::RecordT& record, const runtime::View& view,
                     std::int64_t every_ms) {
  const wire::RunDirT* dir = run_here(record, view.self);
  const wire::TrainingT* training = of_node(record.trainings, view.self);
  if (dir == nullptr || training == nullptr || !is_wanted(record, view)) return;
  const std::string& revision = record.workspace->revision;
  const wire::CheckpointT* known = of_node(record.checkpoints, view.self);
  if (known != nullptr && known->revision != revision) known = nullptr;
  const wire::ProgressT& progress = *training->progress;
  const std::uint32_t safe = known == nullptr ? 0 : known->step;
  if (training->revision != revision || progress.step <= safe) return;
  tell_trouble(d, record, known, view.self);
  const auto request = [&] {
    wire::PushCheckpointT body;
    body.workspace = runtime::copy(*record.workspace);
    body.run_dir = runtime::copy(*dir);
    if (known != nullptr) body.known = runtime::copy(*known);
    return body;
  };
  // One rhythm's mark for both: what is pushed in a hurry begins it anew.
  const wire::MarkT& before = runtime::mark_of(record, "checkpoint");
  const std::string run = revision + "/" + dir->place + "/";
  const std::int64_t since_ms = view.now_ms - before.at_ms;
  const std::string need = hurry(record, progress, view.self);
  const std::string& last = runtime::mark_of(record, "checkpoint in a hurry").value;
  const bool is_pressing = !need.empty() && last != run + need;
  const bool is_due = !before.value.starts_with(run) || since_ms >= every_ms || since_ms < 0;
  if (!is_pressing && !is_due) {
    d.wake_at_ms = before.at_ms + every_ms;
    return;
  }
  wire::MarkT asked;
  asked.key = "checkpoint";
  asked.value = run;
  asked.at_ms = view.now_ms;
  if (is_pressing) {
    wire::MarkT pressed;
    pressed.key = "checkpoint in a hurry";
    pressed.value = run + need;
    d.marks.push_back(std::move(pressed));
  }
  wire::CommandT command;
  command.revision = revision;
  command.coalesce = "checkpoint";
  command.body.Set(request());
  d.commands.push_back(std::move(command));
  d.marks.push_back(std::move(asked));
  d.wake_at_ms = view.now_ms + every_ms;
}

void drop_checkpoint(Decision& d, const wire::RecordT& record, const runtime::View& view) {
  const wire::CheckpointT* mine = of_node(record.checkpoints, view.self);
  const bool is_mine = (mine != nullptr && mine->step > 0) ||
                       !runtime::mark_of(record, "checkpoint").value.empty();  // on its way
  const bool is_any = std::any_of(record.checkpoints.begin(), record.checkpoints.end(),
                                  [](const auto& one) { return one->step > 0; });
  const bool is_here = record.run && record.run->node == view.self;  // whose node may be gone
  if (!is_mine && !(is_any && is_here)) return;
  wire::DropCheckpointT body;
  body.workspace = runtime::copy(*record.workspace);
  body.since_ms = view.now_ms;
  const std::string wish = (runtime::is_live(record) ? "done/" : "leaving/") +
                           record.workspace->revision + "/" +
                           std::to_string(mine != nullptr && mine->step > 0 ? mine->version : 0);
  runtime::ask(d, record, "drop checkpoint", wish, record.workspace->revision, std::move(body));
}
}  // namespace kairo::pusher
