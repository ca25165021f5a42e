// agents/runtime/loop.cpp - see loop.h; the order of the lines in step() and commit() is the
// promise.
#include "agents/runtime/loop.h"

#include <charconv>
#include <thread>

#include "agents/runtime/loop_round.h"
#include "agents/runtime/record.h"
#include "schemas/base/assert.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
constexpr int decisions_max = 32;  // per record and round; more means that a decision never settles
constexpr std::size_t dead_letter_bytes_max = 256 * 1024;
constexpr std::int64_t sweep_every_ms = 60'000;

std::string text_of(const bus::Cursor& cursor) {
  return cursor.stream + "\n" + std::to_string(cursor.sequence) + "\n" +
         std::to_string(cursor.stamp);
}
bus::Cursor cursor_of(const std::string& text) {  // none when it is not such a text
  bus::Cursor out;
  const std::size_t first = text.find('\n'), second = text.find('\n', first + 1);
  if (first == std::string::npos || second == std::string::npos) return out;
  out.stream = text.substr(0, first);
  std::from_chars(text.data() + first + 1, text.data() + second, out.sequence);
  std::from_chars(text.data() + second + 1, text.data() + text.size(), out.stamp);
  return out;
}
bool is_gone(const wire::RecordT& record) {
  return !record.workspace || !record.workspace->exists;
}

}  // namespace

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
  cursor_ = kept_cursor_ = cursor_of(TRY(deps_.store.get("meta/cursor")).value_or(""));
  deps_.bus.read_from(cursor_);
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

void Loop::take(Round& round, const wire::FactT& fact, bool is_news) {
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
  const wire::FactBody type = fact.body.type;  // of what is one's own the record knows better
  const bool is_last_word = is_news && is_of_an_agent(type) && !deps_.own.contains(type);
  if (absorb(edit(round, fact.uid), fact, is_last_word)) round.dirty.insert(fact.uid);
}

void Loop::command(Round& round, wire::CommandT command) {
  if (command.body.type == wire::CommandBody::Publish) {
    own_fact(round, std::move(*command.body.AsPublish()->fact), true);
    return;
  }
  round.rows.emplace_back(outbox_key(++round.outbox), std::move(command));
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

void Loop::sweep(Round& round) {
  if (round.now_ms - swept_ms_ < sweep_every_ms) return;
  swept_ms_ = round.now_ms;
  for (const auto& [uid, record] : records_)
    if (is_gone(record) && record.gone_at_ms != 0 &&
        round.now_ms - record.gone_at_ms > keep_gone_ms && !round.edits.contains(uid))
      round.forgotten.insert(uid);
}

Status Loop::dead_letter(const bus::Message& message, const Error& why) {
  log::error("a message that nobody can read", {{"subject", message.subject}, {"error", why.what}});
  std::string letter = why.what + "\n" + message.subject + "\n" + message.bytes;
  letter.resize(std::min(letter.size(), dead_letter_bytes_max));
  return deps_.bus.publish(
      {"kairo.dead." + bus::token(deps_.agent), "dead/" + deps_.agent + "/" + message.id, letter});
}

// What the bus has to say. An error means that the same comes again.
Status Loop::hear(Round& round, std::chrono::milliseconds wait) {
  const bus::Batch batch = TRY(deps_.bus.next(facts_per_batch, wait));
  for (const bus::Message& message : batch.messages) {
    const auto fact = decode<wire::FactT>(message.bytes, wire::FactIdentifier());
    if (!fact.ok()) TRY(dead_letter(message, fact.error()));
    if (fact.ok()) take(round, fact.value(), batch.is_news);
    ++facts_;
  }
  round.cursor = batch.after;
  round.is_whole = round.is_whole || batch.is_whole;
  return ok();
}

Status Loop::step(std::chrono::milliseconds wait) {
  Round round;
  round.now_ms = deps_.clock.now_ms();
  round.outbox = outbox_;
  round.cursor = cursor_;
  round.is_whole = is_whole_;
  for (std::string& key : deps_.relay.take_done()) done_.push_back(std::move(key));
  const bool may_read = is_whole_ || !deps_.may_read || deps_.may_read();
  const Status heard = may_read ? hear(round, patience(wait)) : not_yet(wait);
  round.now_ms = deps_.clock.now_ms();
  if (round.is_whole)
    decide(round);
  else  // what would be decided now might unsay what has been said; kept for when all is read
    for (const std::string& uid : round.dirty) edit(round, uid).wake_at_ms = 1;
  sweep(round);
  const Status committed = commit(round);
  if (!heard.ok() || !committed.ok()) deps_.bus.read_from(cursor_);  // the same again
  return committed.ok() ? heard : committed;
}

Status Loop::not_yet(std::chrono::milliseconds wait) {
  std::this_thread::sleep_for(std::min(wait, std::chrono::milliseconds(10)));
  return Error{Code::unavailable, "the cluster's objects have not been listed yet"};
}

// How long the round may wait for a fact.
std::chrono::milliseconds Loop::patience(std::chrono::milliseconds wait) const {
  if (!done_.empty()) return std::chrono::milliseconds(0);
  if (!is_whole_) return wait;
  const std::lock_guard lock(observed_mutex_);
  if (!observed_.empty()) return std::chrono::milliseconds(0);
  if (timers_.empty()) return wait;
  const std::int64_t left = timers_.begin()->first - deps_.clock.now_ms();
  return std::min(wait, std::chrono::milliseconds(std::max<std::int64_t>(left, 0)));
}

// The store may be older than what was said and done. A fact of which the bus has a newer one is
// not said any more; a status is composed anew.
void Loop::forget_outdated(Round& round) {
  round.outdated = deps_.relay.rows_that([&](const wire::CommandT& row) {
    wire::RecordT& record = edit(round, row.uid);
    if (const auto* publish = row.body.AsPublish()) return is_outdated(record, *publish->fact);
    if (row.body.type != wire::CommandBody::PatchStatus) return false;
    record.status.reset();
    return true;
  });
}

void Loop::decide(Round& round) {
  republish_if_lost(round);
  if (!is_whole_) forget_outdated(round);
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
  for (const std::string& key : round.outdated) batch.erase(key);
  for (const std::string& uid : round.cancelled)  // here: a crash must not bring them back
    for (const std::string& key : deps_.relay.queued_effects(uid)) batch.erase(key);
  // A cursor that lags behind costs only that facts are read again.
  const bool is_cursor_old = round.cursor != kept_cursor_ && swept_ms_ == round.now_ms;
  if (!batch.writes.empty() || is_cursor_old) {
    batch.put("meta/outbox", std::to_string(round.outbox));
    batch.put("meta/cursor", text_of(round.cursor));
    TRY(deps_.store.commit(batch));  // the moment the facts have happened
    kept_cursor_ = round.cursor;
  }
  cursor_ = round.cursor;
  const std::lock_guard records_lock(records_mutex_);
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
  if (!round.outdated.empty()) deps_.relay.forget(round.outdated);
  for (auto& [key, row] : round.rows) deps_.relay.add(std::move(key), std::move(row));
  {
    const std::lock_guard lock(observed_mutex_);
    observed_.erase(observed_.begin(), observed_.begin() + static_cast<long>(round.taken));
  }
  if (round.is_whole && !is_whole_) deps_.relay.open();
  is_whole_ = round.is_whole;
  return ok();
}
}  // namespace kairo::runtime
