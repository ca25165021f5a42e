// What this proves: MemoryBus and NatsBus (on a real nats-server) keep the promises of bus.h, and
// NatsBus gets over a broker that is killed, wiped or stalled.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "agents/bus/memory_bus.h"
#include "agents/bus/nats_bus.h"
#include "agents/runtime/loop.h"
#include "agents/runtime/record.h"
#include "schemas/base/base64.h"
#include "schemas/base/clock.h"
#include "schemas/base/codec.h"
#include "state/memory_store.h"
#include "tests/support/facts.h"
#include "tests/support/fake_clock.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace std::chrono_literals;
namespace {
const SystemClock clock_now;

std::map<std::string, std::string> drain(bus::Bus& bus,
                                         std::chrono::milliseconds patience = 300ms) {
  std::map<std::string, std::string> seen;  // subject -> bytes
  const std::int64_t deadline = clock_now.monotonic_ms() + patience.count();
  while (clock_now.monotonic_ms() < deadline) {
    const auto got = bus.next(16, 50ms);
    if (!got.ok()) continue;
    for (const auto& m : got.value().messages) seen[m.subject] = m.bytes;
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

// Takes until `count` subjects have been seen: as long as a slow machine needs.
Map take(bus::Bus& bus, std::size_t count) {
  Map seen;
  for (int i = 0; i < 400 && seen.size() < count; ++i) seen.merge(drain(bus, 50ms));
  return seen;
}
// Reads until the bus says that this is all; how many messages that were, and where they end.
std::pair<std::size_t, bus::Cursor> read_whole(bus::Bus& bus, std::size_t limit = 7) {
  std::size_t messages = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto got = bus.next(limit, 50ms);
    if (!got.ok()) continue;
    messages += got.value().messages.size();
    if (got.value().is_whole) return {messages, got.value().after};
  }
  FAIL("never whole");
  return {};
}

// a and b: two connections to the same, empty bus
void contract(bus::Bus& a, bus::Bus& b) {
  publish_soon(a, {"kairo.status.d.w", "", "for people"});  // not for agents
  CHECK(read_whole(b).first == 0);                            // nothing is there: that is all
  publish_soon(a, {"kairo.facts.x.1", "id1", "one"});
  REQUIRE(a.publish({"kairo.facts.x.2", "id2", "two"}).ok());
  REQUIRE(a.publish({"kairo.facts.x.2", "id2", "two again"}).ok());  // same id: once
  const Map both{{"kairo.facts.x.1", "one"}, {"kairo.facts.x.2", "two"}};
  CHECK(drain(a) == both);
  CHECK(drain(a).empty());  // read: not again
  CHECK(drain(b) == both);  // everybody hears all

  REQUIRE(a.publish({"kairo.facts.x.1", "id3", "old"}).ok());
  REQUIRE(a.publish({"kairo.facts.x.1", "id4", "new"}).ok());
  CHECK(drain(b) == Map{{"kairo.facts.x.1", "new"}});  // the last value per subject stays
  CHECK(drain(a) == Map{{"kairo.facts.x.1", "new"}});

  const std::string big(bus::message_bytes_max + 1, 'x');
  const Status refused = a.publish({"kairo.facts.x.9", "id9", big});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::invalid);
  const std::string fits(900'000, 'y');
  REQUIRE(a.publish({"kairo.facts.x.8", "id8", fits}).ok());
  CHECK(drain(b)["kairo.facts.x.8"].size() == fits.size());
  const auto incarnation = a.incarnation().value();
  REQUIRE(a.publish({"kairo.facts.x.3", "id5", "z"}).ok());
  CHECK(a.incarnation().value() == incarnation);
  CHECK(drain(a).size() == 2);
  CHECK(drain(b).size() == 1);
}
// From where a store left off, from nowhere, and from a cursor that the broker does not know.
void cursors(bus::Bus& a, bus::Bus& b) {
  constexpr std::size_t all = 1100, last = 3;
  const auto say = [&](std::size_t i) {
    publish_soon(a, {"kairo.facts.q." + std::to_string(i), "q" + std::to_string(i), "v"});
  };
  for (std::size_t i = 0; i < all; ++i) say(i);
  const auto [messages, cursor] = read_whole(b);
  CHECK(messages == all);
  for (std::size_t i = all; i < all + last; ++i) say(i);
  b.read_from(cursor);
  CHECK(read_whole(b).first == last);  // only what came since
  CHECK(drain(b).empty());
  b.read_from({});
  CHECK(read_whole(b).first == all + last);
  b.read_from({"another life", cursor.sequence, cursor.stamp});
  CHECK(read_whole(b).first == all + last);
  b.read_from({cursor.stream, cursor.sequence, cursor.stamp + 1});  // its number, another message
  CHECK(read_whole(b).first == all + last);
  publish_soon(a, {"kairo.facts.q." + std::to_string(all - 1), "again", "w"});
  b.read_from(cursor);  // its message has been replaced
  CHECK(read_whole(b).first == all + last);
  b.read_from({});  // somebody who reads a little and stops holds up nobody
  CHECK(b.next(1, 1000ms).value().messages.size() == 1);
  CHECK(read_whole(a).first == all + last);
}

// Two values of one subject, a broker that starts again, and both said again in their order. It
// knows the id of the newer one only, so the older one is new and the newer one a duplicate: the
// older one stays. Who says things again must leave out what is out of date: runtime::Relay does
// (tests/agents/runtime/relay_test.cpp).
void replay_after_restart(bus::Bus& a, bus::Bus& b, const std::function<void()>& restart) {
  const bus::Message older{"kairo.facts.r.1", "r-older", "older"},
      newer{"kairo.facts.r.1", "r-newer", "newer"};
  publish_soon(a, older);
  publish_soon(a, newer);
  CHECK(take(b, 1) == Map{{"kairo.facts.r.1", "newer"}});
  restart();
  publish_soon(a, newer);  // a duplicate; b may get the first one again
  for (const auto& [subject, bytes] : drain(b, 1000ms)) CHECK(bytes == "newer");
  publish_soon(a, older);
  publish_soon(a, newer);
  CHECK(take(b, 1) == Map{{"kairo.facts.r.1", "older"}});
  CHECK(drain(b, 1000ms).empty());
}

struct NoEffects final : runtime::Effects {
  Status perform(const wire::CommandT&) override { return ok(); }
};
// Bytes that nobody can read, short and as long as the bus takes: b's loop sends them to the dead
// letters and goes on. letter: the last one, "" while there is none.
void poison(bus::Bus& a, bus::Bus& b, const std::function<std::string()>& letter) {
  state::MemoryStore store;
  NoEffects effects;
  runtime::Relay relay({b, effects, clock_now, [](wire::FactT) {}});
  runtime::Loop loop(
      {"b",
       b,
       store,
       relay,
       clock_now,
       [](const wire::RecordT&, const runtime::View&) { return runtime::Decision{}; },
       {}});
  REQUIRE(loop.start().ok());
  const auto step_until = [&](const std::function<bool()>& done) {
    for (int i = 0; i < 400 && !done(); ++i) (void)loop.step(50ms);
    return done();
  };
  for (const std::size_t size : {std::size_t{20}, bus::message_bytes_max - 2000}) {
    const std::string n = std::to_string(size), subject = "kairo.facts.job.d.w." + n;
    publish_soon(a, {subject, "poison" + n, std::string(size, 'x')});
    CHECK(step_until([&] { return letter().find(subject + "\nxxx") != std::string::npos; }));
  }
  const wire::FactT good = test::fact(test::job(1));
  publish_soon(a, {runtime::subject_of(good), runtime::message_id_of(good),
                   encode(good, wire::FactIdentifier())});
  CHECK(step_until([&] { return loop.find("u1") != nullptr; }));
}

// One request to a nats-server in its own text protocol; the reply's payload.
std::string ask_nats(int port, const std::string& subject, const std::string& body) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  const std::string text = "CONNECT {\"verbose\":false}\r\nSUB reply 1\r\nPUB " + subject +
                           " reply " + std::to_string(body.size()) + "\r\n" + body + "\r\n";
  REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  std::string got, part(65536, '\0'), payload;
  for (ssize_t n = 1; payload.empty() && n > 0;) {
    n = read(fd, part.data(), part.size());
    if (n > 0) got.append(part, 0, static_cast<std::size_t>(n));
    const std::size_t head = got.find("MSG reply 1 "), from = got.find("\r\n", head);
    if (head == std::string::npos || from == std::string::npos) continue;
    const std::size_t size = std::strtoul(got.c_str() + head + 12, nullptr, 10);
    if (got.size() >= from + 2 + size) payload = got.substr(from + 2, size);
  }
  close(fd);
  return payload;
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
  std::string dead_letter() const {  // the last one of b
    const std::string reply =
        ask_nats(port, "$JS.API.STREAM.MSG.GET.KAIRO_DEAD", R"({"last_by_subj":"kairo.dead.b"})");
    const std::string key = "\"data\":\"";
    const std::size_t from = reply.find(key);
    if (from == std::string::npos) return {};
    const std::size_t begin = from + key.size();
    return base64_decode(reply.substr(begin, reply.find('"', begin) - begin)).value();
  }
  std::unique_ptr<bus::Bus> open(bool admin) const {
    bus::NatsOptions options;
    options.url = "nats://127.0.0.1:" + std::to_string(port);
    options.admin = admin;
    return bus::open_nats_bus(options).value();
  }
};
bool no_server() {
  if (test::have_program("nats-server")) return false;
  MESSAGE("SKIP: nats-server is not installed");
  return true;
}
// SIGSTOP, and until none of the threads runs any more: kill() returns before.
void stop_all_threads(pid_t pid) {
  kill(pid, SIGSTOP);
  for (bool all = false; !all;) {
    all = true;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
      std::string line;
      std::getline(std::ifstream(task.path() / "stat"), line);
      all = all && line.find(") T ") != std::string::npos;
    }
  }
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
  bus::MemoryBroker broker(clock_now);
  bus::MemoryBus a(broker), b(broker);
  contract(a, b);
}
TEST_CASE("bus contract: NATS") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  contract(*a, *b);
}
TEST_CASE("a reader goes on from its cursor, or reads all last values: memory") {
  bus::MemoryBroker broker(clock_now);
  bus::MemoryBus a(broker), b(broker);
  cursors(a, b);
}
TEST_CASE("a reader goes on from its cursor, or reads all last values: NATS") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  cursors(*a, *b);
}
TEST_CASE("poison ends in KAIRO_DEAD, and the loop goes on: memory") {
  bus::MemoryBroker broker(clock_now);
  bus::MemoryBus a(broker), b(broker);
  poison(a, b, [&] {
    const auto letters = broker.stored("kairo.dead.b");
    return letters.empty() ? std::string() : letters.back().bytes;
  });
}
TEST_CASE("poison ends in KAIRO_DEAD, and the loop goes on: NATS") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  poison(*a, *b, [&] { return broker.dead_letter(); });
}
TEST_CASE("memory: an id is known as long as NATS knows it, and no longer") {
  test::FakeClock clock;
  bus::MemoryBroker broker(clock);
  bus::MemoryBus bus(broker);
  const auto published = [&](const std::string& bytes) {
    REQUIRE(bus.publish({"kairo.facts.x.1", "id", bytes}).ok());
    return broker.stored("").back().bytes == bytes;
  };
  CHECK(published("one"));
  clock.advance(119'999);
  CHECK_FALSE(published("two"));
  clock.advance(1);
  CHECK(published("three"));
  clock.advance(119'999);
  CHECK_FALSE(published("four"));
}
TEST_CASE("what is said again after a restart: memory") {
  bus::MemoryBroker broker(clock_now);
  bus::MemoryBus a(broker), b(broker);
  replay_after_restart(a, b, [&] { broker.lose_tail(0); });
}
TEST_CASE("what is said again after a restart: NATS") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  replay_after_restart(*a, *b, [&] {
    broker.child->kill_hard();
    broker.start();
  });
}
TEST_CASE("NATS: kill -9 and restart lose nothing that was stored, and the reading goes on") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  publish_soon(*a, {"kairo.facts.k.0", "k0", "v"});
  CHECK(drain(*b).size() == 1);
  for (int round = 1; round <= 2; ++round) {
    const std::string n = std::to_string(round);
    REQUIRE(a->publish({"kairo.facts.k." + n, "k" + n, n}).ok());
    broker.child->kill_hard();
    CHECK_FALSE(a->publish({"kairo.facts.k.down", "down", ""}).ok());
    broker.start();
    CHECK(drain(*b, 2500ms).count("kairo.facts.k." + n) == 1);
    publish_soon(*a, {"kairo.facts.k.after" + n, "after" + n, "x"});
    CHECK(drain(*b, 1500ms).count("kairo.facts.k.after" + n) == 1);
  }
}
TEST_CASE("NATS: a wiped store shows in incarnation(), and the admin makes the streams anew") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  publish_soon(*a, {"kairo.facts.w.0", "w0", "v"});
  const auto before = a->incarnation().value();
  broker.child->kill_hard();
  std::filesystem::remove_all(broker.dir.path + "/js");
  broker.start();
  publish_soon(*a, {"kairo.facts.w.1", "w1", "v"});
  CHECK(a->incarnation().value() != before);
  CHECK(drain(*b, 2500ms) == Map{{"kairo.facts.w.1", "v"}});
}
TEST_CASE("NATS: a stalled broker makes calls fail, not hang; afterwards all goes on") {
  if (no_server()) return;
  Broker broker;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  publish_soon(*a, {"kairo.facts.s.0", "s0", "v"});
  CHECK(drain(*b).size() == 1);
  stop_all_threads(broker.child->pid());
  const std::int64_t began = clock_now.monotonic_ms();
  CHECK_FALSE(a->publish({"kairo.facts.s.1", "s1", "v"}).ok());
  CHECK(clock_now.monotonic_ms() - began < 10'000);
  kill(broker.child->pid(), SIGCONT);
  publish_soon(*a, {"kairo.facts.s.2", "s2", "v"});
  CHECK(drain(*b, 1500ms).count("kairo.facts.s.2") == 1);
}
