// agents/runtime/loop.cpp - see loop.h; the order of the lines in step() and commit() is the
// promise.
#include "agents/runtime/loop.h"

#include <algorithm>
#include <charconv>

#include "agents/runtime/loop_round.h"
#include "agents/runtime/outlives.h"
#include "agents/runtime/record.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
constexpr std::size_t dead_letter_bytes_max = 256 * 1024;
constexpr std::int64_t sweep_every_ms = 60'000;

std::string text_of(const bus::Cursor& cursor) {
  return cursor.stream + "\n" + std::to_string(cursor.sequence) + "\n" +
         std::to_string(cursor.stamp);
}
std::uint64_t number(const std::string& text) {
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
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
const char* words_of(bool acts, bool lists) {
  if (acts) return "it decides";
  return lists ? "what was there is read: its sources list" : "it reads";
}
bool is_an_end(const wire::FactT& fact) {
  const auto* job = fact.body.AsJob();
  const auto* server = fact.body.AsServer();
  const auto* claim = fact.body.AsNodeClaim();
  return (job != nullptr && !job->exists) || (server != nullptr && !server->exists) ||
         (claim != nullptr && !claim->exists);
}
}  // namespace

std::string foreign_text(const std::string& format) {
  const bool is_later = number(format) > number(record_format);
  return std::string("the store is of ") + (is_later ? "a later" : "an earlier") +
         " kairo: it is emptied, and all is read from the bus";
}

// What another version has stored is not read: the bus makes an empty store good.
Status Loop::empty_if_foreign() {
  const auto format = TRY(deps_.store.get("meta/format"));
  if (format == std::string(record_format)) return ok();
  state::Batch batch;
  for (const char* prefix : {"record/", "node/", "outbox/", "meta/"})
    for (const auto& [key, bytes] : TRY(deps_.store.scan(prefix, "", 10'000'000))) batch.erase(key);
  if (batch.writes.empty()) return ok();
  log::info(foreign_text(format.value_or("")),
            {{"format", format.value_or("none")}, {"this_one_reads", record_format}});
  return deps_.store.commit(batch);
}

