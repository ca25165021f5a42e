// agents/runtime/loop_decide.cpp - whom a round concerns, and deciding about each until it is
// quiet.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "agents/runtime/decision.h"
#include "agents/runtime/loop.h"
#include "agents/runtime/loop_round.h"
#include "agents/runtime/record.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
constexpr std::size_t owed_per_round = 256, decided_per_round = 512;
constexpr int decisions_max = 32;  // per record and round; more means that a decision never settles
constexpr const char* decision = "Decision";  // Trouble's command when it is the agent itself

bool is_quarantined(const wire::RecordT& record) {
  return record.trouble && record.trouble->command == decision;
}
}  // namespace

// The store may be older than what was said and done. A fact of which the bus has a newer one is
// not said any more; a status is composed anew. Whose rows wait is decided before any is performed.
void Loop::forget_outdated(Round& round) {
  round.outdated = deps_.relay.rows_that([&](const wire::CommandT& row) {
    wire::RecordT& record = edit(round, row.uid);
    if (!record.uid.empty()) round.dirty.insert(row.uid);
    if (const auto* publish = row.body.AsPublish()) return is_outdated(record, *publish->fact);
    if (row.body.type != wire::CommandBody::PatchStatus) return false;
    wire::MarkT not_asked;
    not_asked.key = row.coalesce;
    set_mark(record, std::move(not_asked));
    return true;
  });
}

void Loop::wake_concerned(Round& round) {
  if (deps_.role.concerns == nullptr) return;
  struct News {
    const std::string& name;
    const wire::NodeT* before;
    const wire::NodeT& after;
  };
  std::vector<News> news;
  for (const auto& [name, before] : round.nodes_before)
    news.push_back({name, before ? &*before : nullptr, nodes_.at(name)});
  if (news.empty()) return;
  const MayConcern& may = deps_.role.may_concern;
  for (const auto& [uid, known] : records_) {
    std::unique_ptr<wire::RecordT> record;
    const auto is_concerned = [&, &uid_ = uid, &at_rest = known](const News& n) {
      if (may != nullptr && !may(at_rest.table(), n.name, n.before, n.after)) return false;
      if (!record) record = records_.find(uid_);
      return deps_.role.concerns(*record, n.name, n.before, n.after);
    };
    if (std::any_of(news.begin(), news.end(), is_concerned)) round.dirty.insert(uid);
  }
}

void Loop::take_owed(Round& round) {
  for (auto next = owed_.begin(); next != owed_.end() && round.owed.size() < owed_per_round;
       ++next) {
    const auto& [uid, says_again] = *next;
    round.owed.push_back(uid);
    round.dirty.insert(uid);
    if (says_again) say_again(round, peek(round, uid));
  }
}

// Before it acts it takes what stays inside.
void Loop::take_observed(Round& round) {
  const std::lock_guard lock(observed_mutex_);
  for (const auto& [fact, publish] : observed_) {
    if (publish && round.stage != Stage::acts) break;
    own_fact(round, fact, publish);
    ++round.taken;
  }
}

void Loop::decide(Round& round) {
  republish_if_lost();
  if (!is_acting()) {  // the world went on without us
    forget_outdated(round);
    for (const auto& entry : records_) owed_.emplace(entry.first, false);
    account_all();
  }
  take_owed(round);
  take_observed(round);
  // A clock that was set back must not make anybody wait for the old time.
  const bool is_set_back = round.now_ms < std::exchange(decided_ms_, round.now_ms);
  for (const auto& [at_ms, uid] : timers_) {
    if (at_ms > round.now_ms && !is_set_back) break;
    if (!owed_.contains(uid)) round.dirty.insert(uid);
  }
  wake_concerned(round);
  owe_the_rest(round);
  while (!round.dirty.empty()) {
    const std::string uid = *round.dirty.begin();
    settle(round, uid);
    round.dirty.erase(uid);
    round.decided.insert(uid);
  }
}

void Loop::account_all() {
  if (!deps_.role.own.contains(wire::FactBody::Resources)) return;
  for (const auto& entry : records_) account(entry.first, *records_.find(entry.first));
}
// A round holds what it decides as objects. Thousands whose time has come at once, or whom one node
// concerns, are decided in the rounds that follow; those of whom there is news in this one.
void Loop::owe_the_rest(Round& round) {
  for (auto at = round.dirty.begin();
       at != round.dirty.end() && round.dirty.size() > decided_per_round;)
    if (round.edits.contains(*at)) {
      ++at;
    } else {
      owed_.emplace(*at, false);
      at = round.dirty.erase(at);
    }
}
// What each Workspace has of the nodes' GPUs until it is over, so that the next one gets others.
void Loop::account(const std::string& uid, const wire::RecordT& record) {
  if (!deps_.role.own.contains(wire::FactBody::Resources)) return;
  const wire::ResourcesT* granted = record.resources.get();
  const bool holds = !is_gone(record) && granted != nullptr &&
                     granted->state == wire::ResourcesState::Ready && granted->gpus > 0 &&
                     !granted->nodes.empty() && !is_done(record);
  const auto known = holders_.find(uid);
  if (known != holders_.end()) {
    const auto& [nodes, gpus] = known->second;
    if (holds && nodes == granted->nodes && gpus == granted->gpus) return;
    for (const std::string& node : nodes) held_[node] -= gpus;
    holders_.erase(known);
  }
  if (!holds) return;
  for (const std::string& node : granted->nodes) held_[node] += granted->gpus;
  holders_[uid] = {granted->nodes, granted->gpus};
}

