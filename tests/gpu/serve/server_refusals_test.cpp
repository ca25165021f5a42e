// tests/gpu/serve/server_refusals_test.cpp - what the HTTP API refuses and with which words;
// clients that go; addresses and models that are not there.
#include "tests/gpu/serve/server_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;

TEST_CASE("a client that hangs up frees its slot") {
  Bench bench(1);
  bench.options.generator.context_tokens = 2048;
  bench.open();
  Json body = question("a", 2000);
  body["stream"] = true;
  const std::string request = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                              std::to_string(body.dump().size()) + "\r\n\r\n" + body.dump();
  for (int i = 0; i < 5; ++i)
    CHECK(bench.raw(request).starts_with("HTTP/1.1 200"));  // reads the head, then goes
  CHECK_FALSE(answer(bench, question("b", 4)).empty());     // waits for the only slot
  CHECK(bench.raw(request).starts_with("HTTP/1.1 200"));
  // With nobody after it, the count returns to 0 too: not the 0 from before it, for all seven are
  // through. Those that went while they waited had not even their prompt computed.
  const std::string chats =
      R"(kairo_serve_requests_total{path="/v1/chat/completions",status="200"})";
  CHECK(bench.metric_when(chats, 7) == 7);
  CHECK(bench.metric_when("kairo_serve_running", 0) == 0);
  CHECK(bench.metric("kairo_serve_waiting") == 0);
  // An answer that nobody reads is not computed to its end. One may be, on a busy machine; not six.
  CHECK(bench.metric("kairo_serve_answer_tokens_total") < 6 * 2000);
}

TEST_CASE("what it refuses") {
  Bench bench;
  bench.open();
  for (const std::string path : {"/v1/chat/completions", "/v1/completions", "/chat"}) {
    CAPTURE(path);
    Json body = question("a");
    body.erase("temperature");
    body["model"] = "x";
    body["prompt"] = "a";
    CHECK(bench.message(path, body, 404) == "model x is not served here; there are: tiny");
    CHECK(bench.message(path, Json::array(), 400) == "the body is not a JSON object");
  }
  CHECK(bench.message("/v1/chat/completions", question(std::string(300, 'a')), 400)
            .ends_with("prompt and answer together can have 256: shorten it"));
  CHECK(bench.message("/v1/completions", {{"prompt", Json::array({1, 9999})}}, 400) ==
        "prompt: token 9999 is not in the vocabulary of 258");
  CHECK(bench.message("/nowhere", {}, 404).starts_with("POST /nowhere: no such path; there are"));
  const auto wrong_method = bench.client().Get("/chat");
  REQUIRE(wrong_method);
  CHECK(wrong_method->status == 405);
  CHECK(wrong_method->get_header_value("Content-Type") == "application/json");
  CHECK(Json::parse(wrong_method->body)["error"]["type"] == "invalid_request_error");
  // Counted after the reply has been sent, so perhaps a moment later.
  CHECK(bench.metric_when(R"(kairo_serve_requests_total{path="other",status="404"})", 1) == 1);
  CHECK(bench.metric_when(R"(kairo_serve_requests_total{path="/chat",status="405"})", 1) == 1);
}

