// agents/watcher/decide.cpp - every fact of a Workspace ends here, as one coalesced status.
#include "agents/watcher/decide.h"

#include <algorithm>

#include "agents/runtime/decision.h"
#include "agents/watcher/patience.h"
#include "agents/watcher/status.h"
#include "agents/watcher/status_json.h"

namespace kairo::watcher {
namespace {
using runtime::ask;
using runtime::Decision;

// How long a deletion waits for a node agent that does not answer. Its node cleans up when it is
// back: the run is no longer wanted.
constexpr std::int64_t node_patience_ms = 10 * 60 * 1000;

std::int64_t leaving_since(const wire::RecordT& record, std::int64_t now_ms) {
  const std::uint64_t since = runtime::mark_of(record, "leaving").seen;
  const auto at_ms = static_cast<std::int64_t>(since);
  return since == 0 || at_ms > now_ms ? now_ms : at_ms;  // the clock may be set back
}

// What a deletion waits for; "" = nothing of the Workspace is left: no Job, no server, no run
// directory, no node held. What lies on a node that is gone is gone too.
std::string waits_for(const wire::RecordT& record, const runtime::View& view) {
  if (record.job && record.job->exists) return "waiting for its Job to end";
  if (record.server && record.server->exists) return "waiting for its StatefulSet to end";
  if (record.run && record.run->planned) return "waiting for the launcher to let go of its run";
  const bool is_patient = view.now_ms - leaving_since(record, view.now_ms) < node_patience_ms;
  for (const std::string& node :
       record.run ? runtime::nodes_of(*record.run) : std::vector<std::string>{}) {
    const wire::RunDirT* dir = runtime::of_node(record.run_dirs, node);
    const bool is_removed = dir != nullptr && dir->state == wire::RunDirState::Removed;
    const auto there = view.nodes.find(node);
    const bool is_on_a_node = there != view.nodes.end() && there->second.exists;
    if (is_on_a_node && !is_removed && is_patient)
      return "waiting for node " + node + " to remove its run directory" +
             (there->second.ready ? "" : " (the node is not Ready)");
  }
  if (!record.resources || record.resources->state != wire::ResourcesState::Released)
    return record.resources && record.resources->claim_reason == "NodeClaimDeleting"
               ? record.resources->message
               : "waiting for the provisioner to let go of its node";
  return {};
}

void set_finalizer(Decision& d, const wire::RecordT& record, bool present) {
  wire::SetFinalizerT set;
  set.present = present;
  set.others = record.workspace->finalizers;
  set.version = record.workspace->version;
  ask(d, record, "finalizer", present ? "on" : "off", "", std::move(set),
      {record.workspace->version});
}
// Finalizer and annotations are one write when both are missing.
void adopt(Decision& d, const wire::RecordT& record) {
  const wire::WorkspaceT& w = *record.workspace;
  const bool is_noted = runtime::annotation_of(w, "workspace.kaito.io/hash") == w.revision &&
                        !runtime::annotation_of(w, "workspace.kaito.io/revision").empty();
  wire::SaveRevisionT save;
  save.finalize = !w.finalized;
  if (!is_noted)
    ask(d, record, "revision", w.revision, w.revision, std::move(save), {w.version});
  else if (!w.finalized)
    set_finalizer(d, record, true);
}

void set_mark(Decision& d, const char* key, const std::string& value, std::uint64_t seen) {
  wire::MarkT mark;
  mark.key = key;
  mark.value = value;
  mark.seen = seen;
  d.marks.push_back(std::move(mark));
}

// On the bus. `as` is remembered: the incarnation of the bus that has heard it, or "gone".
void announce(Decision& d, const wire::StatusT* status, const std::string& as) {
  wire::AnnounceStatusT body;
  if (status != nullptr) body.status = runtime::copy(*status);
  wire::CommandT command;
  command.coalesce = "announce";
  command.body.Set(std::move(body));
  d.commands.push_back(std::move(command));
  set_mark(d, "announce", as, 0);
}

// Another one: the bus may have lost the last status, or will soon have outlived it (30 days).
std::string heard(const runtime::View& view) {
  constexpr std::int64_t period_ms = 20LL * 24 * 3600 * 1000;
  return view.incarnation + "/" + std::to_string(view.now_ms / period_ms);
}

// When the status is to be written; 0 = now. The moment that was set first stands, whatever comes
// meanwhile; where the clock was set back it is set anew.
std::int64_t due_ms(const wire::RecordT& record, const wire::StatusT& status, std::int64_t now_ms) {
  const Patience p = record.status ? patience(*record.status, status) : first_patience(record);
  std::int64_t due = now_ms + p.settle_ms;
  if (record.status && now_ms >= record.patched_at_ms)
    due = std::max(due, record.patched_at_ms + p.apart_ms);
  if (record.wake_at_ms != 0) due = std::min(due, record.wake_at_ms);
  return due > now_ms ? due : 0;
}

// The object does not show it. Asked for once, and again for each other status that is seen there.
void write(Decision& d, const wire::RecordT& record, const wire::StatusT& status) {
  wire::PatchStatusT patch;
  patch.status = runtime::copy(status);
  wire::CommandT command;
  command.coalesce = "status";
  command.body.Set(std::move(patch));
  d.commands.push_back(std::move(command));
  set_mark(d, "status", "", record.status_seen ? record.status_seen->version : 0);
}

void tell(Decision& d, const wire::RecordT& record, const runtime::View& view,
          const std::string& leaving) {
  const wire::StatusT status = compose(record, view.now_ms, leaving, view.named);
  const wire::StatusSeenT* seen = record.status_seen.get();
  const bool is_told = record.status && *record.status == status;
  const bool is_news = seen != nullptr && seen->version > runtime::mark_of(record, "status").seen;
  const bool is_shown = is_news && seen->hash == status_hash(status);
  if (!is_told && !is_shown) d.wake_at_ms = due_ms(record, status, view.now_ms);
  if (d.wake_at_ms != 0) return;
  if (is_news ? !is_shown : !is_told) write(d, record, status);
  const bool is_heard = runtime::mark_of(record, "announce").value == heard(view);
  if (!is_told || (!is_heard && !view.incarnation.empty())) announce(d, &status, heard(view));
  if (!is_told) d.status = runtime::copy(status);
}

std::string others_of(const wire::RecordT& record) {
  std::string out;
  for (const std::string& finalizer : record.workspace->finalizers)
    out += (out.empty() ? "" : ", ") + finalizer;
  return out;
}

Decision leave(const wire::RecordT& record, const runtime::View& view) {
  Decision d;
  const std::string why = waits_for(record, view);
  if (why.empty()) {
    if (record.workspace->finalized)
      set_finalizer(d, record, false);
    else if (!record.workspace->finalizers.empty())
      tell(d, record, view,
           "waiting for those who hold " + others_of(record) + "; kairo has nothing left of it");
    return d;
  }
  const std::int64_t since = leaving_since(record, view.now_ms);
  if (runtime::mark_of(record, "leaving").seen == 0)
    set_mark(d, "leaving", "", static_cast<std::uint64_t>(since));
  tell(d, record, view, why);
  if (d.wake_at_ms == 0) d.wake_at_ms = since + node_patience_ms;
  return d;
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view) {
  Decision d;
  if (!record.workspace) return d;
  if (!record.workspace->exists) {
    if (record.status && runtime::mark_of(record, "announce").value != "gone")
      announce(d, nullptr, "gone");
    return d;
  }
  if (record.workspace->deleting) return leave(record, view);
  adopt(d, record);
  tell(d, record, view, "");
  return d;
}
}  // namespace kairo::watcher
