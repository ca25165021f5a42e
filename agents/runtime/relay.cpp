// agents/runtime/relay.cpp - oldest row of each lane -> effect -> done.
#include "agents/runtime/relay.h"

#include <algorithm>

#include "agents/runtime/record.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
std::string lane_of(const wire::CommandT& command) {
  switch (command.body.type) {
    case wire::CommandBody::Publish:
      return command.uid + "/facts";
    case wire::CommandBody::PatchStatus:
    case wire::CommandBody::AnnounceStatus:
      return command.uid + "/status";  // told whatever becomes of the rest
    case wire::CommandBody::NONE:
    case wire::CommandBody::SetFinalizer:
    case wire::CommandBody::SaveRevision:
    case wire::CommandBody::ApplyTuning:
    case wire::CommandBody::ApplyInference:
    case wire::CommandBody::RemoveWorkload:
    case wire::CommandBody::ReleaseRun:
    case wire::CommandBody::PrepareRun:
    case wire::CommandBody::RemoveRun:
    case wire::CommandBody::CheckArtifact:
    case wire::CommandBody::PushImage:
    case wire::CommandBody::CheckPush:
    case wire::CommandBody::BuyNode:
    case wire::CommandBody::GiveUpNodes:
    case wire::CommandBody::LabelNode:
    case wire::CommandBody::ExplainEnd:
    case wire::CommandBody::PushCheckpoint:
    case wire::CommandBody::DropCheckpoint:
    case wire::CommandBody::MakeVolume:
    case wire::CommandBody::ServeAdapters:
      break;
  }
  return command.uid + "/effects";
}
}  // namespace

std::int64_t backoff_ms(std::uint32_t attempt) {
  std::int64_t wait = backoff_first_ms;
  for (std::uint32_t i = 1; i < attempt && wait < backoff_max_ms; ++i) wait *= 2;
  return std::min(wait, backoff_max_ms);
}

Status Relay::load(const state::Store& store) {
  std::string after;
  for (;;) {
    const state::Rows rows = TRY(store.scan("outbox/", after, 256));
    if (rows.empty()) return ok();
    for (const auto& [key, bytes] : rows) {
      add(key, TRY(decode<wire::CommandT>(bytes, wire::CommandIdentifier())));
      after = key;
    }
  }
}

std::vector<std::string> Relay::rows_that(
    const std::function<bool(const wire::CommandT&)>& are) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  for (const auto& [name, lane] : lanes_)
    for (const Row& row : lane.rows)
      if (are(row.command)) keys.push_back(row.key);
  return keys;
}
void Relay::forget(const std::vector<std::string>& keys) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, lane] : lanes_)
    std::erase_if(lane.rows, [&](const Row& row) {
      return std::find(keys.begin(), keys.end(), row.key) != keys.end();
    });
  std::erase_if(lanes_, [](const auto& lane) { return lane.second.rows.empty(); });
}
void Relay::open() {
  const std::lock_guard lock(mutex_);
  is_open_ = true;
  news_.notify_all();
}

void Relay::add(std::string key, wire::CommandT command) {
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_[lane_of(command)];
  if (!command.coalesce.empty()) {  // what waits for the same purpose is out of date
    const auto first = lane.rows.begin() + (lane.busy ? 1 : 0);
    const auto stale = std::stable_partition(first, lane.rows.end(), [&](const Row& row) {
      return row.command.coalesce != command.coalesce;
    });
    for (auto row = stale; row != lane.rows.end(); ++row) done_.push_back(row->key);
    if (stale == lane.rows.begin()) lane.not_before_ms = 0;  // the one that was failing is gone
    lane.rows.erase(stale, lane.rows.end());
  }
  lane.rows.push_back({std::move(key), std::move(command)});
  news_.notify_one();
}

void Relay::wait(std::chrono::milliseconds longest) const {
  std::unique_lock lock(mutex_);
  const std::int64_t due = next_due_ms();
  if (due == 0) return;
  if (due > 0) longest = std::min(longest, std::chrono::milliseconds(due));
  news_.wait_for(lock, longest);
}

std::vector<std::string> Relay::queued_effects(const std::string& uid) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  const auto found = lanes_.find(uid + "/effects");
  if (found == lanes_.end()) return keys;
  const auto first = found->second.rows.begin() + (found->second.busy ? 1 : 0);
  for (auto row = first; row != found->second.rows.end(); ++row) keys.push_back(row->key);
  return keys;
}

