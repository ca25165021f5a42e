// tests/contract/nats_broker.h - real nats-servers for the bus' tests, and what both tests ask a
// bus.
#pragma once
#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "agents/bus/nats_bus.h"
#include "schemas/base/clock.h"
#include "tests/support/servers.h"

namespace kairo::test {
inline const SystemClock clock_now;
// Debian's, that users have by `make deps`; and the newest release: users bring their own.
struct InstalledNats {
  static std::string program();  // "" where there is none, and a line that begins with SKIP
};
struct NewestNats {
  static std::string program();
};
struct Broker {  // with file storage; ended by its destructor
  explicit Broker(std::string nats_server) : program(std::move(nats_server)) {}
  void start();
  void run(const std::string& config);  // a file, for this port
  // One request in NATS' own text protocol; the reply's payload.
  std::string ask(const std::string& subject, const std::string& body = "") const;
  std::string connections() const;  // and their subscriptions: what its monitoring says, in JSON
  std::string dead_letter() const;  // the last one of b
  std::unique_ptr<bus::Bus> open(bool admin, const bus::Names& names = {},
                                 const std::string& client = "",
                                 const std::string& reads = "kairo.facts.>") const;
  std::string program;
  TempDir dir;
  int port = free_port(), monitoring = free_port();
  std::unique_ptr<Child> child;
};

using Map = std::map<std::string, std::string>;  // subject -> bytes
// What comes within `patience`.
Map drain(bus::Bus& bus, std::chrono::milliseconds patience = std::chrono::milliseconds(300));
// Until `count` subjects have been seen: as long as a slow machine needs.
Map take(bus::Bus& bus, std::size_t count);
void publish_soon(bus::Bus& bus, const bus::Message& m);  // a reconnect takes a moment
// Reads until the bus says that this is all; how many messages that were, and where they end.
std::pair<std::size_t, bus::Cursor> read_whole(bus::Bus& bus, std::size_t limit = 7);
}  // namespace kairo::test