TEST_CASE("requests that the HTTP library would let through") {
  Bench bench;
  bench.open();
  const std::string error = "{\"error\":{\"message\":\"";
  struct Row {
    std::string name, request, status, message;
  };
  const Row rows[] = {
      {"no length", "POST /chat HTTP/1.1\r\nHost: x\r\n\r\n", "411",
       "POST /chat: the request needs a Content-Length, or Transfer-Encoding: chunked"},
      {"another coding",
       "POST /chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400",
       "POST /chat: Transfer-Encoding is gzip, chunked: only chunked is taken"},
      {"two lengths",
       "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
       "chunked\r\n\r\n0\r\n\r\n",
       "400", "POST /chat: Content-Length and Transfer-Encoding are both there: send one"},
      {"the same length twice",
       "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "400",
       "POST /chat: Content-Length or Transfer-Encoding is there twice: send one"},
      {"a method that nobody knows", "BREW /chat HTTP/1.1\r\nHost: x\r\n\r\n", "400",
       "the request's head is not HTTP/1.1, or longer than 8 KiB a line"},
      {"a length that is never sent",
       "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "413",
       "POST /chat: the body is larger than 4 MiB"},
      {"a negative length", "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400",
       "POST /chat: Content-Length is -1: it must be a number of bytes"},
      {"a form with files",
       "POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; "
       "boundary=b\r\nContent-Length: 0\r\n\r\n",
       "415", "POST /chat: the body must be JSON (Content-Type: application/json)"},
      {"a method", "TRACE /chat HTTP/1.1\r\nHost: x\r\n\r\n", "405",
       "TRACE /chat: no such method here; there is POST"},
      {"a range", "GET /version HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n", "416",
       "GET /version: a Range is not taken: ask for the whole"},
      {"ranges that overlap", "GET /metrics HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,0-1\r\n\r\n",
       "416", "GET /metrics: a Range is not taken: ask for the whole"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string reply = bench.raw(row.request);
    CAPTURE(reply);
    CHECK(reply.starts_with("HTTP/1.1 " + row.status + " "));
    CHECK(reply.find("Content-Type: application/json\r\n") != std::string::npos);
    CHECK(reply.find("Content-Range") == std::string::npos);  // the whole error, whatever was asked
    CHECK(reply.find(error + row.message + "\"") != std::string::npos);
  }
  const auto chunked = [&](std::size_t size) {
    httplib::Result reply = bench.client().Post(
        "/chat",
        [=](std::size_t offset, httplib::DataSink& sink) {
          const std::string piece(std::min<std::size_t>(size - offset, 1 << 20), 'x');
          if (!piece.empty()) sink.write(piece.data(), piece.size());
          if (offset + piece.size() == size) sink.done();
          return true;
        },
        "application/json");
    REQUIRE(reply);
    return reply->status;
  };
  CHECK(chunked(4 << 20) == 400);  // read, and not JSON
  CHECK(chunked((4 << 20) + 1) == 413);
  CHECK(chunked(48 << 20) == 413);  // heard out
  const auto fits = bench.client().Post("/chat", std::string(4 << 20, 'x'), "application/json");
  REQUIRE(fits);
  CHECK(fits->status == 400);  // read, and not JSON
  const auto large =
      bench.client().Post("/chat", std::string((4 << 20) + 1, 'x'), "application/json");
  REQUIRE(large);
  CHECK(large->status == 413);
  CHECK(Json::parse(large->body)["error"]["message"] ==
        "POST /chat: the body is larger than 4 MiB");
}

TEST_CASE("too many wait, or it stops: 503, and when to ask again") {
  Bench bench;
  bench.options.scheduler.waiting_max = 0;
  bench.open();
  const auto reply = bench.post("/v1/chat/completions", question("a"));
  REQUIRE(reply);
  CHECK(reply->status == 503);
  CHECK(reply->get_header_value("Retry-After") == "1");
  CHECK(Json::parse(reply->body)["error"]["message"] ==
        "0 requests wait already; try again in a moment");
  bench.service->stop();
  CHECK(bench.message("/chat", {{"prompt", "a"}}, 503) == "the server is stopping");
}

TEST_CASE("an address that is taken, a model that is not there") {
  Bench bench;
  ServerOptions same;
  same.port = bench.server->port();
  const auto taken = Server::listen(same, system_clock);
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().code == Code::unavailable);
  CHECK(taken.error().what == "cannot listen on 127.0.0.1:" + std::to_string(same.port) +
                                  ": it is taken, or not an address of this machine");
  ServerOptions elsewhere;
  elsewhere.host = "192.0.2.1";  // kept for documents: nobody has it
  elsewhere.port = 0;
  CHECK_FALSE(Server::listen(elsewhere, system_clock).ok());
  ServiceOptions nothing = bench.options;
  nothing.generator.model_dir = model_folder() + "/absent";
  const auto absent = Service::load(nothing);
  REQUIRE_FALSE(absent.ok());
  CHECK(absent.error().code == Code::not_found);
  ServiceOptions twice = bench.options;
  twice.generator.adapters = {{"tiny", model_folder(), 1.0f}};
  const auto named_alike = Service::load(twice);
  REQUIRE_FALSE(named_alike.ok());
  CHECK(named_alike.error().what == "adapter tiny has the base model's name");
}
