// tests/gpu/serve/routes_test.cpp - what a request's head is refused for, and chunks that are none.
#include "gpu/serve/routes.h"

#include <doctest/doctest.h>

#include <random>

#include "gpu/serve/chunks.h"

using namespace kairo::gpu;

TEST_CASE("every path with every method") {
  struct Row {
    std::string path, allow;  // "": no such path
  };
  const Row rows[] = {
      {"/chat", "POST"},
      {"/v1/chat/completions", "POST"},
      {"/v1/completions", "POST"},
      {"/v1/load_lora_adapter", "POST"},
      {"/v1/unload_lora_adapter", "POST"},
      {"/", "GET, HEAD"},
      {"/health", "GET, HEAD"},
      {"/metrics", "GET, HEAD"},
      {"/version", "GET, HEAD"},
      {"/v1/models", "GET, HEAD"},
      {"/v1/models/org/name", "GET, HEAD"},
      {"/v1/models/", ""},
      {"/v1/model", ""},
      {"/health/", ""},
      {"/v1/embeddings", ""},
      {"", ""},
  };
  for (const Row& row : rows)
    for (const std::string method :
         {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
      for (const bool has_length : {true, false}) {
        CAPTURE(row.path);
        CAPTURE(method);
        CAPTURE(has_length);
        Head head{method, row.path, {}, {}};
        if (has_length) head.length = "2";
        const bool taken = row.allow.find(method) != std::string::npos;
        const int wanted = row.allow.empty()                 ? 404
                           : !taken                          ? 405
                           : method == "POST" && !has_length ? 411
                                                             : 0;
        const auto refusal = refusal_of(head);
        CHECK((refusal ? refusal->status : 0) == wanted);
        CHECK((refusal ? refusal->allow : "") == (wanted == 405 ? row.allow : ""));
      }
}

TEST_CASE("what is not done is refused by its name") {
  CHECK(refusal_of({"POST", "/v1/embeddings", "2", {}})->why ==
        "embeddings are not computed here: these models answer");
}

TEST_CASE("how a body is framed") {
  using Text = std::optional<std::string>;
  struct Row {
    Text length, coding;
    bool twice;
    int status;
    bool can_go_on;  // where nobody serves the path
  };
  const Row rows[] = {
      {"0", {}, false, 0, true},
      {"4194304", {}, false, 0, true},
      {"4194305", {}, false, 413, false},
      {"67108865", {}, false, 413, false},
      {"99999999999999999999999999", {}, false, 413, false},
      {{}, "chunked", false, 0, true},
      {{}, "Chunked", false, 0, true},
      {{}, "gzip, chunked", false, 400, false},
      {{}, "identity", false, 400, false},
      {{}, "", false, 400, false},
      {"2", "chunked", false, 400, false},
      {"2", {}, true, 400, false},
      {"-1", {}, false, 400, false},
      {"+1", {}, false, 400, false},
      {"1e3", {}, false, 400, false},
      {"0x10", {}, false, 400, false},
      {"2, 2", {}, false, 400, false},
      {"", {}, false, 400, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.length.value_or("none"));
    CAPTURE(row.coding.value_or("none"));
    const auto asked = refusal_of({"POST", "/chat", row.length, row.coding, row.twice});
    CHECK((asked ? asked->status : 0) == row.status);
    const auto nowhere = refusal_of({"POST", "/nowhere", row.length, row.coding, row.twice});
    REQUIRE(nowhere);
    CHECK(nowhere->status == (row.status == 400 ? 400 : 404));
    CHECK(nowhere->can_go_on == row.can_go_on);
  }
}

TEST_CASE("chunks: well formed, or why not; in whatever pieces they come") {
  const std::string size = "a chunk's size must be hexadecimal digits";
  const std::string line = "the line with a chunk's size must end with CR LF";
  const std::string data = "a chunk has more bytes than its size says";
  const std::string trailers = "there are trailers after the last chunk, which are not taken";
  struct Row {
    std::string bytes, wrong;
  };
  const Row rows[] = {
      {"0\r\n\r\n", ""},
      {"3\r\nabc\r\n0\r\n\r\n", ""},
      {"A\r\n0123456789\r\n000\r\n\r\n", ""},
      {"3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n", ""},
      {"3 \t;a\r\nabc\r\n0\r\n\r\n", ""},
      {"zz\r\n", size},
      {"\r\n", size},
      {"-3\r\nabc\r\n0\r\n\r\n", size},
      {"+3\r\nabc\r\n0\r\n\r\n", size},
      {" 3\r\nabc\r\n0\r\n\r\n", size},
      {"0x3\r\nabc\r\n0\r\n\r\n", size},
      {"3 3\r\nabc\r\n", size},
      {"3\nabc\n0\n\n", size},
      {"3;a\nabc", line},
      {"3\r\r\n", line},
      {"2\r\nabc\r\n0\r\n\r\n", data},
      {"4\r\nabc\r\n0\r\n\r\n", data},
      {"3\r\nabc\n0\r\n\r\n", data},
      {"0\r\nX: y\r\n\r\n", trailers},
      {"0000000000000003\r\nabc\r\n", "a chunk's size has more than 15 digits"},
      {"3;" + std::string(300, 'x'), "the line with a chunk's size is longer than 256 bytes"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    ChunkCheck whole, bytewise;
    CHECK(whole.take(row.bytes) == row.wrong.empty());
    CHECK(whole.wrong() == row.wrong);
    for (const char byte : row.bytes) bytewise.take({&byte, 1});
    CHECK(bytewise.wrong() == row.wrong);
  }
}

TEST_CASE("chunks: any bytes in any pieces get one verdict") {
  std::mt19937 random(7);
  const std::string letters = "0123abF;\r\n\r\n\r\n x";
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = "3\r\nabc\r\n1;e\r\nx\r\n0\r\n\r\n";
    for (int changes = static_cast<int>(random() % 4); changes > 0; --changes)
      bytes[random() % bytes.size()] = letters[random() % letters.size()];
    ChunkCheck whole, pieces;
    whole.take(bytes);
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t count = 1 + random() % 5;
      pieces.take(std::string_view(bytes).substr(at, count));
      at += count;
    }
    REQUIRE(whole.wrong() == pieces.wrong());
  }
}
