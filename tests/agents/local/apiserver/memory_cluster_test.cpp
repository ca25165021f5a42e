// What this proves: calls that come together share a sync; nobody is told of what is not on disk;
// when the disk refuses, all that waited for it hear so and none of it has happened.
#include "agents/local/apiserver/memory_cluster.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <map>
#include <vector>

#include "agents/cluster/json.h"
#include "agents/cluster/kinds.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
// A disk whose sync takes as long as the test wants.
class SlowDisk {
 public:
  Status keep(const Changes& changes) {
    std::unique_lock lock(mutex_);
    ++syncs_;
    news_.notify_all();
    news_.wait(lock, [&] { return permits_ > 0; });
    --permits_;
    if (is_full_) return Error{Code::unavailable, "disk full"};
    for (const auto& [key, value] : changes) {
      if (value)
        rows_[key] = *value;
      else
        rows_.erase(key);
    }
    return ok();
  }
  void wait_for_sync(int number) {  // until that many have begun
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return syncs_ >= number; });
  }
  void permit(int syncs, bool is_full = false) {
    const std::lock_guard lock(mutex_);
    permits_ += syncs;
    is_full_ = is_full;
    news_.notify_all();
  }
  int syncs() const {
    const std::lock_guard lock(mutex_);
    return syncs_;
  }
  std::vector<std::pair<std::string, std::string>> rows() const {
    const std::lock_guard lock(mutex_);
    return {rows_.begin(), rows_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable news_;
  int syncs_ = 0, permits_ = 0;
  bool is_full_ = false;
  std::map<std::string, std::string> rows_;
};
// A write asks for the time when it has the objects to itself: that it has come can be seen.
class AskedClock final : public Clock {
 public:
  std::int64_t now_ms() const override {
    ++asked_;
    asked_.notify_all();
    return real_.now_ms();
  }
  std::int64_t monotonic_ms() const override { return real_.monotonic_ms(); }
  void wait_for_writes(int number) const {  // since the beginning
    for (int seen = asked_; seen < number; seen = asked_) asked_.wait(seen);
  }

 private:
  const SystemClock real_;
  mutable std::atomic<int> asked_{0};
};
struct Desk {
  AskedClock clock;
  SlowDisk disk;
  MemoryCluster cluster{clock, "seed", [this](const Changes& c) { return disk.keep(c); }};
  std::vector<std::future<Status>> calls;

  static Ref named(const std::string& name) { return {config_maps, "default", name}; }
  Status apply(const std::string& name, const std::string& value = "1") {
    const Json body = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"data", {{"a", value}}}};
    const auto done = cluster.apply({named(name), body.dump(), "m", ""});
    return done.ok() ? ok() : Status(done.error());
  }
  void start(const std::string& name, const std::string& value = "1") {
    calls.push_back(
        std::async(std::launch::async, [this, name, value] { return apply(name, value); }));
  }
  int good() {
    int out = 0;
    for (auto& call : calls) out += call.get().ok() ? 1 : 0;
    calls.clear();
    return out;
  }
};
bool is_waiting(std::future<Result<std::string>>& call) {
  return call.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout;
}
}  // namespace

TEST_CASE("writers that come during a sync share the next one") {
  Desk desk;
  desk.start("first");
  desk.disk.wait_for_sync(1);
  for (int i = 0; i < 20; ++i) desk.start("c" + std::to_string(i));
  desk.clock.wait_for_writes(21);
  desk.disk.permit(2);
  CHECK(desk.good() == 21);
  CHECK(desk.disk.syncs() == 2);
  CHECK(desk.cluster.version() == 21);

  SystemClock clock;
  MemoryCluster again(clock, "seed");
  REQUIRE(again.load(desk.disk.rows()).ok());
  CHECK(again.version() == 21);
  CHECK(again.list({config_maps, "", ""}).value().items ==
        desk.cluster.list({config_maps, "", ""}).value().items);
}
TEST_CASE("nobody is told of what is not on disk yet") {
  Desk desk;
  desk.start("c");
  desk.disk.wait_for_sync(1);
  auto read = std::async(std::launch::async, [&] { return desk.cluster.get(Desk::named("c")); });
  CHECK(is_waiting(read));
  CHECK(desk.cluster.version() == 0);
  CHECK(desk.cluster.watch({config_maps, "", ""}, "0", 0).value().empty());
  desk.disk.permit(1);
  CHECK(desk.good() == 1);
  CHECK(read.get().ok());
  CHECK(desk.cluster.watch({config_maps, "", ""}, "0", 1000).value().size() == 1);
}
TEST_CASE("a disk that refuses: those that waited hear so, and nothing of it has happened") {
  Desk desk;
  desk.disk.permit(2);
  REQUIRE(desk.apply("stays", "before").ok());
  REQUIRE(desk.apply("goes").ok());
  desk.start("stays", "after");
  desk.disk.wait_for_sync(3);
  for (int i = 0; i < 5; ++i) desk.start("built-on-it-" + std::to_string(i));
  desk.calls.push_back(
      std::async(std::launch::async, [&] { return desk.cluster.remove(Desk::named("goes"), ""); }));
  auto read = std::async(std::launch::async, [&] { return desk.cluster.get(Desk::named("goes")); });
  desk.clock.wait_for_writes(9);
  desk.disk.permit(1, true);
  CHECK(desk.good() == 0);
  (void)read.get();
  desk.disk.permit(1000);
  CHECK(desk.cluster.version() == 2);
  CHECK(desk.cluster.watch({config_maps, "", ""}, "2", 0).value().empty());
  CHECK(desk.cluster.list({config_maps, "", ""}).value().items.size() == 2);
  const Json stays = Json::parse(desk.cluster.get(Desk::named("stays")).value());
  CHECK(stays["data"]["a"] == "before");
  CHECK(stays["metadata"]["resourceVersion"] == "1");
  REQUIRE(desk.apply("stays", "again").ok());
  CHECK(desk.cluster.version() == 3);
  CHECK(desk.cluster.watch({config_maps, "", ""}, "2", 0).value().size() == 1);
}