bool Loop::take_up(Round& round, const std::string& uid, Decision decided) {
  bool is_news = false;
  for (wire::MarkT& mark : decided.marks) {
    if (mark_of(peek(round, uid), mark.key) == mark) continue;
    set_mark(edit(round, uid), std::move(mark));
    is_news = true;
  }
  if (peek(round, uid).wake_at_ms != decided.wake_at_ms)
    edit(round, uid).wake_at_ms = decided.wake_at_ms;
  if (decided.status) {
    wire::RecordT& record = edit(round, uid);
    is_news = is_news || !record.status || *record.status != *decided.status;
    record.status = std::move(decided.status);
    record.patched_at_ms = round.now_ms;
    wake_namers(round, record);
  }
  if (decided.cancel_effects) round.cancelled.insert(uid);
  for (wire::CommandT& next : decided.commands) {
    const wire::RecordT& record = peek(round, uid);
    next.uid = record.uid;
    next.ns = record.ns;
    next.name = record.name;
    if (next.body.type == wire::CommandBody::Publish)
      is_news = own_fact(round, std::move(*next.body.AsPublish()->fact), true) || is_news;
    else
      round.rows.emplace_back(outbox_key(++round.outbox), std::move(next));
  }
  return is_news;
}

void Loop::quarantine(Round& round, const std::string& uid) {
  wire::RecordT& record = edit(round, uid);
  auto trouble = std::make_unique<wire::TroubleT>();
  trouble->version = std::max<std::uint64_t>(static_cast<std::uint64_t>(round.now_ms),
                                             record.trouble ? record.trouble->version + 1 : 1);
  trouble->command = decision;
  trouble->revision = record.workspace ? record.workspace->revision : "";
  trouble->code = static_cast<std::uint8_t>(Code::invalid);
  trouble->what = "the " + deps_.agent + " comes to no decision about this Workspace (" +
                  std::to_string(decisions_max) +
                  " in a row differ): it is left alone until it changes; please report this";
  trouble->at_ms = round.now_ms;
  record.trouble = std::move(trouble);
  record.wake_at_ms = 0;
  if (quarantined_.insert(uid).second)
    log::error("a decision does not settle; the Workspace is left alone until it changes",
               {{"workspace", record.ns + "/" + record.name}, {"uid", uid}});
}

// false: it did not settle, and nothing of what it said is left.
bool Loop::try_to_settle(Round& round, const std::string& uid) {
  const auto edited = round.edits.find(uid);
  const auto before = edited != round.edits.end() ? std::optional(edited->second) : std::nullopt;
  const std::size_t rows = round.rows.size();
  const std::uint64_t outbox = round.outbox;
  const bool was_cancelled = round.cancelled.contains(uid);
  for (int i = 0; i < decisions_max; ++i) {
    ++decisions_;
    const wire::RecordT& record = peek(round, uid);
    View view{nodes_, round.now_ms, incarnation_, deps_.self, &held_};
    if (deps_.role.names)
      view.named = [&](const std::string& name) { return named(round, record.ns, name); };
    Decision decided = deps_.role.decide(record, view);
    if (!take_up(round, uid, std::move(decided))) return true;
  }
  if (before)
    round.edits[uid] = *before;
  else
    round.edits.erase(uid);
  round.rows.resize(rows);
  round.outbox = outbox;
  if (!was_cancelled) round.cancelled.erase(uid);
  return false;
}

// A decision sees the effects of what it just said: it is asked again until it is quiet. One that
// never is harms nobody else: it is asked once more with its trouble before it, so that it can say
// so, and then again when the next fact about the Workspace comes.
void Loop::settle(Round& round, const std::string& uid) {
  if (is_quarantined(peek(round, uid))) edit(round, uid).trouble.reset();
  if (try_to_settle(round, uid)) {
    quarantined_.erase(uid);
  } else {
    quarantine(round, uid);
    (void)try_to_settle(round, uid);
  }
  const wire::RecordT& record = peek(round, uid);
  account(uid, record);
  std::int64_t gone_at_ms = is_gone(record) ? record.gone_at_ms : 0;
  if (is_gone(record) && gone_at_ms == 0) gone_at_ms = round.now_ms;
  if (record.gone_at_ms != gone_at_ms) edit(round, uid).gone_at_ms = gone_at_ms;
}
}  // namespace kairo::runtime
