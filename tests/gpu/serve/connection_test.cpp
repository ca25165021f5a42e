// What this proves: connections last as long as their clients like, end when they must, and carry
// bodies in every form that HTTP has.
#include "tests/gpu/serve/wire.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;

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
  struct Row {
    std::string body, wrong;
  };
  const Row rows[] = {
      {"zz\r\n", "a chunk's size must be hexadecimal digits"},
      {"-5\r\n", "a chunk's size must be hexadecimal digits"},
      {"2\r\n{}x\r\n0\r\n\r\n", "a chunk has more bytes than its size says"},
      {"2\r\n{}\r\n0\r\nA: b\r\n\r\n",
       "there are trailers after the last chunk, which are not taken"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.body);
    Wire bad(bench);
    bad.send(head + row.body + get_version);
    const std::string refused = bad.reply();
    CHECK(refused.starts_with("HTTP/1.1 400 "));
    CHECK(refused.find(
              "{\"error\":{\"message\":\"POST /v1/completions: Transfer-Encoding: chunked: " +
              row.wrong + "\",\"type\":\"invalid_request_error\"") != std::string::npos);
    CHECK(bad.rest().empty());  // nobody knows where the next request would begin
  }
}

TEST_CASE("a head that cannot be read is answered once, and ends the connection") {
  const Bench bench;
  for (const std::string first :
       {"BREW /chat HTTP/1.1", "GET /version HTTP/2.0", "GET /version", ""}) {
    CAPTURE(first);
    Wire wire(bench);
    wire.send(first + "\r\nHost: x\r\n\r\n" + get_version);
    const std::string reply = wire.reply();
    CHECK(reply.starts_with("HTTP/1.1 400 "));
    CHECK(reply.find("the request's head is not HTTP/1.1") != std::string::npos);
    CHECK(wire.rest().empty());
  }
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