void Relay::cancel_effects(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(uid + "/effects");
  if (found == lanes_.end()) return;
  Lane& lane = found->second;
  const auto first = lane.rows.begin() + (lane.busy ? 1 : 0);
  for (auto row = first; row != lane.rows.end(); ++row) done_.push_back(row->key);
  lane.rows.erase(first, lane.rows.end());
  lane.not_before_ms = 0;
  if (lane.rows.empty()) lanes_.erase(found);
}

void Relay::hurry(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(uid + "/effects");
  if (found == lanes_.end()) return;
  found->second.not_before_ms = 0;
  news_.notify_one();
}

Status Relay::perform(const wire::CommandT& command) {
  if (command.body.type == wire::CommandBody::Publish) {
    const wire::FactT& fact = *command.body.AsPublish()->fact;
    return deps_.bus.publish(
        {subject_of(fact), message_id_of(fact), encode(fact, wire::FactIdentifier())});
  }
  try {
    return deps_.effects.perform(command);
  } catch (const std::exception& error) {  // of a library, over bytes that nobody foresaw
    return Error{Code::unavailable, std::string("internal error: ") + error.what()};
  }
}

bool Relay::step() {
  Row row;
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (!may_perform()) return false;
    const std::int64_t now = deps_.clock.monotonic_ms();
    const auto due = [&](const auto& entry) {
      return !entry.second.busy && !entry.second.rows.empty() && entry.second.not_before_ms <= now;
    };
    auto lane = std::find_if(lanes_.upper_bound(last_lane_), lanes_.end(), due);
    if (lane == lanes_.end()) lane = std::find_if(lanes_.begin(), lanes_.end(), due);
    if (lane == lanes_.end()) return false;
    lane->second.busy = true;
    last_lane_ = name = lane->first;
    row = lane->second.rows.front();
  }
  const Status result = perform(row.command);
  const bool is_pending = !result.ok() && result.error().code == Code::pending;
  const std::uint32_t attempt = row.failures + (result.ok() || is_pending ? 0 : 1);
  // Before the row is done: its erasure must not be committed without the word about it.
  if (attempt > 0) tell(row.command, is_pending ? ok() : result, attempt);
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_.at(name);
  lane.busy = false;
  ++performed_;
  if (result.ok() || result.error().code == Code::invalid) {
    done_.push_back(row.key);
    lane.rows.pop_front();
    lane.not_before_ms = 0;
    if (lane.rows.empty()) lanes_.erase(name);
  } else {
    lane.rows.front().failures = is_pending ? 0 : attempt;
    lane.not_before_ms =
        deps_.clock.monotonic_ms() + (is_pending ? pending_ms : backoff_ms(attempt));
  }
  return true;
}

void Relay::tell(const wire::CommandT& command, const Status& result, std::uint32_t attempt) {
  const std::string kind = kind_of(command.body.type);
  if (!result.ok())
    log::warn("effect failed", {{"command", kind},
                                {"workspace", command.ns + "/" + command.name},
                                {"attempt", std::to_string(attempt)},
                                {"error", result.error().what}});
  if (command.body.type == wire::CommandBody::Publish) return;  // the bus's own business
  wire::TroubleT trouble;
  trouble.command = kind;
  trouble.revision = command.revision;
  trouble.attempt = attempt;
  if (!result.ok()) {
    trouble.code = static_cast<std::uint8_t>(result.error().code);
    trouble.what = result.error().what;
  }
  deps_.report(fact_about(command, std::move(trouble)));
}

std::int64_t Relay::due_in_ms() const {
  const std::lock_guard lock(mutex_);
  return next_due_ms();
}
bool Relay::may_perform() const {
  return is_open_ && (deps_.tenure == nullptr || deps_.tenure->term() != 0);
}
std::int64_t Relay::next_due_ms() const {
  const std::int64_t now = deps_.clock.monotonic_ms();
  std::int64_t best = -1;
  if (!may_perform()) return best;
  for (const auto& [name, lane] : lanes_) {
    if (lane.busy || lane.rows.empty()) continue;
    const std::int64_t left = std::max<std::int64_t>(lane.not_before_ms - now, 0);
    if (best < 0 || left < best) best = left;
  }
  return best;
}
std::vector<std::string> Relay::take_done() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}
std::size_t Relay::waiting() const {
  const std::lock_guard lock(mutex_);
  std::size_t rows = 0;
  for (const auto& [name, lane] : lanes_) rows += lane.rows.size();
  return rows;
}
std::uint64_t Relay::performed() const {
  const std::lock_guard lock(mutex_);
  return performed_;
}
}  // namespace kairo::runtime
