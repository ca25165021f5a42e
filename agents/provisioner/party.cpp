// agents/provisioner/party.cpp - each node by a claim of its own, or all by one pool; the user's
// own nodes fill what nothing stands for.
#include "agents/provisioner/party.h"

#include <algorithm>

#include "agents/provisioner/buyable.h"
#include "agents/provisioner/follow.h"
#include "schemas/base/clock.h"

namespace kairo::provisioner {
namespace {
using wire::NodeClaimT;
constexpr std::int64_t retry_first_ms = 10'000, retry_max_ms = 600'000;

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
// Of those that Karpenter makes for a pool: those with a node first.
Claims of_pool(const wire::RecordT& record) {
  Claims out = standing(record, cluster::node_claims.kind);
  std::stable_partition(out.begin(), out.end(), [](const auto* c) { return !c->node.empty(); });
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

class Follower {
 public:
  Follower(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
           const Terms& terms)
      : d_(d), record_(record), view_(view), terms_(terms) {
    out_.needed = nodes_needed(*record.workspace);
    out_.orders = orders_of(record);
  }
  Party follow() {
    const bool is_pool = terms_.mode == Mode::karpenter;
    const Claims taken = take(out_.orders, record_, terms_, is_pool ? 1 : out_.needed);
    if (is_pool)
      follow_pool(taken.front());
    else
      follow_claims(taken);
    return std::move(out_);
  }

 private:
  void follow_claims(const Claims& taken);
  void follow_pool(const NodeClaimT* pool);
  void add(const NodeClaimT& claim, std::size_t ordinal) {
    const auto stage = stage_of(claim, *record_.workspace, view_.nodes, terms_, out_.needed);
    out_.parts.push_back({stage, &claim, ordinal});
  }
  void add_given(const runtime::Nodes::value_type& machine) {
    const auto stage = stage_of_node(machine, *record_.workspace, out_.needed);
    out_.parts.push_back({stage, nullptr, 0, true});
  }
  Stage ask(std::size_t ordinal, std::uint32_t nodes);
  Stage lost_or_ask(std::size_t ordinal, std::uint32_t nodes);
  Stage of_a_pool(const NodeClaimT& pool);

  runtime::Decision& d_;
  const wire::RecordT& record_;
  const runtime::View& view_;
  const Terms& terms_;
  Party out_;
};

// Asked for, and not seen yet. nodes: how many are bought in all.
Stage Follower::ask(std::size_t ordinal, std::uint32_t nodes) {
  if (out_.orders[ordinal].claim.empty()) next(out_.orders, ordinal, record_, terms_);
  const wire::OrderT& order = out_.orders[ordinal];
  const std::string named = asked_kind(terms_).kind + " " + order.claim;
  const std::string& revision = record_.workspace->revision;
  const std::string key = key_of("claim", ordinal);
  wire::BuyNodeT body;
  body.workspace = runtime::copy(*record_.workspace);
  body.claim = order.claim;
  body.look = runtime::mark_of(record_, "new").value.empty();
  body.nodes = nodes;
  const bool is_asked_now = runtime::ask(d_, record_, key, order.claim + "/" + revision, revision,
                                         std::move(body), {0, 0, view_.now_ms});
  const std::int64_t asked_ms = is_asked_now ? view_.now_ms : runtime::mark_of(record_, key).at_ms;
  wake(d_, asked_ms + runtime::unseen_ms_max + 1);
  Stage out;
  out.name = "asked";
  out.claim = {"NodeClaimNotReady", "Ready NodeClaims are not enough: " + named + " is asked for"};
  out.node = nodes_wait(named + " is asked for");
  if (const auto* trouble = runtime::trouble_of(record_, "BuyNode")) {
    out.claim = {reason_of(*trouble), named + " cannot be made: " + trouble->what};
    out.node = nodes_wait(named + " cannot be made");
  }
  return out;
}
// It ended, or ends, and nobody here wished so; or it was never seen.
Stage Follower::lost_or_ask(std::size_t ordinal, std::uint32_t nodes) {
  wire::OrderT& order = out_.orders[ordinal];
  const NodeClaimT* end = claim_named(record_, asked_kind(terms_).kind, order.claim);
  if (end == nullptr) return ask(ordinal, nodes);
  Stage out;
  out.name = "lost";
  out.end = end;
  out.node = nodes_wait(asked_kind(terms_).kind + " " + end->name + " has gone");
  if (end->exists) return out;
  if (order.retry_at_ms == 0) {  // one that was of use for a while begins a new count
    const wire::MarkT& granted = runtime::mark_of(record_, key_of("granted", ordinal));
    const bool was_of_use =
        granted.value == end->uid && view_.now_ms - granted.at_ms > retry_max_ms;
    order.failures = was_of_use ? 1 : order.failures + 1;
  }
  const std::int64_t wait_ms = retry_after_ms(order.failures);
  if (order.retry_at_ms == 0 || order.retry_at_ms - view_.now_ms > wait_ms)  // or clock set back
    order.retry_at_ms = view_.now_ms + wait_ms;
  if (view_.now_ms >= order.retry_at_ms) {
    next(out_.orders, ordinal, record_, terms_);
    return ask(ordinal, nodes);
  }
  wake(d_, order.retry_at_ms);
  out.then = "; the next one is asked for at " + rfc3339(order.retry_at_ms) + " (attempt " +
             std::to_string(order.attempt + 1) + ")";
  return out;
}

// A claim for each; what nothing stands for is given by the user, or asked for.
void Follower::follow_claims(const Claims& taken) {
  const Machines given = given_nodes(record_, view_.nodes);
  auto open = static_cast<std::size_t>(std::count(taken.begin(), taken.end(), nullptr));
  const std::size_t used = std::min(given.size(), open);
  for (std::size_t i = 0; i < out_.needed; ++i) {
    if (taken[i] != nullptr)
      add(*taken[i], i);
    else if (open-- > used)
      out_.parts.push_back({lost_or_ask(i, out_.needed - static_cast<std::uint32_t>(used))});
    else
      add_given(*given[open]);
  }
  for (std::size_t i = out_.needed; i < out_.orders.size(); ++i)  // fewer are needed by now
    if (const auto* claim = claim_named(record_, asked_kind(terms_).kind, out_.orders[i].claim))
      give_up(d_, record_, i, *claim, "spare/" + claim->uid);
}

// A pool for all; Karpenter makes its claims, again and again.
void Follower::follow_pool(const NodeClaimT* pool) {
  const Machines given = given_nodes(record_, view_.nodes);
  const auto free = static_cast<std::uint32_t>(std::min<std::size_t>(given.size(), out_.needed));
  if (pool != nullptr) {
    for (const auto* claim : of_pool(record_))
      if (out_.parts.size() < out_.needed) add(*claim, ordinal_of(record_, *claim, terms_));
  }
  for (const auto* machine : given)
    if (out_.parts.size() < out_.needed) add_given(*machine);
  if (out_.parts.size() == out_.needed) return;
  const Stage waits = pool != nullptr ? of_a_pool(*pool) : lost_or_ask(0, out_.needed - free);
  out_.parts.resize(out_.needed, {waits});
}
// It has not all of its claims.
Stage Follower::of_a_pool(const NodeClaimT& pool) {
  const std::size_t claims = of_pool(record_).size();
  const std::string named = "NodePool " + pool.name;
  const std::string lacks =
      named + (claims == 0 ? " has no NodeClaim yet"
                           : " has " + std::to_string(claims) + " NodeClaims of " +
                                 std::to_string(std::max(pool.replicas, 1U)) + " yet");
  Stage out;
  out.name = "pool";
  out.look = "is Karpenter running, with its feature gate StaticCapacity?";
  out.claim = {"NodeClaimNotReady", "Ready NodeClaims are not enough: " + lacks};
  out.node = nodes_wait(lacks);
  if (const auto* trouble = runtime::trouble_of(record_, "BuyNode")) {
    out.claim = {reason_of(*trouble), named + " cannot be changed: " + trouble->what};
  } else if (const NodeClaimT* end = last_ended(record_)) {
    out.end = end;
    out.then = "; Karpenter makes the next one";
  }
  return out;
}
}  // namespace

Party follow(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
             const Terms& terms) {
  keep_size(d, record, view, terms);
  return Follower(d, record, view, terms).follow();
}
// Nodes that the user gives are no reason to take any from it.
void keep_size(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
               const Terms& terms) {
  if (terms.mode != Mode::karpenter) return;
  Orders orders = orders_of(record);
  const NodeClaimT* pool = take(orders, record, terms, 1).front();
  if (pool == nullptr) return;
  const std::uint32_t needed = nodes_needed(*record.workspace);
  const auto given = static_cast<std::uint32_t>(given_nodes(record, view.nodes).size());
  const std::uint32_t least = given < needed ? needed - given : 1;
  const std::uint32_t there = pool->sized ? pool->replicas : std::max(pool->replicas, 1U);
  const std::uint32_t wanted = std::clamp(there, least, needed);
  if (there == wanted) return;
  wire::BuyNodeT body;
  body.workspace = runtime::copy(*record.workspace);
  body.claim = pool->name;
  body.nodes = wanted;
  runtime::ask(d, record, "replicas", pool->uid + "/" + std::to_string(wanted),
               record.workspace->revision, std::move(body), {pool->version});
}
void give_up(runtime::Decision& d, const wire::RecordT& record, std::size_t ordinal,
             const wire::NodeClaimT& claim, const std::string& wish) {
  wire::GiveUpNodesT body;
  body.wish = wish;
  body.claim = claim.name;
  body.uid = claim.uid;
  runtime::ask(d, record, key_of("give up", ordinal), wish, "", std::move(body));
}
std::int64_t retry_after_ms(std::uint32_t failures) {
  std::int64_t wait = retry_first_ms;
  for (std::uint32_t i = 1; i < failures && wait < retry_max_ms; ++i) wait *= 2;
  return std::min(wait, retry_max_ms);
}
}  // namespace kairo::provisioner
