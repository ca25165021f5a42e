// What this proves: connections last as long as their clients like, end when they must, and carry
// bodies in every form that HTTP has.
#include <thread>

#include "tests/gpu/serve/server_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;
namespace {
// A connection that is written and read by hand.
class Wire {
 public:
  explicit Wire(const Bench& bench) : fd_(bench.connected_and_sent("")) {
    const timeval patience{30, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Wire() { ::close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  void send(const std::string& text) const {
    REQUIRE(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  // The next reply with a Content-Length; "" when the connection has ended.
  std::string reply() {
    while (!Bench::is_complete(read_) && more()) {
    }
    if (!Bench::is_complete(read_)) return "";
    const std::size_t at = read_.find("Content-Length: ");
    const std::size_t end = read_.find("\r\n\r\n") + 4 + std::stoul(read_.substr(at + 16));
    std::string out = read_.substr(0, end);
    read_.erase(0, end);
    return out;
  }
  std::string rest() {  // until the other side closes
    while (more()) {
    }
    return read_;
  }

 private:
  bool more() {
    std::string buffer(4096, '\0');
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got > 0) read_.append(buffer, 0, static_cast<std::size_t>(got));
    return got > 0;
  }
  int fd_;
  std::string read_;
};
const std::string get_version = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}
}  // namespace

TEST_CASE("a connection carries as many requests as its client likes") {
  const Bench bench;
  Wire wire(bench);
  for (int i = 0; i < 300; ++i) {
    wire.send(i % 3 == 2 ? post("/nowhere", "{}") : get_version);
    CHECK(wire.reply().starts_with(i % 3 == 2 ? "HTTP/1.1 404 " : "HTTP/1.1 200 "));
  }
  wire.send(get_version + get_version + post("/chat", "[]") + get_version);  // all at once
  for (const char* status : {"200", "200", "503", "200"})
    CHECK(wire.reply().starts_with(std::string("HTTP/1.1 ") + status));
}

TEST_CASE("an idle connection gives its thread to who waits for one, and ends with the server") {
  auto bench = std::make_unique<Bench>();
  std::vector<std::unique_ptr<Wire>> idle;
  for (int i = 0; i < 60; ++i) {  // more than the bench has threads
    idle.push_back(std::make_unique<Wire>(*bench));
    idle.back()->send(get_version);
    CHECK(idle.back()->reply().starts_with("HTTP/1.1 200 "));
  }
  CHECK(idle.front()->reply().empty());  // closed
  idle.back()->send(get_version);
  CHECK(idle.back()->reply().starts_with("HTTP/1.1 200 "));
  bench.reset();  // does not wait for them to time out
  CHECK(idle.back()->reply().empty());
}

TEST_CASE("bodies in chunks") {
  Bench bench;
  bench.open();
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  Wire wire(bench);
  wire.send(head + "9\r\n{\"prompt\"\r\n");
  wire.send("2d;ext=1\r\n:\"abc\",\"max_tokens\":2,\"temperature\":0}       \r\n0\r\n\r\n" +
            get_version);
  const std::string reply = wire.reply();
  CHECK(reply.starts_with("HTTP/1.1 200 "));
  CHECK(reply.find("\"completion_tokens\":2") != std::string::npos);
  CHECK(wire.reply().starts_with("HTTP/1.1 200 "));
  wire.send(head + "zz\r\n");
  CHECK(wire.reply().starts_with("HTTP/1.1 400 "));
  CHECK(wire.rest().empty());  // nobody knows where the next request would begin
}

TEST_CASE("a stream for a client of HTTP/1.0 has no chunks and ends with the connection") {
  Bench bench;
  bench.open();
  const std::string body = R"({"prompt":"abc","max_tokens":2,"temperature":0,"stream":true})";
  Wire wire(bench);
  wire.send("POST /v1/completions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
  const std::string all = wire.rest();
  CHECK(all.find("Transfer-Encoding") == std::string::npos);
  const std::size_t head = all.find("\r\n\r\n");
  REQUIRE(head != std::string::npos);
  CHECK(events_of(all.substr(head + 4)).size() >= 2);
}

TEST_CASE("one model by its name") {
  Bench bench;
  bench.open();
  const auto one = bench.client().Get("/v1/models/tiny");
  REQUIRE(one);
  CHECK(one->status == 200);
  const Json list = Json::parse(bench.client().Get("/v1/models")->body);
  CHECK(Json::parse(one->body) == list["data"][0]);
  const auto none = bench.client().Get("/v1/models/org/none");
  REQUIRE(none);
  CHECK(none->status == 404);
  CHECK(Json::parse(none->body)["error"] ==
        Json{{"message", "model org/none is not served here; there are: tiny"},
             {"type", "invalid_request_error"},
             {"param", nullptr},
             {"code", "model_not_found"}});
}
