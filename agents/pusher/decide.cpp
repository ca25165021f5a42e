// agents/pusher/decide.cpp - artifact -> push -> said.
#include "agents/pusher/decide.h"

#include "agents/runtime/decision.h"

namespace kairo::pusher {
namespace {
using runtime::Decision;
// A refusal (wrong password, no right) is final for the registry, not for the user, who may change
// the Secret: ask again now and then.
constexpr std::int64_t refused_again_ms = 15'000;

wire::PushT said(const wire::RecordT& record, const std::string& self, wire::PushState state) {
  wire::PushT push;
  push.node = self;
  push.state = state;
  push.revision = record.workspace->revision;
  push.image = record.workspace->tuning->output->image;
  return push;
}
wire::MarkT unasked() {
  wire::MarkT mark;
  mark.key = "push";
  return mark;
}
bool is_refused(const wire::TroubleT& trouble) {
  return trouble.code == static_cast<std::uint8_t>(Code::invalid);
}
std::string reason_of(const wire::TroubleT& trouble) {
  if (is_refused(trouble)) return "PushRefused";
  if (trouble.code == static_cast<std::uint8_t>(Code::not_found)) return "PushSecretNotFound";
  if (trouble.code == static_cast<std::uint8_t>(Code::conflict)) return "AdapterUnavailable";
  return "RegistryUnavailable";
}
// A Secret that lacks is said while there is time to make one, not when the adapter is done.
void look_ahead(Decision& d, const wire::RecordT& record, const std::string& self) {
  const wire::WorkspaceT& w = *record.workspace;
  const wire::TrainingT* training = runtime::of_node(record.trainings, self);
  const wire::ArtifactT* artifact = runtime::of_node(record.artifacts, self);
  const bool is_training = training != nullptr && training->revision == w.revision &&
                           (artifact == nullptr || artifact->revision != w.revision);
  const bool has_secret = w.tuning->output && !w.tuning->output->image_push_secret.empty();
  if (!is_training || !has_secret || runtime::is_pushed(record)) return;
  wire::CheckPushT check;
  check.workspace = runtime::copy(w);
  runtime::ask(d, record, "check push", w.revision, w.revision, std::move(check));
  const wire::PushT* before = runtime::of_node(record.pushes, self);
  if (const wire::TroubleT* trouble = runtime::trouble_of(record, "CheckPush")) {
    wire::PushT waiting = said(record, self, wire::PushState::Waiting);
    waiting.reason = reason_of(*trouble);
    waiting.message = trouble->what;
    runtime::publish(d, record, std::move(waiting));
  } else if (before != nullptr && before->revision == w.revision &&
             before->state == wire::PushState::Waiting) {
    runtime::publish(d, record, said(record, self, wire::PushState::Idle));
  }
}

// Leaving or gone: so is what is to be pushed, once; what was pushed of its checkpoints goes.
Decision leave(const wire::RecordT& record, const runtime::View& view) {
  Decision d;
  d.cancel_effects = runtime::mark_of(record, "leaving").value.empty();
  if (d.cancel_effects) {
    wire::MarkT leaving;
    leaving.key = "leaving";
    leaving.value = "yes";
    d.marks.push_back(std::move(leaving));
  }
  if (record.workspace->tuning) drop_checkpoint(d, record, view);
  return d;
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view,
                std::int64_t checkpoint_every) {
  Decision d;
  if (record.workspace && !runtime::is_live(record)) return leave(record, view);
  if (!record.workspace || !record.workspace->tuning) return d;
  if (runtime::is_pushed(record)) drop_checkpoint(d, record, view);
  const wire::ArtifactT* artifact = runtime::of_node(record.artifacts, view.self);
  const wire::WorkspaceT& w = *record.workspace;
  // What another node has, its pusher pushes. What lay here may be gone, or wished for no more.
  if (artifact == nullptr || artifact->revision != w.revision || !artifact->problem.empty()) {
    d.cancel_effects = !runtime::mark_of(record, "push").value.empty();
    if (d.cancel_effects)
      d.marks.push_back(unasked());
    else
      look_ahead(d, record, view.self);
    if (!d.cancel_effects && !runtime::is_pushed(record))
      push_checkpoint(d, record, view, checkpoint_every);
    return d;
  }
  if (!w.tuning->output || w.tuning->output->image.empty()) return d;
  if (const wire::PushT* done = runtime::push_of(record);
      done != nullptr && done->state == wire::PushState::Pushed)
    return d;
  const wire::PushT* push = runtime::of_node(record.pushes, view.self);

  const wire::TroubleT* trouble = runtime::trouble_of(record, "PushImage");
  std::string attempt = runtime::mark_of(record, "push").value;
  if (!attempt.starts_with(w.revision + "/")) attempt = w.revision + "/0";
  if (trouble != nullptr &&
      is_refused(*trouble)) {  // each refusal earns one more try, numbered by it
    const std::int64_t again_ms = trouble->at_ms + refused_again_ms;
    const bool is_set_back = view.now_ms < trouble->at_ms;  // the clock: do not wait for it
    if (view.now_ms >= again_ms || is_set_back)
      attempt = w.revision + "/" + std::to_string(trouble->version);
    else
      d.wake_at_ms = again_ms;
  }
  wire::PushImageT body;
  body.workspace = runtime::copy(w);
  body.artifact = runtime::copy(*artifact);
  // The look ahead may wait to be tried again; what it said stands until more is known.
  d.cancel_effects = runtime::mark_of(record, "push").value.empty();
  const bool asked = runtime::ask(d, record, "push", attempt, w.revision, std::move(body));
  if (trouble == nullptr || asked) {
    if (push == nullptr || push->revision != w.revision || push->state == wire::PushState::Idle)
      runtime::publish(d, record, said(record, view.self, wire::PushState::Pushing));
    return d;
  }
  wire::PushT waiting = said(record, view.self, wire::PushState::Waiting);
  waiting.attempt = is_refused(*trouble) ? 0 : trouble->attempt;  // 0: at a fixed rhythm
  waiting.reason = reason_of(*trouble);
  waiting.message = trouble->what;
  runtime::publish(d, record, std::move(waiting));
  return d;
}
}  // namespace kairo::pusher
