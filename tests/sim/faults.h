// tests/sim/faults.h - the ports, made unreliable by one seed: errors, crashes at every boundary of
// batch and effect, lost acks of the broker, stale reads, late watches. Every
// call is written into the journal.
#pragma once
#include <functional>
#include <map>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "agents/runtime/agent.h"
#include "agents/runtime/record.h"
#include "state/store.h"
#include "tests/sim/dice.h"

namespace kairo::sim {
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
    dice_.crash("before batch", 60);
    if (dice_.fault(40)) return Error{Code::unavailable, "disk busy"};
    for (const auto& [key, value] : batch.writes) dice_.journal.note(key, value.value_or("gone"));
    const Status done = inner_.commit(batch);
    dice_.crash("after batch", 60);  // all written, nobody told
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
    const Doing doing(dice_, dice_.doing == "relay" ? "Publish" : std::string(dice_.doing));
    dice_.crash("before", 60);
    if (dice_.fault(20)) return Error{Code::unavailable, "not connected"};
    dice_.journal.note("publish " + message.subject, message.bytes);
    TRY(inner_.publish(message));
    dice_.crash("after", 60);
    if (dice_.fault(30)) return Error{Code::unavailable, "the ack was lost"};
    return ok();
  }
  Status publish(const std::vector<bus::Message>& messages) override {
    for (const bus::Message& message : messages) TRY(publish(message));
    return ok();
  }
  void read_from(bus::Cursor cursor) override { inner_.read_from(std::move(cursor)); }
  Result<bus::Batch> next(std::size_t limit, std::chrono::milliseconds wait) override {
    if (dice_.fault(30)) return Error{Code::unavailable, "not connected"};
    if (dice_.fault(60)) inner_.read_from({});        // a break: all last values again
    if (dice_.fault(4)) return inner_.next(0, wait);  // late
    bus::Batch got = TRY(inner_.next(dice_.healed ? limit : 1 + dice_.below(4), wait));
    for (const bus::Message& message : got.messages)
      dice_.journal.note("deliver " + message.subject, message.id);
    return got;
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

class FaultyEffects final : public runtime::Effects {
 public:
  FaultyEffects(std::unique_ptr<runtime::Effects> inner, Dice& dice)
      : inner_(std::move(inner)), dice_(dice) {}
  Status perform(const wire::CommandT& command) override {
    const Doing doing(dice_, runtime::kind_of(command.body.type));
    dice_.crash("before", 50);
    const Status done = inner_->perform(command);
    dice_.journal.note("effect " + dice_.doing + " " + command.name + " " + command.revision,
                       done.ok() ? "done" : done.error().what);
    dice_.crash("after", 50);  // done, but nobody wrote it down
    if (dice_.fault(40)) return Error{Code::unavailable, "the answer was lost"};
    return done;
  }

 private:
  std::unique_ptr<runtime::Effects> inner_;
  Dice& dice_;
};

// What an agent's machine has seen of the API server; outlives its processes.
struct Seen {
  std::map<cluster::Ref, std::string> objects;
};
using Applied = std::function<void(const cluster::Apply& apply, const std::string& object)>;

class FaultyCluster final : public cluster::Cluster {
 public:
  FaultyCluster(cluster::Cluster& inner, Dice& dice, Seen& seen, const Applied& applied)
      : inner_(inner), dice_(dice), seen_(seen), applied_(applied) {}
  Result<std::string> apply(const cluster::Apply& apply) override {
    TRY(before());
    const auto result = inner_.apply(apply);
    dice_.journal.note("apply " + apply.ref.name + " " + apply.subresource, apply.json);
    if (result.ok()) {
      applied_(apply, result.value());
      seen_.objects[apply.ref] = result.value();
    }
    TRY(after());
    return result;
  }
  Result<std::string> create(const cluster::Apply& object) override {
    TRY(before());
    const auto result = inner_.create(object);
    dice_.journal.note("create " + object.ref.name, object.json);
    if (result.ok()) {
      applied_(object, result.value());
      seen_.objects[object.ref] = result.value();
    }
    TRY(after());
    return result;
  }
  Result<std::string> patch(const cluster::Patch& patch) override {
    TRY(before());
    const auto result = inner_.patch(patch);
    dice_.journal.note("patch " + patch.ref.name + " " + patch.subresource, patch.json);
    if (result.ok()) {
      applied_({patch.ref, patch.json, "", patch.subresource}, result.value());
      seen_.objects[patch.ref] = result.value();
    }
    TRY(after());
    return result;
  }
  // May be older than the cluster, never older than this machine's own writes and reads.
  Result<std::string> get(const cluster::Ref& ref) override {
    TRY(before());
    const auto result = inner_.get(ref);
    const auto old = seen_.objects.find(ref);
    if (old != seen_.objects.end() && dice_.fault(8)) return old->second;  // a stale cache answers
    if (result.ok()) seen_.objects[ref] = result.value();
    return result;
  }
  // A list without a resourceVersion is a consistent read, as on a real API server.
  Result<cluster::Listing> list(const cluster::Selection& selection) override {
    TRY(before());
    const cluster::Listing listing = TRY(inner_.list(selection));
    dice_.journal.note("list " + selection.kind.kind, listing.resource_version);
    return listing;
  }
  Result<std::vector<cluster::Event>> watch(const cluster::Selection& selection,
                                            const std::string& version,
                                            std::int64_t wait_ms) override {
    if (dice_.fault(40)) return Error{Code::expired, "too old resource version"};
    TRY(before());
    if (dice_.fault(6)) return std::vector<cluster::Event>();  // late
    std::vector<cluster::Event> events = TRY(inner_.watch(selection, version, wait_ms));
    if (!events.empty() && dice_.fault(4)) events.resize(1 + dice_.below(events.size()));
    if (!events.empty()) {
      dice_.journal.note("watch " + selection.kind.kind, events.back().object);
    }
    return events;
  }
  Status remove(const cluster::Ref& ref, const std::string& uid) override {
    TRY(before());
    const Status result = inner_.remove(ref, uid);
    seen_.objects.erase(ref);
    dice_.journal.note("remove " + ref.kind.kind, ref.name);
    TRY(after());
    return result;
  }
  Result<std::string> log(const cluster::Ref& pod, const std::string& container,
                          std::uint64_t offset) override {
    return inner_.log(pod, container, offset);
  }

 private:
  Status before() {
    dice_.crash("inside", 80);
    if (dice_.fault(15)) return Error{Code::unavailable, "apiserver: 503"};
    return ok();
  }
  Status after() {
    dice_.crash("inside", 80);
    if (dice_.fault(30)) return Error{Code::unavailable, "timeout after send"};
    return ok();
  }
  cluster::Cluster& inner_;
  Dice& dice_;
  Seen& seen_;
  const Applied& applied_;
};
}  // namespace kairo::sim
