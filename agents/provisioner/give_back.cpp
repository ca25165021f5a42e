// agents/provisioner/give_back.cpp - everything of the Workspace goes, and is waited for.
#include "agents/provisioner/give_back.h"

#include <algorithm>

#include "agents/provisioner/assess.h"
#include "agents/provisioner/bought.h"
#include "agents/provisioner/follow.h"
#include "agents/provisioner/party.h"

namespace kairo::provisioner {
namespace {
using runtime::Decision;
using wire::ResourcesState;
using wire::ResourcesT;
constexpr std::int64_t patience_ms = 10 * 60 * 1000;  // of a deletion, where nothing is seen

bool has_succeeded(const wire::RecordT& record) {
  const auto* artifact = runtime::artifact_of(record);
  return runtime::is_pushed(record) || (artifact != nullptr && artifact->problem.empty());
}
// Everything of the Workspace; true: it has gone.
bool give_back(Decision& d, const wire::RecordT& record, const std::string& wish) {
  std::uint64_t newest = 0;
  for (const auto& claim : record.claims)
    if (claim->exists) newest = std::max(newest, claim->version);
  wire::GiveUpNodesT body;
  body.wish = wish;
  runtime::ask(d, record, "release", wish, "", std::move(body), {newest});
  return record.claim_end && record.claim_end->wish == wish && record.claim_end->gone;
}
}  // namespace

bool was_given_back(const wire::RecordT& record) {
  const ResourcesT* said = record.resources.get();
  return said != nullptr && said->state == ResourcesState::Released &&
         said->revision == record.workspace->revision;
}

void rest(Decision& d, const wire::RecordT& record, const runtime::View& view, const Terms& terms) {
  const ResourcesT* said = record.resources.get();
  // Whoever scales its pool meanwhile pays for machines that nobody needs.
  if (terms.release_after_ms < 0 || said == nullptr || !has_succeeded(record))
    return keep_size(d, record, view, terms);
  const std::string& revision = record.workspace->revision;
  const std::int64_t due_ms =
      since(d, record, "done", revision, view.now_ms) + terms.release_after_ms;
  if (view.now_ms < due_ms) {
    keep_size(d, record, view, terms);
    return wake(d, due_ms);
  }
  if (!give_back(d, record, "release/" + revision + "/" + std::to_string(said->attempt))) return;
  ResourcesT out(*said);
  out.state = ResourcesState::Released;
  out.nodes.clear();
  out.reason = out.claim_reason = out.node_reason = "NodeReleased";
  out.message = out.claim_message = out.node_message =
      "the tuning has succeeded, and its node has been given back";
  Orders orders = orders_of(record);
  for (wire::OrderT& order : orders) {
    order.claim.clear();
    order.failures = 0;
  }
  say(d, record, std::move(out), orders);
}

void leave(Decision& d, const wire::RecordT& record, const runtime::View& view,
           const Terms& terms) {
  std::string left;
  for (const auto& claim : record.claims)
    if (claim->exists) left += (left.empty() ? "" : ", ") + claim->kind + " " + claim->name;
  const bool has_gone = !record.workspace->exists;
  // One that went before our finalizer was on: what was asked for may not have been seen yet.
  const bool is_owed = !left.empty() || !orders_of(record).front().claim.empty();
  if (has_gone && !is_owed) return;
  d.cancel_effects = runtime::mark_of(record, "leaving").value.empty();
  const std::int64_t since_ms = since(d, record, "leaving", "yes", view.now_ms);
  const bool is_given_back = give_back(d, record, "leaving");
  if (has_gone) return;
  // Where no claim was ever seen, and the cluster does not answer about any, none is waited for.
  const bool is_over = left.empty() && view.now_ms - since_ms >= patience_ms;
  if (is_given_back || is_over)
    return runtime::publish(d, record, word(*record.workspace, ResourcesState::Released, "", ""));
  if (left.empty()) wake(d, since_ms + patience_ms);
  const std::string waits =
      "waiting for " + (left.empty() ? asked_kind(terms).kind + "s of it" : left) + " to end";
  say(d, record, bought_word(record, {"NodeClaimDeleting", waits}, nodes_wait(waits)),
      orders_of(record));
}
}  // namespace kairo::provisioner
