// agents/provisioner/bought.cpp - one claim at a time; a lost one is asked for again, ever later.
#include "agents/provisioner/bought.h"

#include "agents/provisioner/assess.h"
#include "agents/provisioner/end.h"
#include "agents/provisioner/follow.h"
#include "agents/provisioner/stage.h"
#include "schemas/base/clock.h"
#include "schemas/base/digest.h"

namespace kairo::provisioner {
namespace {
using runtime::Decision;
using wire::NodeClaimT;
using wire::ResourcesState;
using wire::ResourcesT;
constexpr std::int64_t retry_first_ms = 10'000, retry_max_ms = 600'000;
constexpr std::int64_t patience_ms = 10 * 60 * 1000;  // of a deletion, where nothing is seen

const NodeClaimT* find(const wire::RecordT& record, const std::string& kind,
                       const std::string& name) {
  for (const auto& claim : record.claims)
    if (claim->kind == kind && claim->name == name) return claim.get();
  return nullptr;
}
// One that is there and stays: the one that was asked for, else whatever another controller has
// asked for, the first by name.
const NodeClaimT* standing(const wire::RecordT& record, const std::string& kind,
                           const std::string& wished) {
  const NodeClaimT* out = nullptr;
  for (const auto& claim : record.claims)
    if (claim->kind == kind && claim->exists && !claim->deleting &&
        (out == nullptr || claim->name == wished))
      out = claim.get();
  return out;
}
// Of the claims that Karpenter makes for a pool: one with a node, else the first.
const NodeClaimT* of_pool(const wire::RecordT& record) {
  const NodeClaimT* out = nullptr;
  for (const auto& claim : record.claims)
    if (claim->kind == cluster::node_claims.kind && claim->exists && !claim->deleting &&
        (out == nullptr || (out->node.empty() && !claim->node.empty())))
      out = claim.get();
  return out;
}
// The one that ended last, or is about to.
const NodeClaimT* last_ended(const wire::RecordT& record) {
  const NodeClaimT* out = nullptr;
  for (const auto& claim : record.claims)
    if (claim->kind == cluster::node_claims.kind && (!claim->exists || claim->deleting) &&
        (out == nullptr || claim->version > out->version))
      out = claim.get();
  return out;
}

// A word about nodes that are bought, with all that the next one rests on.
ResourcesT bought_word(const wire::RecordT& record, const Told& claim, const Told& node) {
  const Told& why = claim.reason.empty() ? node : claim;
  ResourcesT out = word(*record.workspace, ResourcesState::Waiting, why.reason, why.message);
  out.claim_reason = claim.reason;
  out.claim_message = claim.message;
  out.node_reason = node.reason;
  out.node_message = node.message;
  return out;
}
struct Order {  // what is asked for; said with each word
  std::string claim;
  std::uint32_t attempt = 0, failures = 0;
  std::int64_t retry_at_ms = 0;
};
Order order_of(const wire::RecordT& record) {
  const ResourcesT* said = record.resources.get();
  if (said == nullptr) return {};
  return {said->claim, said->attempt, said->failures, said->retry_at_ms};
}
void say(Decision& d, const wire::RecordT& record, ResourcesT out, const Order& order) {
  out.buys = true;
  out.claim = order.claim;
  out.attempt = order.attempt;
  out.failures = order.failures;
  out.retry_at_ms = order.retry_at_ms;
  runtime::publish(d, record, std::move(out));
}
void next(Order& order, const wire::RecordT& record, const Terms& terms) {
  ++order.attempt;
  order.claim = claim_name(record, order.attempt, terms);
  order.retry_at_ms = 0;
}

Told nodes_wait(const std::string& why) {
  return {"NodeNotReady", "Not enough Nodes are ready: " + why};
}
// What a refusal of the API server, or of what it rests on, is called.
std::string reason_of(const wire::TroubleT& trouble) {
  switch (static_cast<Code>(trouble.code)) {
    case Code::invalid:
      return "NodeClaimRefused";
    case Code::not_found:
      return "DependencyNotFound";
    case Code::conflict:
      return "InvalidConfiguration";
    case Code::unavailable:
    case Code::corrupt:
    case Code::expired:
    case Code::pending:
      break;
  }
  return "NodeClaimNotReady";
}

// Asked for, and not seen yet.
Stage ask_for_it(Decision& d, const wire::RecordT& record, const Order& order,
                 const runtime::View& view, const Terms& terms) {
  const std::string named = asked_kind(terms).kind + " " + order.claim;
  const std::string& revision = record.workspace->revision;
  wire::BuyNodeT body;
  body.workspace = runtime::copy(*record.workspace);
  body.claim = order.claim;
  body.look = runtime::mark_of(record, "new").value.empty();
  const bool is_asked_now = runtime::ask(d, record, "claim", order.claim + "/" + revision, revision,
                                         std::move(body), {0, 0, view.now_ms});
  const std::int64_t asked_ms =
      is_asked_now ? view.now_ms : runtime::mark_of(record, "claim").at_ms;
  wake(d, asked_ms + runtime::unseen_ms_max + 1);
  Stage out;
  out.name = "asked";
  out.claim = {"NodeClaimNotReady", "Ready NodeClaims are not enough: " + named + " is asked for"};
  out.node = nodes_wait(named + " is asked for");
  if (const auto* trouble = runtime::trouble_of(record, "BuyNode")) {
    out.claim = {reason_of(*trouble), named + " cannot be made: " + trouble->what};
    out.node = nodes_wait(named + " cannot be made");
  }
  return out;
}

// It ended, or ends, and nobody here wished so.
Stage lost(Decision& d, const wire::RecordT& record, const NodeClaimT& end, Order& order,
           const runtime::View& view, const Terms& terms) {
  Stage out;
  out.name = "lost";
  out.claim = explain(d, record, end, view.now_ms);
  if (!end.exists) {
    if (order.retry_at_ms == 0) {  // one that was of use for a while begins a new count
      const wire::MarkT& granted = runtime::mark_of(record, "granted");
      const bool was_of_use =
          granted.value == end.uid && view.now_ms - granted.at_ms > retry_max_ms;
      order.failures = was_of_use ? 1 : order.failures + 1;
    }
    const std::int64_t wait_ms = retry_after_ms(order.failures);
    if (order.retry_at_ms == 0 || order.retry_at_ms - view.now_ms > wait_ms)  // or clock set back
      order.retry_at_ms = view.now_ms + wait_ms;
    if (view.now_ms >= order.retry_at_ms) {
      next(order, record, terms);
      return ask_for_it(d, record, order, view, terms);
    }
    wake(d, order.retry_at_ms);
    out.claim.message += "; the next one is asked for at " + rfc3339(order.retry_at_ms) +
                         " (attempt " + std::to_string(order.attempt + 1) + ")";
  }
  out.node = nodes_wait(asked_kind(terms).kind + " " + end.name + " has gone");
  return out;
}

// A pool is there: Karpenter makes a claim for it, again and again.
Stage of_a_pool(Decision& d, const wire::RecordT& record, const NodeClaimT& pool,
                const runtime::View& view) {
  Stage out;
  out.name = "pool";
  out.look = "is Karpenter running, with its feature gate StaticCapacity?";
  out.claim = {"NodeClaimNotReady",
               "Ready NodeClaims are not enough: NodePool " + pool.name + " has no NodeClaim yet"};
  if (const NodeClaimT* end = last_ended(record)) {
    out.claim = explain(d, record, *end, view.now_ms);
    out.claim.message += "; Karpenter makes the next one";
  }
  out.node = nodes_wait("NodePool " + pool.name + " has no NodeClaim yet");
  return out;
}

void tell_when_late(Decision& d, const wire::RecordT& record, const std::string& what, Stage& stage,
                    const runtime::View& view, const Terms& terms) {
  const std::int64_t since_ms = since(d, record, "stage", what + "/" + stage.name, view.now_ms);
  const std::int64_t due_ms = since_ms + terms.late_after_ms;
  if (stage.look.empty()) return;
  if (view.now_ms < due_ms) return wake(d, due_ms);
  Told& told = stage.claim.reason.empty() ? stage.node : stage.claim;
  told.message += "; it has been so since " + rfc3339(since_ms) + ": " + stage.look;
}

// Its node does not come back: this claim goes, and another is asked for when it has gone.
void give_up(Decision& d, const wire::RecordT& record, const NodeClaimT& claim) {
  wire::GiveUpNodesT body;
  body.wish = "lost/" + claim.uid;
  body.claim = claim.name;
  body.uid = claim.uid;
  const std::string wish = body.wish;
  runtime::ask(d, record, "give up", wish, "", std::move(body));
}
}  // namespace

std::int64_t retry_after_ms(std::uint32_t failures) {
  std::int64_t wait = retry_first_ms;
  for (std::uint32_t i = 1; i < failures && wait < retry_max_ms; ++i) wait *= 2;
  return std::min(wait, retry_max_ms);
}

std::string claim_name(const wire::RecordT& record, std::uint32_t attempt, const Terms& terms) {
  const std::string hash = sha256_hex(record.uid + "/" + std::to_string(attempt)).substr(0, 9);
  if (terms.mode != Mode::karpenter) return "ws" + hash;
  std::string whose = (record.ns + "-" + record.name).substr(0, 53);
  for (char& c : whose)
    if (c == '.') c = '-';
  return whose + "-" + hash;
}

void buy(Decision& d, const wire::RecordT& record, const runtime::View& view, const Terms& terms) {
  const std::string& kind = asked_kind(terms).kind;
  Order order = order_of(record);
  Stage stage;
  const NodeClaimT* claim = nullptr;
  const auto* given = given_node(record, view.nodes);
  if (const NodeClaimT* asked = standing(record, kind, order.claim)) {
    order.claim = asked->name;
    order.attempt = std::max(order.attempt, 1U);
    order.retry_at_ms = 0;
    claim = terms.mode == Mode::karpenter ? of_pool(record) : asked;
    stage = claim == nullptr ? of_a_pool(d, record, *asked, view)
                             : stage_of(*claim, *record.workspace, view.nodes, terms);
  } else if (given != nullptr) {
    stage = stage_of_node(*given, *record.workspace);
  } else if (const NodeClaimT* end = find(record, kind, order.claim)) {
    stage = lost(d, record, *end, order, view, terms);
  } else {
    if (order.claim.empty()) next(order, record, terms);
    stage = ask_for_it(d, record, order, view, terms);
  }
  if (stage.name == "usable") {
    const auto& [name, node] = *stage.machine;
    if (claim != nullptr) (void)since(d, record, "granted", claim->uid, view.now_ms);
    ResourcesT granted = assess_node(*record.workspace, name, node);
    if (terms.mode == Mode::karpenter)
      granted.node_message = "Enough Nodes are ready with GPU resources";  // KAITO's words there
    return say(d, record, std::move(granted), order);
  }
  if (stage.name == "label") {
    wire::LabelNodeT body;
    body.node = stage.machine->first;
    body.uid = stage.machine->second.uid;
    const std::string wish = body.node + "/" + body.uid;
    runtime::ask(d, record, "label", wish, "", std::move(body), {stage.machine->second.version});
  }
  const bool is_down = stage.name == "node" && stage.machine != nullptr;
  if (is_down && claim != nullptr && terms.lost_after_ms > 0 &&
      has_lasted(d, record, "unready", claim->uid, terms.lost_after_ms, view.now_ms)) {
    give_up(d, record, *claim);
    stage.node.message +=
        "; it is given up after " + std::to_string(terms.lost_after_ms / 60'000) + " minutes";
  }
  tell_when_late(d, record, claim != nullptr ? claim->uid : order.claim, stage, view, terms);
  say(d, record, bought_word(record, stage.claim, stage.node), order);
}

bool has_succeeded(const wire::RecordT& record) {
  const auto* artifact = runtime::artifact_of(record);
  return runtime::is_pushed(record) || (artifact != nullptr && artifact->problem.empty());
}
bool was_given_back(const wire::RecordT& record) {
  const ResourcesT* said = record.resources.get();
  return said != nullptr && said->state == ResourcesState::Released &&
         said->revision == record.workspace->revision;
}

namespace {
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

void rest(Decision& d, const wire::RecordT& record, const runtime::View& view, const Terms& terms) {
  const ResourcesT* said = record.resources.get();
  if (terms.release_after_ms < 0 || said == nullptr || !has_succeeded(record)) return;
  const std::string& revision = record.workspace->revision;
  const std::int64_t due_ms =
      since(d, record, "done", revision, view.now_ms) + terms.release_after_ms;
  if (view.now_ms < due_ms) return wake(d, due_ms);
  if (!give_back(d, record, "release/" + revision + "/" + std::to_string(said->attempt))) return;
  ResourcesT out(*said);
  out.state = ResourcesState::Released;
  out.nodes.clear();
  out.reason = out.claim_reason = out.node_reason = "NodeReleased";
  out.message = out.claim_message = out.node_message =
      "the tuning has succeeded, and its node has been given back";
  Order order = order_of(record);
  order.claim.clear();
  order.failures = 0;
  say(d, record, std::move(out), order);
}

void leave(Decision& d, const wire::RecordT& record, const runtime::View& view,
           const Terms& terms) {
  std::string left;
  for (const auto& claim : record.claims)
    if (claim->exists) left += (left.empty() ? "" : ", ") + claim->kind + " " + claim->name;
  const bool has_gone = !record.workspace->exists;
  if (has_gone && left.empty()) return;
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
      order_of(record));
}
}  // namespace kairo::provisioner
