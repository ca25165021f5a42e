// agents/runtime/loop.cpp - see loop.h; the order of the lines in step() and commit() is the
// promise.
#include "agents/runtime/loop.h"

#include <charconv>

#include "agents/runtime/record.h"
#include "schemas/base/assert.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
constexpr int decisions_max = 32;  // per record and round; more means that a decision never settles
constexpr std::size_t dead_letter_bytes_max = 256 * 1024;
constexpr std::int64_t say_all_every_ms = 12 * 3600 * 1000;  // the bus keeps facts for a day
constexpr std::int64_t incarnation_every_ms = 2'000, sweep_every_ms = 60'000;

std::string padded(std::uint64_t n) {  // sorts as text
  const std::string s = std::to_string(n);
  return std::string(20 - s.size(), '0') + s;
}
bool is_gone(const wire::RecordT& record) {
  return !record.workspace || !record.workspace->exists;
}

// Same content, whatever the version: nothing to tell.
template <class T>
bool same_but_version(const T& a, T b) {
  b.version = a.version;
  return a == b;
}
}  // namespace

struct Loop::Round {
  std::int64_t now_ms = 0;
  std::map<std::string, wire::RecordT> edits;  // records as they will be
  std::map<std::string, wire::NodeT> nodes;    // news of nodes
  Nodes view;                                  // all nodes, news included
  std::set<std::string> dirty, forgotten, cancelled;
  std::vector<std::pair<std::string, wire::CommandT>> rows;
  std::vector<std::uint64_t> acks;
  std::uint64_t outbox = 0;
  std::size_t taken = 0;    // of observed_
  std::string incarnation;  // the bus's new one; "" = as before
};

