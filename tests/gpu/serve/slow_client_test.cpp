// What this proves: clients that are slow, in whatever they do, keep no other client from being
// answered, and are told why they were not.
#include <thread>

#include "tests/gpu/serve/wire.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;
namespace {
constexpr std::chrono::milliseconds look_after{250};
const std::string half_head = "POST /chat HTTP/1.1\r\nHost: ";
const std::string no_body = "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
const std::string no_chunks =
    "POST /chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

// A probe as kubelet's: a new connection that waits a second and no longer.
int status_for_a_probe(const Bench& bench, const std::string& path) {
  httplib::Client client("127.0.0.1", bench.server->port());
  client.set_connection_timeout(1, 0);
  client.set_read_timeout(1, 0);
  const auto reply = client.Get(path.c_str());
  return reply ? reply->status : 0;
}
}  // namespace

TEST_CASE("five times as many slow clients as there are connections, and probes beside them") {
  struct Row {
    std::string name, sent;
  };
  const Row rows[] = {{"nothing", ""},
                      {"a head", half_head},
                      {"a body", no_body},
                      {"chunks", no_chunks},
                      {"after an answer", get_version}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Bench bench;
    std::vector<std::unique_ptr<Wire>> slow;
    for (int i = 0; i < 200; ++i) {
      slow.push_back(std::make_unique<Wire>(bench));
      slow.back()->send(row.sent);
    }
    for (int round = 0; round < 5; ++round) {
      for (const auto& client : slow)
        if (!row.sent.empty()) client->trickle(row.sent == no_chunks ? '1' : 'x');
      CHECK(status_for_a_probe(bench, "/health") == 503);  // it is loading
      CHECK(status_for_a_probe(bench, "/metrics") == 200);
    }
  }
}

TEST_CASE("clients that read nothing of what they ask for, and probes beside them") {
  const Bench bench;
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += get_version;
  std::vector<std::unique_ptr<Wire>> slow;
  std::vector<std::thread> senders;
  for (int i = 0; i < 60; ++i) {
    slow.push_back(std::make_unique<Wire>(bench));
    senders.emplace_back([&, wire = slow.back().get()] { wire->send_until_ended(many); });
  }
  for (int round = 0; round < 5; ++round) {
    CHECK(status_for_a_probe(bench, "/health") == 503);
    CHECK(status_for_a_probe(bench, "/metrics") == 200);
  }
  for (const auto& wire : slow) wire->hang_up();
  for (auto& sender : senders) sender.join();
}

TEST_CASE("a body that comes byte by byte is given up, and its client is told") {
  const Bench bench(4, look_after, std::chrono::milliseconds(300));
  Wire wire(bench);
  wire.send(no_body);
  std::thread sender([&] {
    for (int i = 0; i < 90; ++i) {
      wire.trickle(' ');
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const std::string reply = wire.reply();
  sender.join();
  CHECK(reply.starts_with("HTTP/1.1 408 "));
  CHECK(reply.find("{\"error\":{\"message\":\"POST /chat: the body came too slowly; send all of it "
                   "within 10 seconds\"") != std::string::npos);
  CHECK(reply.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("a length above the limit is answered before the body, which may come or not") {
  const Bench bench(4, look_after, std::chrono::hours(1));  // waiting would be for ever
  for (const char* length : {"4194305", "33554432", "67108864", "99999999999"}) {
    CAPTURE(length);
    const std::string head =
        "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::string(length) + "\r\n\r\n";
    CHECK(bench.raw(head).starts_with("HTTP/1.1 413 "));
  }
  Wire wire(bench);  // sends all of it before it reads
  wire.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n");
  for (int i = 0; i < 32; ++i) wire.send(std::string(1 << 20, 'x'));
  CHECK(wire.reply().starts_with("HTTP/1.1 404 "));
  CHECK(wire.rest().empty());
}

TEST_CASE("a path and a method of another one: 405 and what it takes; the connection goes on") {
  const Bench bench;
  Wire wire(bench);
  struct Row {
    std::string request, status, allow;
  };
  const Row rows[] = {
      {"DELETE /v1/models/x HTTP/1.1\r\nHost: x\r\n\r\n", "405", "GET, HEAD"},
      {"DELETE /v1/models/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "405",
       "GET, HEAD"},
      {"PUT /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "405", "POST"},
      {"PATCH /health HTTP/1.1\r\nHost: x\r\n\r\n", "405", "GET, HEAD"},
      {"POST /health HTTP/1.1\r\nHost: x\r\n\r\n", "405", "GET, HEAD"},
      {"POST /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "405",
       "GET, HEAD"},
      {"GET /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n", "405", "POST"},
      {"OPTIONS /chat HTTP/1.1\r\nHost: x\r\n\r\n", "405", "POST"},
      {"DELETE /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "404", ""},
      {"POST /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "404", ""},
      {"GET /v1/models/ HTTP/1.1\r\nHost: x\r\n\r\n", "404", ""},
      {"OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "404", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.request);
    wire.send(row.request);
    const std::string reply = wire.reply();
    CAPTURE(reply);
    CHECK(reply.starts_with("HTTP/1.1 " + row.status + " "));
    CHECK((reply.find("Allow: ") != std::string::npos) == !row.allow.empty());
    CHECK((row.allow.empty() || reply.find("Allow: " + row.allow + "\r\n") != std::string::npos));
    CHECK(reply.find("\"type\":\"invalid_request_error\"") != std::string::npos);
  }
  wire.send(get_version);
  CHECK(wire.reply().starts_with("HTTP/1.1 200 "));
}
