// tests/sim/faults.h - the ports, made unreliable by one seed: errors, crashes at every effect
// boundary, lost acks, reordered deliveries, stale reads.
#pragma once
#include <algorithm>
#include <map>
#include <random>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "state/store.h"

namespace kairo::sim {
struct Crash {};  // the process dies here

struct Dice {
  std::mt19937_64 rng;
  bool healed = false;  // the last act: the world has become reliable
  bool fault(unsigned one_in) { return !healed && rng() % one_in == 0; }
  std::uint64_t below(std::uint64_t n) { return rng() % n; }
};

class FaultyStore final : public state::Store {
 public:
  FaultyStore(state::Store& inner, Dice& dice) : inner_(inner), dice_(dice) {}
  Result<std::optional<std::string>> get(const std::string& key) const override {
    return inner_.get(key);
  }
  Result<state::Rows> scan(const std::string& prefix, const std::string& after,
                           std::size_t limit) const override {
    return inner_.scan(prefix, after, limit);
  }
  Status commit(const state::Batch& batch) override {
    if (dice_.fault(60)) throw Crash{};
    if (dice_.fault(40)) return Error{Code::unavailable, "disk busy"};
    const Status done = inner_.commit(batch);
    if (dice_.fault(60)) throw Crash{};  // all written, nobody told
    return done;
  }

 private:
  state::Store& inner_;
  Dice& dice_;
};

class FaultyBus final : public bus::Bus {
 public:
  FaultyBus(bus::Bus& inner, Dice& dice) : inner_(inner), dice_(dice) {}
  Status publish(const bus::Message& message) override {
    if (dice_.fault(60)) throw Crash{};
    if (dice_.fault(20)) return Error{Code::unavailable, "not connected"};
    TRY(inner_.publish(message));
    if (dice_.fault(60)) throw Crash{};
    if (dice_.fault(30)) return Error{Code::unavailable, "the ack was lost"};
    return ok();
  }
  Result<std::vector<bus::Delivery>> next(std::size_t limit,
                                          std::chrono::milliseconds wait) override {
    if (dice_.fault(30)) return Error{Code::unavailable, "not connected"};
    if (dice_.fault(4)) return std::vector<bus::Delivery>();  // late
    auto got = inner_.next(dice_.healed ? limit : 1 + dice_.below(4), wait);
    if (got.ok() && dice_.fault(3)) {
      auto shuffled = std::move(got).value();
      std::shuffle(shuffled.begin(), shuffled.end(), dice_.rng);
      return shuffled;
    }
    return got;
  }
  Status ack(std::uint64_t token) override {
    if (dice_.fault(10)) return ok();  // lost on the way: it comes again
    return inner_.ack(token);
  }
  void wake() override { inner_.wake(); }
  Result<std::string> incarnation() override {
    if (dice_.fault(20)) return Error{Code::unavailable, "not connected"};
    return inner_.incarnation();
  }

 private:
  bus::Bus& inner_;
  Dice& dice_;
};

class FaultyCluster final : public cluster::Cluster {
 public:
  FaultyCluster(cluster::Cluster& inner, Dice& dice) : inner_(inner), dice_(dice) {}
  Result<std::string> apply(const cluster::Apply& apply) override {
    TRY(before());
    const auto result = inner_.apply(apply);
    TRY(after());
    return result;
  }
  Result<std::string> get(const cluster::Ref& ref) override {
    TRY(before());
    const auto result = inner_.get(ref);
    const auto old = seen_.find(ref);
    if (old != seen_.end() && dice_.fault(8)) return old->second;  // a stale cache answers
    if (result.ok()) seen_[ref] = result.value();
    return result;
  }
  Result<cluster::Listing> list(const cluster::Selection& selection) override {
    TRY(before());
    return inner_.list(selection);
  }
  Result<std::vector<cluster::Event>> watch(const cluster::Selection& selection,
                                            const std::string& version,
                                            std::int64_t wait_ms) override {
    if (dice_.fault(40)) return Error{Code::not_found, "too old resource version"};
    TRY(before());
    return inner_.watch(selection, version, wait_ms);
  }
  Status remove(const cluster::Ref& ref, const std::string& uid) override {
    TRY(before());
    const Status result = inner_.remove(ref, uid);
    TRY(after());
    return result;
  }
  Result<std::string> log(const cluster::Ref& pod, const std::string& container,
                          std::uint64_t offset) override {
    return inner_.log(pod, container, offset);
  }

 private:
  Status before() {
    if (dice_.fault(80)) throw Crash{};
    if (dice_.fault(15)) return Error{Code::unavailable, "apiserver: 503"};
    return ok();
  }
  Status after() {
    if (dice_.fault(80)) throw Crash{};  // done, but nobody wrote it down
    if (dice_.fault(30)) return Error{Code::unavailable, "timeout after send"};
    return ok();
  }
  cluster::Cluster& inner_;
  Dice& dice_;
  std::map<cluster::Ref, std::string> seen_;
};
}  // namespace kairo::sim
