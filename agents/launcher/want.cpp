// agents/launcher/want.cpp - the same rules for both kinds.
#include "agents/launcher/want.h"

#include <algorithm>
#include <type_traits>

#include "agents/launcher/wish.h"
#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
using runtime::ask;
using runtime::copy;
using runtime::Decision;
using runtime::mark_of;

// Made and taken away before the watcher looked. (The ConfigMap may be another controller's, which
// the watcher does not see.)
bool lacks_a_service(const wire::RecordT& record) {
  if (!record.workspace->inference || !exists(record.server)) return false;
  const auto is_seen = [&](const std::string& name) {
    return std::any_of(record.parts.begin(), record.parts.end(), [&](const auto& part) {
      return part->kind == "Service" && part->name == name;
    });
  };
  return !is_seen(record.name) || !is_seen(record.name + "-headless");
}
// In the scheduler's words; whoever took the volume of the run directories away, or one of the
// claims of a model on several nodes.
bool lacks_a_claim(const wire::RecordT& record) {
  if (!exists(record.pod) || record.pod->reason != "Unschedulable") return false;
  const char* words = record.resources->nodes.size() > 1
                          ? "unbound immediate PersistentVolumeClaims"
                          : "persistentvolumeclaim \"kairo-runs-";
  return record.pod->message.find(words) != std::string::npos;
}
// The pod may be there before its claim, which is made behind the Job.
constexpr std::int64_t claim_ms_max = runtime::unseen_ms_max;

wire::ApplyTuningT tuning_of(const wire::RecordT& record) {
  wire::ApplyTuningT out;
  out.workspace = copy(*record.workspace);
  out.resources = copy(*record.resources);
  if (const auto* dir = runtime::run_dir_of(record)) out.run_dir = copy(*dir);
  return out;
}

template <class Apply>
void want_parts(Decision& d, const wire::RecordT& record, std::int64_t now_ms,
                const std::string& key, Apply apply) {
  std::uint64_t lost = 0;
  for (const auto& part : record.parts)
    if (!part->exists) lost = std::max(lost, part->version);
  if (lacks_a_claim(record)) {
    const std::int64_t made_ms = mark_of(record, key).at_ms;
    const bool is_new = now_ms >= made_ms && now_ms - made_ms < claim_ms_max;  // or set back
    if (is_new)
      d.wake_at_ms = made_ms + claim_ms_max;
    else
      lost = std::max(lost, record.pod->version);
  }
  const wire::MarkT& asked = mark_of(record, key + " parts");
  runtime::Seen what{lost};
  bool is_late = false;
  if (lacks_a_service(record)) {
    const std::int64_t since_ms = std::max(mark_of(record, key).at_ms, asked.at_ms);
    what.now_ms = now_ms;
    is_late = now_ms < since_ms || now_ms - since_ms > runtime::unseen_ms_max;  // or set back
    d.wake_at_ms = (is_late ? now_ms : since_ms) + runtime::unseen_ms_max + 1;
  }
  if (lost > asked.seen || is_late)
    ask(d, record, key + " parts", wish_of(record), record.workspace->revision, std::move(apply),
        what);
}
// KAITO would take it for another revision's: the number was given anew, or was not known then.
template <class Workload>
bool has_other_number(const wire::RecordT& record, const Workload& seen) {
  const wire::WorkspaceT& w = *record.workspace;
  const std::string number = runtime::annotation_of(w, "workspace.kaito.io/revision");
  return runtime::annotation_of(w, "workspace.kaito.io/hash") == w.revision && !number.empty() &&
         seen->kaito_revision != number;
}
// counts: it is changed in place when it is another one than wished for (an older Job must go
// first).
template <class Apply, class Workload>
void want(Decision& d, const wire::RecordT& record, std::int64_t now_ms, const std::string& key,
          const Workload& seen, bool counts) {
  const std::string wish = wish_of(record);
  const wire::MarkT& asked = mark_of(record, key);
  const auto body = [&](bool is_first) {
    Apply apply;
    if constexpr (std::is_same_v<Apply, wire::ApplyTuningT>)
      if (is_first) apply.since_ms = static_cast<std::int64_t>(mark_of(record, "known").seen);
    apply.workspace = copy(*record.workspace);
    apply.resources = copy(*record.resources);
    if (const auto* dir = runtime::run_dir_of(record)) apply.run_dir = copy(*dir);
    if constexpr (std::is_same_v<Apply, wire::ApplyInferenceT>)
      if (record.run)
        for (const std::string& peer : record.run->peers)
          if (const auto* dir = runtime::of_node(record.run_dirs, runtime::node_of_place(peer)))
            apply.peers.push_back(copy(*dir));
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
    // One that was refused for good too: a policy may have said so, which somebody changes.
    what.now_ms = now_ms;
    const bool is_asked_now = ask(d, record, key, wish, revision, body(asked.value != wish), what);
    d.wake_at_ms = (is_asked_now ? now_ms : asked.at_ms) + runtime::unseen_ms_max + 1;
  } else if (seen->generation > generation || has_other_number(record, seen)) {
    ask(d, record, key, wish, revision, body(false), {seen->version, seen->generation, now_ms});
  }
  want_parts(d, record, now_ms, key, body(false));
}
}  // namespace

void want_volume(Decision& d, const wire::RecordT& record) {
  const wire::RunDirT* dir = runtime::of_node(record.run_dirs, node_of(record));
  const bool is_told = dir != nullptr && dir->state == wire::RunDirState::Fetching &&
                       dir->revision == record.workspace->revision && !dir->volume.empty() &&
                       dir->place == place_of(record);
  if (!is_told) return;
  wire::MakeVolumeT body;
  body.resources = copy(*record.resources);
  body.run_dir = copy(*dir);
  ask(d, record, "volume", place_of(record), record.workspace->revision, std::move(body));
}
void want_job(Decision& d, const wire::RecordT& record, std::int64_t now_ms) {
  want<wire::ApplyTuningT>(d, record, now_ms, "job", record.job, false);
  const wire::WorkspaceT& w = *record.workspace;
  if (!exists(record.job) || !is_of_wish(record, record.job) || record.job->finished) return;
  const bool is_held = runtime::is_paused(w);
  if (!w.queue.empty() || record.job->suspended == is_held) return;
  const bool is_asked =
      ask(d, record, "pause", wish_of(record) + (is_held ? " paused" : " goes on"), w.revision,
          tuning_of(record), {record.job->version, 0, now_ms});
  if (is_asked) d.wake_at_ms = now_ms + runtime::unseen_ms_max + 1;
}
void want_server(Decision& d, const wire::RecordT& record, std::int64_t now_ms) {
  want<wire::ApplyInferenceT>(d, record, now_ms, "server", record.server, true);
}
}  // namespace kairo::launcher
