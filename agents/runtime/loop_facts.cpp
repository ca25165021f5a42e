// agents/runtime/loop_facts.cpp - the loop's own words: given a version, said again, shown.
#include "agents/runtime/decision.h"
#include "agents/runtime/loop.h"
#include "agents/runtime/loop_round.h"
#include "agents/runtime/record.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
constexpr std::int64_t say_all_every_ms = 12 * 3600 * 1000;  // the bus keeps facts for 30 days
constexpr std::int64_t incarnation_every_ms = 2'000;

// Same content, whatever the version: nothing to tell.
template <class T>
bool same_but_version(const T& a, T b) {
  b.version = a.version;
  return a == b;
}
// The outbox row that says it.
wire::CommandT publication(wire::FactT fact) {
  wire::CommandT row;
  row.uid = fact.uid;
  row.ns = fact.ns;
  row.name = fact.name;
  row.coalesce = kind_of(fact.body.type);  // level-triggered: the newest is enough
  wire::PublishT body;
  body.fact = std::make_unique<wire::FactT>(std::move(fact));
  row.body.Set(std::move(body));
  return row;
}
}  // namespace

// A fact of our own: newer than the last one by construction, silent when it says nothing new.
bool Loop::own_fact(Round& round, wire::FactT fact, bool publish) {
  const wire::RecordT& record = peek(round, fact.uid);
  fact.at_ms = round.now_ms;
  bool news = true;
  const auto give_version = [&](auto& body, const auto* slot) {
    body.version = static_cast<std::uint64_t>(std::max<std::int64_t>(round.now_ms, 1));
    if (slot == nullptr) return;
    news = !same_but_version(*slot, body);
    body.version = std::max(body.version, slot->version + 1);
  };
  switch (fact.body.type) {
    case wire::FactBody::Resources:
      give_version(*fact.body.AsResources(), record.resources.get());
      break;
    case wire::FactBody::Run:
      give_version(*fact.body.AsRun(), record.run.get());
      break;
    case wire::FactBody::RunDir:
      give_version(*fact.body.AsRunDir(), of_node(record.run_dirs, deps_.self));
      break;
    case wire::FactBody::Training:
      give_version(*fact.body.AsTraining(), of_node(record.trainings, deps_.self));
      break;
    case wire::FactBody::Artifact:
      give_version(*fact.body.AsArtifact(), of_node(record.artifacts, deps_.self));
      break;
    case wire::FactBody::Push:
      give_version(*fact.body.AsPush(), of_node(record.pushes, deps_.self));
      break;
    case wire::FactBody::Checkpoint:
      give_version(*fact.body.AsCheckpoint(), of_node(record.checkpoints, deps_.self));
      break;
    case wire::FactBody::Serving:
      give_version(*fact.body.AsServing(), of_node(record.servings, deps_.self));
      break;
    case wire::FactBody::Trouble:
      fact.body.AsTrouble()->at_ms = round.now_ms;
      give_version(*fact.body.AsTrouble(), record.trouble.get());
      news = true;  // the same refusal once more is news: a decision may wait for its answer
      break;
    case wire::FactBody::ClaimEnd:
      give_version(*fact.body.AsClaimEnd(), record.claim_end.get());
      news = true;  // an answer, as above
      break;
    case wire::FactBody::NONE:
    case wire::FactBody::Workspace:
    case wire::FactBody::Job:
    case wire::FactBody::Pod:
    case wire::FactBody::Server:
    case wire::FactBody::Node:
    case wire::FactBody::Part:
    case wire::FactBody::StatusSeen:
    case wire::FactBody::NodeClaim:
      break;  // the cluster gives their versions
  }
  if (!news) return false;
  take(round, fact, false);
  if (publish) round.rows.emplace_back(outbox_key(++round.outbox), publication(std::move(fact)));
  return true;
}

