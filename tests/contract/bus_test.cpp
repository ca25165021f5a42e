// What this proves: MemoryBus and NatsBus (on a real nats-server) keep the promises of bus.h, and
// NatsBus gets over a broker that is killed, wiped or stalled.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <thread>

#include "agents/bus/memory_bus.h"
#include "agents/bus/nats_bus.h"
#include "schemas/base/clock.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace std::chrono_literals;
namespace {
constexpr auto ack_wait = 400ms;
const SystemClock clock_now;

std::map<std::string, std::string> drain(bus::Bus& bus, bool ack,
                                         std::chrono::milliseconds patience = 300ms) {
  std::map<std::string, std::string> seen;  // subject -> bytes
  const std::int64_t deadline = clock_now.monotonic_ms() + patience.count();
  while (clock_now.monotonic_ms() < deadline) {
    auto got = bus.next(16, 50ms);
    if (!got.ok()) continue;
    for (const auto& d : got.value()) {
      seen[d.message.subject] = d.message.bytes;
      if (ack) CHECK(bus.ack(d.token).ok());
    }
  }
  return seen;
}
using Map = std::map<std::string, std::string>;

void publish_soon(bus::Bus& bus, const bus::Message& m) {  // a reconnect takes a moment
  for (int i = 0; i < 500; ++i) {
    if (bus.publish(m).ok()) return;
    std::this_thread::sleep_for(20ms);
  }
  FAIL("publish never succeeded: " << bus.publish(m).error().what);
}

// a and b: connections of two consumers of the same, empty bus
void contract(bus::Bus& a, bus::Bus& b) {
  publish_soon(a, {"kairo.facts.x.1", "id1", "one"});
  REQUIRE(a.publish({"kairo.facts.x.2", "id2", "two"}).ok());
  REQUIRE(a.publish({"kairo.facts.x.2", "id2", "two again"}).ok());  // same id: once
  CHECK(drain(a, true) == Map{{"kairo.facts.x.1", "one"}, {"kairo.facts.x.2", "two"}});
  CHECK(drain(a, true).empty());              // acked: not again
  CHECK(drain(b, false).size() == 2);         // every consumer gets all
  CHECK(drain(b, true, 1500ms).size() == 2);  // unacked: again
  CHECK(drain(b, true, 600ms).empty());

  REQUIRE(a.publish({"kairo.facts.x.1", "id3", "old"}).ok());
  REQUIRE(a.publish({"kairo.facts.x.1", "id4", "new"}).ok());
  CHECK(drain(b, true) == Map{{"kairo.facts.x.1", "new"}});  // the last value per subject stays
  CHECK(drain(a, true) == Map{{"kairo.facts.x.1", "new"}});

  REQUIRE(a.publish({"kairo.status.d.w", "", "for people"}).ok());  // not for agents
  CHECK(drain(a, true).empty());

  const std::string big(bus::message_bytes_max + 1, 'x');
  const Status refused = a.publish({"kairo.facts.x.9", "id9", big});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::invalid);
  const std::string fits(900'000, 'y');
  REQUIRE(a.publish({"kairo.facts.x.8", "id8", fits}).ok());
  CHECK(drain(b, true)["kairo.facts.x.8"].size() == fits.size());
  CHECK(drain(a, true).size() == 1);
  const auto incarnation = a.incarnation().value();
  REQUIRE(a.publish({"kairo.facts.x.3", "id5", "z"}).ok());
  CHECK(a.incarnation().value() == incarnation);
  CHECK(drain(a, true).size() == 1);
  CHECK(drain(b, true).size() == 1);
}

struct Broker {  // a real nats-server with file storage
  test::TempDir dir;
  int port = test::free_port();
  std::unique_ptr<test::Child> child;
  void start() {
    std::ofstream(dir.path + "/nats.conf")
        << "host: 127.0.0.1\nport: " << port << "\njetstream { store_dir: \"" << dir.path
        << "/js\" }\n";
    child = std::make_unique<test::Child>(
        std::vector<std::string>{"nats-server", "-c", dir.path + "/nats.conf"}, dir.path + "/log");
    REQUIRE(test::wait_for_port(port, 5000));
  }
  std::unique_ptr<bus::Bus> open(const std::string& consumer, bool admin) const {
    bus::NatsOptions options;
    options.url = "nats://127.0.0.1:" + std::to_string(port);
    options.consumer = consumer;
    options.admin = admin;
    options.consumers = {"a", "b"};
    options.ack_wait = ack_wait;
    return bus::open_nats_bus(options).value();
  }
};
bool no_server() {
  if (test::have_program("nats-server")) return false;
  MESSAGE("SKIP: nats-server is not installed");
  return true;
}
}  // namespace

