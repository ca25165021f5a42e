// tests/contract/nats_broker.cpp - nats-servers by file and port; requests by hand.
#include "tests/contract/nats_broker.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <thread>

#include "agents/cli/find_program.h"
#include "schemas/base/base64.h"
#include "schemas/base/clock.h"

namespace kairo::test {
namespace {
using namespace std::chrono_literals;

// What a server on loopback says to `text`, up to where `is_whole` is content or it hangs up.
template <class Whole>
std::string talk(int port, const std::string& text, Whole is_whole) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  std::string got, part(65536, '\0');
  for (ssize_t n = 1; n > 0 && !is_whole(got);) {
    n = read(fd, part.data(), part.size());
    if (n > 0) got.append(part, 0, static_cast<std::size_t>(n));
  }
  close(fd);
  return got;
}
}  // namespace

std::string InstalledNats::program() {
  const std::string found = cli::find_program("nats-server");
  if (found.empty()) MESSAGE("SKIP: nats-server is not installed");
  return found;
}
std::string NewestNats::program() {
  std::array<char, 4096> line{};
  FILE* said = popen("bash " KAIRO_SOURCE_DIR "/deploy/setup/nats.sh --check", "r");
  REQUIRE(said != nullptr);
  std::string text = fgets(line.data(), line.size(), said) != nullptr ? line.data() : "";
  if (pclose(said) == 0) return text.substr(0, text.find('\n'));
  MESSAGE(text.substr(0, text.find('\n')));  // begins with SKIP
  return "";
}

void Broker::start() {
  std::ofstream(dir.path + "/nats.conf")
      << "host: 127.0.0.1\nport: " << port << "\nhttp: \"127.0.0.1:" << monitoring
      << "\"\njetstream { store_dir: \"" << dir.path << "/js\" }\n";
  run(dir.path + "/nats.conf");
}
void Broker::run(const std::string& config) {
  child =
      std::make_unique<Child>(std::vector<std::string>{program, "-c", config}, dir.path + "/log");
  REQUIRE(wait_for_port(port, 5000));
}
std::string Broker::ask(const std::string& subject, const std::string& body) const {
  std::string payload;
  talk(port,
       "CONNECT {\"verbose\":false}\r\nSUB reply 1\r\nPUB " + subject + " reply " +
           std::to_string(body.size()) + "\r\n" + body + "\r\n",
       [&](const std::string& got) {
         const std::size_t head = got.find("MSG reply 1 "), from = got.find("\r\n", head);
         if (head == std::string::npos || from == std::string::npos) return false;
         const std::size_t size = std::strtoul(got.c_str() + head + 12, nullptr, 10);
         if (got.size() >= from + 2 + size) payload = got.substr(from + 2, size);
         return !payload.empty();
       });
  return payload;
}
std::string Broker::connections() const {
  return talk(monitoring, "GET /connz?subs=1 HTTP/1.0\r\n\r\n",
              [](const std::string&) { return false; });
}
std::string Broker::dead_letter() const {
  const std::string reply =
      ask("$JS.API.STREAM.MSG.GET.KAIRO_DEAD", R"({"last_by_subj":"kairo.dead.b"})");
  const std::string key = "\"data\":\"";
  const std::size_t from = reply.find(key);
  if (from == std::string::npos) return {};
  const std::size_t begin = from + key.size();
  return base64_decode(reply.substr(begin, reply.find('"', begin) - begin)).value();
}
std::unique_ptr<bus::Bus> Broker::open(bool admin, const bus::Names& names,
                                       const std::string& client, const std::string& reads) const {
  bus::NatsOptions options;
  options.url = "nats://127.0.0.1:" + std::to_string(port);
  options.admin = admin;
  options.names = names;
  options.client = client;
  options.reads = reads;
  return bus::open_nats_bus(options).value();
}

Map drain(bus::Bus& bus, std::chrono::milliseconds patience) {
  Map seen;
  const std::int64_t deadline = clock_now.monotonic_ms() + patience.count();
  while (clock_now.monotonic_ms() < deadline) {
    const auto got = bus.next(16, 50ms);
    if (!got.ok()) continue;
    for (const auto& m : got.value().messages) seen[m.subject] = m.bytes;
  }
  return seen;
}
void publish_soon(bus::Bus& bus, const bus::Message& m) {
  for (int i = 0; i < 500; ++i) {
    if (bus.publish(m).ok()) return;
    std::this_thread::sleep_for(20ms);
  }
  FAIL("publish never succeeded: " << bus.publish(m).error().what);
}
Map take(bus::Bus& bus, std::size_t count) {
  Map seen;
  for (int i = 0; i < 400 && seen.size() < count; ++i) seen.merge(drain(bus, 50ms));
  return seen;
}
std::pair<std::size_t, bus::Cursor> read_whole(bus::Bus& bus, std::size_t limit) {
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
}  // namespace kairo::test