// The bus may lose its tail (power failure) or its whole store. Records hold our last words: say
// them again. Others do the same, and the watcher lists the cluster anew.
void Loop::republish_if_lost() {
  const std::int64_t now = deps_.clock.monotonic_ms();
  if (now - incarnation_checked_ms_ < incarnation_every_ms) return;
  const auto incarnation = deps_.bus.incarnation();
  if (!incarnation.ok()) return;
  const bool is_old = now - said_all_ms_ > say_all_every_ms;
  if (incarnation.value() == incarnation_ && !is_old) {
    incarnation_checked_ms_ = now;
    return;
  }
  if (incarnation.value() != incarnation_) clock_ahead_ms_.reset();  // what is gone is said again
  incarnation_checked_ms_ = said_all_ms_ = now;
  incarnation_ = incarnation.value();
  log::debug("the bus is new, or may have lost or outlived messages: saying all again",
             {{"records", std::to_string(records_.size())}});
  for (const auto& entry : records_) owed_[entry.first] = true;
}
void Loop::say_again(Round& round, const wire::RecordT& record) {
  const auto again = [&](const auto* slot, wire::FactBody type) {
    if (slot == nullptr || !deps_.role.own.contains(type)) return;
    wire::FactT fact = fact_about(record, std::decay_t<decltype(*slot)>(*slot));
    fact.at_ms = round.now_ms;
    round.rows.emplace_back(outbox_key(++round.outbox), publication(std::move(fact)));
  };
  again(record.resources.get(), wire::FactBody::Resources);
  again(record.run.get(), wire::FactBody::Run);
  again(of_node(record.run_dirs, deps_.self), wire::FactBody::RunDir);
  again(of_node(record.trainings, deps_.self), wire::FactBody::Training);
  again(of_node(record.artifacts, deps_.self), wire::FactBody::Artifact);
  again(of_node(record.pushes, deps_.self), wire::FactBody::Push);
  again(of_node(record.checkpoints, deps_.self), wire::FactBody::Checkpoint);
  again(of_node(record.servings, deps_.self), wire::FactBody::Serving);
}

std::optional<wire::NodeT> Loop::node(const std::string& name) const {
  const std::lock_guard lock(records_mutex_);
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::vector<wire::FactT>> Loop::last_facts(wire::FactBody kind) const {
  if (stage_ < Stage::lists) return std::nullopt;
  const std::lock_guard lock(records_mutex_);
  std::vector<wire::FactT> out;
  if (kind == wire::FactBody::Node)
    for (const auto& [name, node] : nodes_) {
      wire::FactT& fact = out.emplace_back();
      fact.uid = fact.name = name;
      fact.body.Set(wire::NodeT(node));
    }
  for (const auto& [uid, known] : records_) {
    const wire::Record& r = known.table();
    const auto add = [&, &whom = uid](const auto* body) {
      if (body == nullptr) return;
      wire::FactT& fact = out.emplace_back();
      fact.uid = whom;
      if (r.ns() != nullptr) fact.ns = r.ns()->str();
      if (r.name() != nullptr) fact.name = r.name()->str();
      std::unique_ptr<typename std::decay_t<decltype(*body)>::NativeTableType> object(
          body->UnPack());
      fact.body.Set(std::move(*object));
    };
    const auto add_each = [&](const auto* bodies) {
      if (bodies != nullptr)
        for (const auto* body : *bodies) add(body);
    };
    if (kind == wire::FactBody::Workspace) add(r.workspace());
    if (kind == wire::FactBody::Job) add(r.job());
    if (kind == wire::FactBody::Pod) add(r.pod());
    if (kind == wire::FactBody::Server) add(r.server());
    if (kind == wire::FactBody::Part) add_each(r.parts());
    if (kind == wire::FactBody::Training) add_each(r.trainings());
    if (kind == wire::FactBody::NodeClaim) add_each(r.claims());
  }
  return out;
}
}  // namespace kairo::runtime