Status Loop::start() {
  TRY(empty_if_foreign());
  outbox_ = number(TRY(deps_.store.get("meta/outbox")).value_or("0"));
  kept_term_ = number(TRY(deps_.store.get("meta/term")).value_or("0"));
  std::string after;
  for (;;) {
    const state::Rows rows = TRY(deps_.store.scan("record/", after, 512));
    if (rows.empty()) break;
    for (const auto& [key, bytes] : rows) {
      const wire::RecordT record = TRY(decode<wire::RecordT>(bytes, wire::RecordIdentifier()));
      if (record.wake_at_ms != 0) timers_.insert({record.wake_at_ms, record.uid});
      note_names(record);
      records_.put(bytes, record);
      after = key;
    }
  }
  for (const auto& [key, bytes] : TRY(deps_.store.scan("node/", "", 100'000))) {
    const wire::FactT fact = TRY(decode<wire::FactT>(bytes, wire::FactIdentifier()));
    const wire::NodeT& node = *fact.body.AsNode();
    if (!node.exists) gone_nodes_[fact.name] = fact.at_ms;
    nodes_[fact.name] = node;
  }
  cursor_ = kept_cursor_ = cursor_of(TRY(deps_.store.get("meta/cursor")).value_or(""));
  deps_.bus.read_from(cursor_);
  return deps_.relay.load(deps_.store);
}
// Another has acted since: what this one has asked for, and was about to do, is nothing to go by.
Status Loop::put_aside() {
  for (const char* prefix : {"record/", "node/", "outbox/"})
    for (std::string after;;) {
      const state::Rows rows = TRY(deps_.store.scan(prefix, after, 512));
      if (rows.empty()) break;
      for (const auto& row : rows) aside_.push_back(row.first);
      after = rows.back().first;
    }
  deps_.relay.forget(deps_.relay.rows_that([](const wire::CommandT&) { return true; }));
  for (const auto& [uid, known] : records_)  // this process's own, which the bus does not have
    if (known.table().status_seen() != nullptr) {
      const auto record = records_.find(uid);
      observe(fact_about(*record, wire::StatusSeenT(*record->status_seen)), false);
    }
  const std::lock_guard lock(records_mutex_);
  records_.clear();
  nodes_.clear();
  held_.clear();
  holders_.clear();
  gone_nodes_.clear();
  timers_.clear();
  owed_.clear();
  quarantined_.clear();
  cursor_ = kept_cursor_ = {};
  deps_.bus.read_from(cursor_);
  is_whole_ = knows_its_word_ = false;
  return ok();
}

std::int64_t Loop::wake_at_ms() const {
  return timers_.empty() ? 0 : timers_.begin()->first;
}

void Loop::observe(wire::FactT fact, bool publish) {
  const std::lock_guard lock(observed_mutex_);
  observed_.emplace_back(std::move(fact), publish);
  deps_.bus.wake();
}

const wire::RecordT& Loop::peek(const Round& round, const std::string& uid) const {
  static const wire::RecordT none;
  const auto edited = round.edits.find(uid);
  if (edited != round.edits.end()) return edited->second;
  const auto out = round.taken_out.find(uid);
  if (out != round.taken_out.end()) return out->second;
  const Records::AtRest* known = records_.at_rest(uid);
  if (known == nullptr) return none;
  wire::RecordT& record = round.taken_out[uid];
  known->table().UnPackTo(&record);
  return record;
}
wire::RecordT& Loop::edit(Round& round, const std::string& uid) {
  const auto edited = round.edits.find(uid);
  if (edited != round.edits.end()) return edited->second;
  (void)peek(round, uid);
  auto out = round.taken_out.extract(uid);  // stays where it is: who looks at it still may
  return out ? round.edits.insert(std::move(out)).position->second : round.edits[uid];
}

void Loop::take_node(Round& round, const std::string& name, const wire::NodeT& node) {
  const auto known = nodes_.find(name);
  if (known != nodes_.end() && node.version <= known->second.version) return;
  const std::lock_guard lock(records_mutex_);
  if (known == nodes_.end())
    round.nodes_before.emplace(name, std::nullopt);
  else
    round.nodes_before.emplace(name, std::move(known->second));  // the first one stays
  nodes_[name] = node;
}

void Loop::take(Round& round, const wire::FactT& fact, bool is_news) {
  if (const auto* node = fact.body.AsNode()) return take_node(round, fact.name, *node);
  if (fact.uid.empty()) return;
  const wire::FactBody type = fact.body.type;
  const std::string node = node_of(fact);
  const bool is_own = deps_.role.own.contains(type) && (node.empty() || node == deps_.self);
  const bool is_known_better = is_own && knows_its_word_;
  const bool is_last_word = is_news && is_of_an_agent(type) && !is_known_better;
  wire::RecordT& record = edit(round, fact.uid);
  if (!absorb(record, fact, is_last_word)) return;
  round.dirty.insert(fact.uid);
  if (fact.body.type == wire::FactBody::Workspace) note_names(record);
  wake_namers(round, record);
  if (is_an_end(fact)) round.ended.insert(fact.uid);
}

void Loop::sweep(Round& round) {
  if (round.now_ms - swept_ms_ < sweep_every_ms) return;
  swept_ms_ = round.now_ms;
  // By a wall clock that somebody sets ahead an hour is over at once, and a bus that has lost what
  // is gone has not heard it again: it is counted anew then, and by a new process.
  const std::int64_t ahead_ms = deps_.clock.now_ms() - deps_.clock.monotonic_ms();
  if (!clock_ahead_ms_ || ahead_ms - *clock_ahead_ms_ > sweep_every_ms)
    keep_since_ms_ = round.now_ms;
  clock_ahead_ms_ = ahead_ms;
  const auto is_over = [&](std::int64_t gone_at_ms) {
    return gone_at_ms != 0 && round.now_ms - std::max(gone_at_ms, keep_since_ms_) > keep_gone_ms;
  };
  for (const auto& [uid, known] : records_)
    if (is_over(known.gone_at_ms) && !round.edits.contains(uid)) round.forgotten.insert(uid);
  for (const auto& [name, gone_at_ms] : gone_nodes_)
    if (is_over(gone_at_ms) && !round.nodes_before.contains(name))
      round.forgotten_nodes.insert(name);
}

Status Loop::dead_letter(const bus::Message& message, const Error& why) {
  log::error("a message that nobody can read", {{"subject", message.subject}, {"error", why.what}});
  if (stage_ == Stage::hears) return ok();  // who acts has said it
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
  round.is_whole = batch.is_whole;
  if (!batch.is_whole) return ok();
  if (stage_ == Stage::reads) round.stage = deps_.may_decide ? Stage::lists : Stage::acts;
  if (stage_ == Stage::reads_on) round.stage = Stage::acts;
  return ok();
}

// What was said until now counts before anything is listed, and before anything is decided.
Status Loop::go_on() {
  const Stage before = stage_;
  if (before == Stage::hears && deps_.tenure == nullptr) stage_ = Stage::reads;
  if (before == Stage::hears && deps_.tenure != nullptr) {
    const auto [own, last] = deps_.tenure->terms();
    const bool has_another_acted =
        own != 0 ? own != kept_term_ + 1 : last != 0 && last != kept_term_;
    if (knows_its_word_ && has_another_acted) TRY(put_aside());
    term_ = own;
    if (own != 0) stage_ = Stage::reads;
  }
  if (before == Stage::lists && deps_.may_decide()) stage_ = Stage::reads_on;
  if (stage_ == before) return ok();
  log::debug(stage_ == Stage::reads ? "its term begins: it reads what is there"
                                    : "its sources have listed: it reads what they have said");
  deps_.bus.read_from(cursor_);
  return ok();
}

Status Loop::step(std::chrono::milliseconds wait) {
  TRY(go_on());
  Round round;
  round.now_ms = deps_.clock.now_ms();
  round.outbox = outbox_;
  round.cursor = cursor_;
  for (std::string& key : deps_.relay.take_done()) done_.push_back(std::move(key));
  round.stage = stage_;
  const Status heard = hear(round, patience(wait));
  round.now_ms = deps_.clock.now_ms();
  // What would be decided before might unsay what has been said.
  if (round.stage == Stage::acts)
    decide(round);
  else if (stage_ == Stage::hears)
    take_observed(round);
  sweep(round);
  const Status committed = commit(round);
  if (deps_.vitals != nullptr) {
    deps_.vitals->report("bus", heard);
    deps_.vitals->report("store", committed);
  }
  if (!heard.ok() || !committed.ok()) deps_.bus.read_from(cursor_);  // the same again
  return committed.ok() ? heard : committed;
}

// How long the round may wait for a fact.
std::chrono::milliseconds Loop::patience(std::chrono::milliseconds wait) const {
  if (!done_.empty() || !owed_.empty()) return std::chrono::milliseconds(0);
  if (stage_ == Stage::hears) return wait;
  if (stage_ != Stage::acts) return std::min(wait, std::chrono::milliseconds(10));
  const std::lock_guard lock(observed_mutex_);
  if (!observed_.empty()) return std::chrono::milliseconds(0);
  if (timers_.empty()) return wait;
  const std::int64_t left = timers_.begin()->first - deps_.clock.now_ms();
  return std::min(wait, std::chrono::milliseconds(std::max<std::int64_t>(left, 0)));
}

// What was only heard is said again by who has said it. What others took back must not come again.
bool Loop::must_outlive(const Round& round) const {
  const bool has_heard = !round.bytes.empty() || !round.nodes_before.empty();
  return (deps_.role.keeps_what_it_hears && has_heard) || !round.cancelled.empty() ||
         !round.outdated.empty() || !aside_.empty() || (term_ != 0 && term_ != kept_term_) ||
         std::any_of(round.rows.begin(), round.rows.end(),
                     [](const auto& row) { return must_outlive_the_machine(row.second); });
}

state::Batch Loop::batch_of(Round& round) {
  state::Batch batch;
  for (const std::string& key : aside_) batch.erase(key);
  for (const auto& [uid, record] : round.edits) {
    std::string bytes = encode(record, wire::RecordIdentifier());
    const Records::AtRest* old = records_.at_rest(uid);
    if (old != nullptr && old->bytes == bytes) continue;
    batch.put("record/" + uid, bytes);
    round.bytes[uid] = std::move(bytes);
  }
  for (const std::string& uid : round.forgotten) batch.erase("record/" + uid);
  for (const auto& [name, before] : round.nodes_before) {
    wire::FactT fact;
    fact.name = fact.uid = name;
    fact.at_ms = round.now_ms;
    fact.body.Set(wire::NodeT(nodes_.at(name)));
    batch.put("node/" + name, encode(fact, wire::FactIdentifier()));
  }
  for (const std::string& name : round.forgotten_nodes) batch.erase("node/" + name);
  for (const auto& [key, row] : round.rows) batch.put(key, encode(row, wire::CommandIdentifier()));
  for (const std::string& key : done_) batch.erase(key);
  for (const std::string& key : round.outdated) batch.erase(key);
  for (const std::string& uid : round.cancelled)  // here: a crash must not bring them back
    for (const std::string& key : deps_.relay.queued_effects(uid)) batch.erase(key);
  batch.is_durable = must_outlive(round);
  return batch;
}

Status Loop::commit(Round& round) {
  std::erase_if(round.edits, [](const auto& edit) { return edit.second.uid.empty(); });
  state::Batch batch = batch_of(round);
  // A cursor that lags behind costs only that facts are read again.
  const bool is_cursor_old = round.cursor != kept_cursor_ && swept_ms_ == round.now_ms;
  if (term_ != 0 && term_ != kept_term_) batch.put("meta/term", std::to_string(term_));
  if (!batch.writes.empty() || is_cursor_old) {
    batch.put("meta/format", record_format);
    batch.put("meta/outbox", std::to_string(round.outbox));
    batch.put("meta/cursor", text_of(round.cursor));
    const Status done = deps_.store.commit(batch);  // the moment the facts have happened
    if (!done.ok()) {
      undo(round);
      return done;
    }
    kept_cursor_ = round.cursor;
    if (term_ != 0) kept_term_ = term_;
  }
  const bool begins = round.stage == Stage::acts && !is_acting();
  keep(round);
  for (const std::string& uid : round.cancelled) deps_.relay.cancel_effects(uid);
  if (!round.outdated.empty()) deps_.relay.forget(round.outdated);
  for (auto& [key, row] : round.rows) deps_.relay.add(std::move(key), std::move(row));
  for (const std::string& uid : round.ended) deps_.relay.hurry(uid);
  is_whole_ = is_whole_ || round.is_whole;
  if (stage_ != round.stage)
    log::debug(words_of(round.stage == Stage::acts, round.stage == Stage::lists));
  stage_ = round.stage;
  if (!begins) return ok();
  knows_its_word_ = true;
  deps_.relay.open();
  return ok();
}

// What was committed is what is known from here on.
void Loop::keep(Round& round) {
  cursor_ = round.cursor;
  done_.clear();
  aside_.clear();
  outbox_ = round.outbox;
  for (const std::string& uid : round.owed) owed_.erase(uid);
  const std::lock_guard records_lock(records_mutex_);
  for (const auto& [uid, record] : round.edits) round.decided.insert(uid);
  for (const std::string& uid : round.decided) {
    const Records::AtRest* known = records_.at_rest(uid);
    timers_.erase({known == nullptr ? 0 : known->wake_at_ms, uid});
    const std::int64_t after = peek(round, uid).wake_at_ms;
    if (after != 0) timers_.insert({after, uid});
  }
  for (auto& [uid, bytes] : round.bytes) records_.put(std::move(bytes), round.edits.at(uid));
  for (const std::string& uid : round.forgotten) {
    records_.erase(uid);
    owed_.erase(uid);
    quarantined_.erase(uid);
    account(uid, {});
  }
  for (const auto& [name, before] : round.nodes_before) {
    gone_nodes_.erase(name);
    if (!nodes_.at(name).exists) gone_nodes_[name] = round.now_ms;
  }
  for (const std::string& name : round.forgotten_nodes) {
    nodes_.erase(name);
    gone_nodes_.erase(name);
  }
  const std::lock_guard lock(observed_mutex_);
  observed_.erase(observed_.begin(), observed_.begin() + static_cast<long>(round.taken));
}
void Loop::undo(Round& round) {
  const std::lock_guard lock(records_mutex_);
  for (auto& [name, before] : round.nodes_before)
    if (before)
      nodes_[name] = std::move(*before);
    else
      nodes_.erase(name);
  for (const std::string& uid : round.decided) account(uid, peek(Round(), uid));
}
}  // namespace kairo::runtime
