// agents/bus/memory_bus.cpp - last value per subject, in a few maps.
#include "agents/bus/memory_bus.h"

#include <algorithm>
#include <thread>

namespace kairo::bus {
void MemoryBroker::lose_tail(std::size_t messages) {
  const std::lock_guard lock(mutex_);
  ++starts_;
  for (; messages > 0 && !messages_.empty(); --messages) {
    const auto tail = std::prev(messages_.end());
    by_subject_.erase(tail->second.message.subject);
    ids_.erase(tail->second.message.id);
    last_ = tail->first - 1;
    messages_.erase(tail);
  }
  std::map<std::string, std::int64_t> still_known;  // of the messages that are stored
  for (const auto& [sequence, stored] : messages_)
    if (const auto id = ids_.find(stored.message.id); id != ids_.end()) still_known.insert(*id);
  ids_ = std::move(still_known);
}
void MemoryBroker::wipe() {
  const std::lock_guard lock(mutex_);
  messages_.clear();
  by_subject_.clear();
  ids_.clear();
  ids_in_order_.clear();
  last_ = 0;
  ++starts_;
  ++life_;
}
// Published before, within the window. Else it is noted, and what is older than the window
// forgotten.
bool MemoryBroker::is_repeated(const std::string& id) {
  const std::int64_t now = clock_.monotonic_ms(), oldest = now - duplicate_window.count();
  for (; !ids_in_order_.empty() && ids_in_order_.front().first <= oldest;
       ids_in_order_.pop_front()) {
    const auto& [at_ms, old] = ids_in_order_.front();
    if (const auto known = ids_.find(old); known != ids_.end() && known->second == at_ms)
      ids_.erase(known);
  }
  if (!ids_.emplace(id, now).second) return true;
  ids_in_order_.emplace_back(now, id);
  return false;
}
std::vector<Message> MemoryBroker::stored(const std::string& prefix) const {
  const std::lock_guard lock(mutex_);
  std::vector<Message> out;
  for (const auto& [sequence, stored] : messages_)
    if (stored.message.subject.starts_with(prefix)) out.push_back(stored.message);
  return out;
}

Status MemoryBus::publish(const std::vector<Message>& messages) {
  for (const Message& message : messages) TRY(check_size(message));
  for (const Message& message : messages) TRY(publish(message));
  return ok();
}
Status MemoryBus::publish(const Message& message) {
  TRY(check_size(message));
  const std::lock_guard lock(broker_.mutex_);
  if (!message.id.empty() && broker_.is_repeated(message.id)) return ok();
  const std::uint64_t sequence = ++broker_.last_;
  if (const auto old = broker_.by_subject_.find(message.subject); old != broker_.by_subject_.end())
    broker_.messages_.erase(old->second);
  broker_.by_subject_[message.subject] = sequence;
  broker_.messages_[sequence] = {message, ++broker_.stamps_};
  return ok();
}

void MemoryBus::read_from(Cursor cursor) {
  const std::lock_guard lock(broker_.mutex_);
  cursor_ = std::move(cursor);
  connected_ = 0;
}
void MemoryBus::connect() {
  if (connected_ == broker_.starts_) return;
  connected_ = broker_.starts_;
  whole_at_ = broker_.last_;
  const std::string life = std::to_string(broker_.life_);
  const auto last = broker_.messages_.find(cursor_.sequence);
  const bool goes_on = cursor_.stream == life && last != broker_.messages_.end() &&
                       last->second.stamp == cursor_.stamp;
  if (!goes_on) cursor_ = {life, 0, 0};
  is_news_ = goes_on;
}

Result<Batch> MemoryBus::next(std::size_t limit, std::chrono::milliseconds wait) {
  const std::int64_t deadline = broker_.clock_.monotonic_ms() + wait.count();
  Batch out;
  for (;;) {
    {
      const std::lock_guard lock(broker_.mutex_);
      connect();
      auto at = broker_.messages_.upper_bound(cursor_.sequence);
      is_news_ = is_news_ || at == broker_.messages_.end() || at->first > whole_at_;
      out.is_news = is_news_;
      for (; at != broker_.messages_.end() && out.messages.size() < limit; ++at) {
        if (!out.is_news && at->first > whole_at_) break;  // these are news, in the next batch
        cursor_ = {cursor_.stream, at->first, at->second.stamp};
        if (at->second.message.subject.starts_with(prefix_))
          out.messages.push_back(at->second.message);
      }
      out.after = cursor_;
      out.is_whole = at == broker_.messages_.end() || at->first > whole_at_;
    }
    if (!out.messages.empty() || woken_.exchange(false) ||
        broker_.clock_.monotonic_ms() >= deadline)
      return out;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Result<std::string> MemoryBus::incarnation() {
  const std::lock_guard lock(broker_.mutex_);
  return std::to_string(broker_.life_) + "/" + std::to_string(broker_.starts_);
}
}  // namespace kairo::bus