TEST_CASE("bus: subject tokens keep names apart") {
  CHECK(bus::token("tune-me") == "tune-me");
  CHECK(bus::token("a.b") == "a_2eb");
  CHECK(bus::token("a_2eb") == "a_5f2eb");
  CHECK(bus::token("") == "_");
  CHECK(bus::token("*>") == "_2a_3e");
}
TEST_CASE("bus contract: memory") {
  bus::MemoryBroker broker(clock_now, ack_wait);
  bus::MemoryBus a(broker, "a"), b(broker, "b");
  contract(a, b);
}
TEST_CASE("bus contract: NATS") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open("a", true), b = broker.open("b", false);
  contract(*a, *b);
}
TEST_CASE("NATS: kill -9 and restart lose nothing acknowledged, and the pulls go on") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open("a", true), b = broker.open("b", false);
  publish_soon(*a, {"kairo.facts.k.0", "k0", "v"});
  CHECK(drain(*b, true).size() == 1);
  for (int round = 1; round <= 2; ++round) {
    const std::string n = std::to_string(round);
    REQUIRE(a->publish({"kairo.facts.k." + n, "k" + n, n}).ok());
    broker.child->kill_hard();
    CHECK_FALSE(a->publish({"kairo.facts.k.down", "down", ""}).ok());
    broker.start();
    CHECK(drain(*b, true, 2500ms).count("kairo.facts.k." + n) == 1);
    publish_soon(*a, {"kairo.facts.k.after" + n, "after" + n, "x"});
    CHECK(drain(*b, true, 1500ms).count("kairo.facts.k.after" + n) == 1);
  }
}
TEST_CASE("NATS: a wiped store shows in incarnation(), and the admin makes the streams anew") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open("a", true), b = broker.open("b", false);
  publish_soon(*a, {"kairo.facts.w.0", "w0", "v"});
  const auto before = a->incarnation().value();
  broker.child->kill_hard();
  std::filesystem::remove_all(broker.dir.path + "/js");
  broker.start();
  publish_soon(*a, {"kairo.facts.w.1", "w1", "v"});
  CHECK(a->incarnation().value() != before);
  CHECK(drain(*b, true, 2500ms) == Map{{"kairo.facts.w.1", "v"}});
}
TEST_CASE("NATS: a stalled broker makes calls fail, not hang; afterwards all goes on") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open("a", true), b = broker.open("b", false);
  publish_soon(*a, {"kairo.facts.s.0", "s0", "v"});
  CHECK(drain(*b, true).size() == 1);
  kill(broker.child->pid(), SIGSTOP);
  const std::int64_t began = clock_now.monotonic_ms();
  CHECK_FALSE(a->publish({"kairo.facts.s.1", "s1", "v"}).ok());
  CHECK(clock_now.monotonic_ms() - began < 10'000);
  kill(broker.child->pid(), SIGCONT);
  publish_soon(*a, {"kairo.facts.s.2", "s2", "v"});
  CHECK(drain(*b, true, 1500ms).count("kairo.facts.s.2") == 1);
}