Status Loop::start() {
  std::string after;
  for (;;) {
    const state::Rows rows = TRY(deps_.store.scan("record/", after, 512));
    if (rows.empty()) break;
    for (const auto& [key, bytes] : rows) {
      wire::RecordT record = TRY(decode<wire::RecordT>(bytes, wire::RecordIdentifier()));
      timers_.insert({1, record.uid});     // decide everything once: the world went on without us
      const std::string uid = record.uid;  // flatc's operator= takes its argument by value
      records_[uid] = std::move(record);
      after = key;
    }
  }
  for (const auto& [key, bytes] : TRY(deps_.store.scan("node/", "", 100'000))) {
    const wire::FactT fact = TRY(decode<wire::FactT>(bytes, wire::FactIdentifier()));
    nodes_[fact.name] = *fact.body.AsNode();
  }
  const std::string last = TRY(deps_.store.get("meta/outbox")).value_or("0");
  std::from_chars(last.data(), last.data() + last.size(), outbox_);
  return deps_.relay.load(deps_.store);
}

const wire::RecordT* Loop::find(const std::string& uid) const {
  const auto found = records_.find(uid);
  return found == records_.end() ? nullptr : &found->second;
}
std::int64_t Loop::wake_at_ms() const {
  return timers_.empty() ? 0 : timers_.begin()->first;
}

void Loop::observe(wire::FactT fact, bool publish) {
  const std::lock_guard lock(observed_mutex_);
  observed_.emplace_back(std::move(fact), publish);
  deps_.bus.wake();
}

wire::RecordT& Loop::edit(Round& round, const std::string& uid) {
  const auto edited = round.edits.find(uid);
  if (edited != round.edits.end()) return edited->second;
  const auto known = records_.find(uid);
  return round.edits[uid] = known == records_.end() ? wire::RecordT{} : known->second;
}

void Loop::take(Round& round, const wire::FactT& fact) {
  if (fact.body.type == wire::FactBody::Node) {
    const wire::NodeT& node = *fact.body.AsNode();
    const auto staged = round.nodes.find(fact.name);
    const auto known = nodes_.find(fact.name);
    const std::uint64_t have = staged != round.nodes.end() ? staged->second.version
                               : known != nodes_.end()     ? known->second.version
                                                           : 0;
    if (node.version <= have) return;
    round.nodes[fact.name] = node;
    for (const auto& [uid, record] : records_) round.dirty.insert(uid);
    return;
  }
  if (fact.uid.empty()) return;
  if (absorb(edit(round, fact.uid), fact)) round.dirty.insert(fact.uid);
}

// A fact of our own: newer than the last one by construction, silent when it says nothing new.
void Loop::own_fact(Round& round, wire::FactT fact, bool publish) {
  wire::RecordT& record = edit(round, fact.uid);
  fact.at_ms = round.now_ms;
  bool news = true;
  const auto give_version = [&](auto& body, const auto& slot) {
    body.version = static_cast<std::uint64_t>(std::max<std::int64_t>(round.now_ms, 1));
    if (!slot) return;
    news = !same_but_version(*slot, body);
    body.version = std::max(body.version, slot->version + 1);
  };
  switch (fact.body.type) {
    case wire::FactBody::Resources:
      give_version(*fact.body.AsResources(), record.resources);
      break;
    case wire::FactBody::Run:
      give_version(*fact.body.AsRun(), record.run);
      break;
    case wire::FactBody::RunDir:
      give_version(*fact.body.AsRunDir(), record.run_dir);
      break;
    case wire::FactBody::Training:
      give_version(*fact.body.AsTraining(), record.training);
      break;
    case wire::FactBody::Artifact:
      give_version(*fact.body.AsArtifact(), record.artifact);
      break;
    case wire::FactBody::Push:
      give_version(*fact.body.AsPush(), record.push);
      break;
    case wire::FactBody::Trouble:
      fact.body.AsTrouble()->at_ms = round.now_ms;
      give_version(*fact.body.AsTrouble(), record.trouble);
      news = true;  // the same refusal once more is news: a decision may wait for its answer
      break;
    case wire::FactBody::NONE:
    case wire::FactBody::Workspace:
    case wire::FactBody::Job:
    case wire::FactBody::Pod:
    case wire::FactBody::Server:
    case wire::FactBody::Node:
      break;  // the cluster gives their versions
  }
  if (!news) return;
  take(round, fact);
  if (!publish) return;
  wire::CommandT row;
  row.uid = fact.uid;
  row.ns = fact.ns;
  row.name = fact.name;
  row.coalesce = kind_of(fact.body.type);  // level-triggered: the newest is enough
  wire::PublishT body;
  body.fact = std::make_unique<wire::FactT>(std::move(fact));
  row.body.Set(std::move(body));
  round.rows.emplace_back("outbox/" + padded(++round.outbox), std::move(row));
}

void Loop::command(Round& round, wire::CommandT command) {
  if (command.body.type == wire::CommandBody::Publish) {
    own_fact(round, std::move(*command.body.AsPublish()->fact), true);
    return;
  }
  round.rows.emplace_back("outbox/" + padded(++round.outbox), std::move(command));
}

const std::string& Loop::incarnation_of(const Round& round) const {
  return round.incarnation.empty() ? incarnation_ : round.incarnation;
}

void Loop::settle(Round& round, const std::string& uid) {
  for (int i = 0;; ++i) {
    KAIRO_ASSERT(i < decisions_max, "a decision settles");
    wire::RecordT& record = edit(round, uid);
    const wire::RecordT before = record;
    Decision decision =
        deps_.decide(record, {round.view, round.now_ms, incarnation_of(round), deps_.self});
    for (const auto& mark : decision.marks) set_mark(record, mark.key, mark.value);
    record.wake_at_ms = decision.wake_at_ms;
    if (decision.status) {
      record.status = std::move(decision.status);
      record.patched_at_ms = round.now_ms;
    }
    if (decision.cancel_effects) round.cancelled.insert(uid);
    for (wire::CommandT& next : decision.commands) {
      next.uid = record.uid;
      next.ns = record.ns;
      next.name = record.name;
      command(round, std::move(next));
    }
    wire::RecordT after = edit(round, uid);
    after.wake_at_ms = before.wake_at_ms;
    if (after == before) break;
  }
  wire::RecordT& record = edit(round, uid);
  if (!is_gone(record))
    record.gone_at_ms = 0;
  else if (record.gone_at_ms == 0)
    record.gone_at_ms = round.now_ms;
}

// The bus may lose its tail (power failure) or its whole store. Records hold our last words: say
// them again. Others do the same, and the watcher lists the cluster anew.
void Loop::republish_if_lost(Round& round) {
  const std::int64_t now = deps_.clock.monotonic_ms();
  if (now - incarnation_checked_ms_ < incarnation_every_ms) return;
  const auto incarnation = deps_.bus.incarnation();
  if (!incarnation.ok()) return;
  const bool is_old = now - said_all_ms_ > say_all_every_ms;
  if (incarnation.value() == incarnation_ && !is_old) {
    incarnation_checked_ms_ = now;
    return;
  }
  round.incarnation = incarnation.value();  // known when the rows are committed
  said_all_ms_ = now;
  log::debug("the bus is new, or may have lost or outlived messages: saying all again",
             {{"records", std::to_string(records_.size())}});
  for (const auto& entry : records_) {
    const wire::RecordT& record = entry.second;
    round.dirty.insert(entry.first);
    const auto again = [&](const auto& slot, wire::FactBody type) {
      if (!slot || !deps_.own.contains(type)) return;
      wire::FactT fact;
      fact.uid = record.uid;
      fact.ns = record.ns;
      fact.name = record.name;
      fact.at_ms = round.now_ms;
      fact.body.Set(std::decay_t<decltype(*slot)>(*slot));
      wire::CommandT row;
      row.uid = record.uid;
      row.ns = record.ns;
      row.name = record.name;
      row.coalesce = kind_of(type);
      wire::PublishT body;
      body.fact = std::make_unique<wire::FactT>(std::move(fact));
      row.body.Set(std::move(body));
      round.rows.emplace_back("outbox/" + padded(++round.outbox), std::move(row));
    };
    again(record.resources, wire::FactBody::Resources);
    again(record.run, wire::FactBody::Run);
    again(record.run_dir, wire::FactBody::RunDir);
    again(record.training, wire::FactBody::Training);
    again(record.artifact, wire::FactBody::Artifact);
    again(record.push, wire::FactBody::Push);
  }
}

void Loop::sweep(Round& round) {
  if (round.now_ms - swept_ms_ < sweep_every_ms) return;
  swept_ms_ = round.now_ms;
  for (const auto& [uid, record] : records_)
    if (is_gone(record) && record.gone_at_ms != 0 &&
        round.now_ms - record.gone_at_ms > keep_gone_ms && !round.edits.contains(uid))
      round.forgotten.insert(uid);
}

Status Loop::dead_letter(const bus::Delivery& delivery, const Error& why) {
  log::error("a message that nobody can read",
             {{"subject", delivery.message.subject}, {"error", why.what}});
  std::string letter = why.what + "\n" + delivery.message.subject + "\n" + delivery.message.bytes;
  letter.resize(std::min(letter.size(), dead_letter_bytes_max));
  return deps_.bus.publish({"kairo.dead." + bus::token(deps_.agent),
                            "dead/" + deps_.agent + "/" + delivery.message.id, letter});
}

Status Loop::step(std::chrono::milliseconds wait) {
  Round round;
  round.now_ms = deps_.clock.now_ms();
  round.outbox = outbox_;
  for (std::string& key : deps_.relay.take_done()) done_.push_back(std::move(key));
  bool urgent = !done_.empty();
  {
    const std::lock_guard lock(observed_mutex_);
    urgent = urgent || !observed_.empty();
  }
  if (!timers_.empty())
    wait = std::min(wait, std::chrono::milliseconds(
                              std::max<std::int64_t>(timers_.begin()->first - round.now_ms, 0)));
  const auto deliveries =
      deps_.bus.next(facts_per_batch, urgent ? std::chrono::milliseconds(0) : wait);
  round.now_ms = deps_.clock.now_ms();
  republish_if_lost(round);  // first: news of this round must come after it
  if (deliveries.ok()) {
    for (const bus::Delivery& delivery : deliveries.value()) {
      const auto fact = decode<wire::FactT>(delivery.message.bytes, wire::FactIdentifier());
      if (!fact.ok() && !dead_letter(delivery, fact.error()).ok()) continue;  // it comes again
      if (fact.ok()) take(round, fact.value());
      round.acks.push_back(delivery.token);
      ++facts_;
    }
  }
  {
    const std::lock_guard lock(observed_mutex_);
    round.taken = observed_.size();
    for (const auto& [fact, publish] : observed_) own_fact(round, fact, publish);
  }
  for (const auto& [at_ms, uid] : timers_) {
    if (at_ms > round.now_ms) break;
    round.dirty.insert(uid);
  }
  round.view = nodes_;
  for (const auto& [name, node] : round.nodes) round.view[name] = node;
  while (!round.dirty.empty()) {
    const std::string uid = *round.dirty.begin();
    settle(round, uid);
    round.dirty.erase(uid);
  }
  sweep(round);
  TRY(commit(round));
  if (!deliveries.ok()) return deliveries.error();
  return ok();
}

Status Loop::commit(Round& round) {
  state::Batch batch;
  std::erase_if(round.edits, [](const auto& edit) { return edit.second.uid.empty(); });
  for (const auto& [uid, record] : round.edits)
    if (const auto old = records_.find(uid); old == records_.end() || old->second != record)
      batch.put("record/" + uid, encode(record, wire::RecordIdentifier()));
  for (const std::string& uid : round.forgotten) batch.erase("record/" + uid);
  for (const auto& [name, node] : round.nodes) {
    wire::FactT fact;
    fact.name = fact.uid = name;
    fact.body.Set(wire::NodeT(node));
    batch.put("node/" + name, encode(fact, wire::FactIdentifier()));
  }
  for (const auto& [key, row] : round.rows) batch.put(key, encode(row, wire::CommandIdentifier()));
  for (const std::string& key : done_) batch.erase(key);
  for (const std::string& uid : round.cancelled)  // here: a crash must not bring them back
    for (const std::string& key : deps_.relay.queued_effects(uid)) batch.erase(key);
  if (!batch.writes.empty()) {
    batch.put("meta/outbox", std::to_string(round.outbox));
    TRY(deps_.store.commit(batch));  // the moment the facts have happened
  }
  done_.clear();
  outbox_ = round.outbox;
  if (!round.incarnation.empty()) incarnation_ = round.incarnation;
  for (auto& [uid, record] : round.edits) {
    if (const auto old = records_.find(uid); old != records_.end())
      timers_.erase({old->second.wake_at_ms, uid});
    timers_.erase({1, uid});
    if (record.wake_at_ms != 0) timers_.insert({record.wake_at_ms, uid});
    records_[uid] = std::move(record);
  }
  for (const std::string& uid : round.forgotten) records_.erase(uid);
  for (const auto& [name, node] : round.nodes) nodes_[name] = node;
  for (const std::string& uid : round.cancelled) deps_.relay.cancel_effects(uid);
  for (auto& [key, row] : round.rows) deps_.relay.add(std::move(key), std::move(row));
  {
    const std::lock_guard lock(observed_mutex_);
    observed_.erase(observed_.begin(), observed_.begin() + static_cast<long>(round.taken));
  }
  for (const std::uint64_t token : round.acks) (void)deps_.bus.ack(token);  // else it comes again
  return ok();
}
}  // namespace kairo::runtime
