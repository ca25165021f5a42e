// agents/bus/memory_bus.cpp - last value per subject, at least once, in a few maps.
#include "agents/bus/memory_bus.h"

#include <algorithm>
#include <thread>

namespace kairo::bus {
void MemoryBroker::lose_tail(std::size_t messages) {
  const std::lock_guard lock(mutex_);
  ++incarnation_;
  for (; messages > 0 && !messages_.empty(); --messages) {
    const auto tail = std::prev(messages_.end());
    by_subject_.erase(tail->second.subject);
    ids_.erase(tail->second.id);
    last_ = tail->first - 1;
    messages_.erase(tail);
  }
  std::map<std::string, std::int64_t> still_known;  // of the messages that are stored
  for (const auto& [sequence, message] : messages_)
    if (const auto id = ids_.find(message.id); id != ids_.end()) still_known.insert(*id);
  ids_ = std::move(still_known);
  for (auto& [name, consumer] : consumers_) {
    consumer.delivered = std::min(consumer.delivered, last_);
    consumer.unacked.erase(consumer.unacked.upper_bound(last_), consumer.unacked.end());
  }
}
void MemoryBroker::wipe() {
  const std::lock_guard lock(mutex_);
  messages_.clear();
  by_subject_.clear();
  ids_.clear();
  ids_in_order_.clear();
  last_ = 0;
  ++incarnation_;
  for (auto& [name, consumer] : consumers_) consumer = {};
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
bool MemoryBroker::idle() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, consumer] : consumers_)
    if (!consumer.unacked.empty() || consumer.delivered < last_) return false;
  return true;
}
std::vector<Message> MemoryBroker::stored(const std::string& prefix) const {
  const std::lock_guard lock(mutex_);
  std::vector<Message> out;
  for (const auto& [sequence, message] : messages_)
    if (message.subject.starts_with(prefix)) out.push_back(message);
  return out;
}

MemoryBus::MemoryBus(MemoryBroker& broker, std::string consumer, std::string prefix)
    : broker_(broker), consumer_(std::move(consumer)), prefix_(std::move(prefix)) {
  const std::lock_guard lock(broker_.mutex_);
  auto& mine = broker_.consumers_[consumer_];
  // A new process of the same consumer: what was handed out and not acked comes again.
  for (auto& [sequence, due_ms] : mine.unacked) due_ms = 0;
}

Status MemoryBus::publish(const Message& message) {
  if (message.bytes.size() > message_bytes_max)
    return Error{Code::invalid, "publish " + message.subject + ": " +
                                    std::to_string(message.bytes.size()) + " bytes, at most " +
                                    std::to_string(message_bytes_max)};
  const std::lock_guard lock(broker_.mutex_);
  if (!message.id.empty() && broker_.is_repeated(message.id)) return ok();
  const std::uint64_t sequence = ++broker_.last_;
  if (const auto old = broker_.by_subject_.find(message.subject);
      old != broker_.by_subject_.end()) {
    broker_.messages_.erase(old->second);
    for (auto& [name, consumer] : broker_.consumers_) consumer.unacked.erase(old->second);
  }
  broker_.by_subject_[message.subject] = sequence;
  broker_.messages_[sequence] = message;
  return ok();
}

Result<std::vector<Delivery>> MemoryBus::next(std::size_t limit, std::chrono::milliseconds wait) {
  const std::int64_t deadline = broker_.clock_.monotonic_ms() + wait.count();
  std::vector<Delivery> out;
  for (;;) {
    {
      const std::lock_guard lock(broker_.mutex_);
      auto& mine = broker_.consumers_[consumer_];
      const std::int64_t now = broker_.clock_.monotonic_ms();
      const auto deliver = [&](std::uint64_t sequence, const Message& message) {
        mine.unacked[sequence] = now + broker_.ack_wait_.count();
        out.push_back({message, sequence});
      };
      for (auto& [sequence, due_ms] : mine.unacked) {
        if (out.size() == limit) break;
        if (due_ms <= now) deliver(sequence, broker_.messages_.at(sequence));
      }
      auto message = broker_.messages_.upper_bound(mine.delivered);
      const auto may_take = [&] {
        return out.size() < limit && mine.unacked.size() < broker_.ack_pending_max_;
      };
      for (; message != broker_.messages_.end() && may_take(); ++message) {
        mine.delivered = message->first;
        if (message->second.subject.starts_with(prefix_)) deliver(message->first, message->second);
      }
      if (message == broker_.messages_.end()) mine.delivered = broker_.last_;
    }
    if (!out.empty() || woken_.exchange(false) || broker_.clock_.monotonic_ms() >= deadline)
      return out;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Status MemoryBus::ack(std::uint64_t token) {
  const std::lock_guard lock(broker_.mutex_);
  broker_.consumers_[consumer_].unacked.erase(token);
  return ok();
}

Result<std::string> MemoryBus::incarnation() {
  const std::lock_guard lock(broker_.mutex_);
  return std::to_string(broker_.incarnation_);
}
}  // namespace kairo::bus
