// What this proves: answers, events and errors have the form that OpenAI's and KAITO's clients
// read.
#include "gpu/serve/reply.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace kairo;
using namespace kairo::gpu;

TEST_CASE("a chat answer, whole and as events") {
  const Reply reply(Form::chat, "id-1", "pip", 1700000000);
  const std::string head =
      R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"pip",)";
  CHECK(reply.whole("hi \"you\"", Finish::stop, {5, 2}) ==
        R"({"id":"id-1","object":"chat.completion","created":1700000000,"model":"pip",)"
        R"("choices":[{"index":0,"message":{"role":"assistant","content":"hi \"you\""},)"
        R"("logprobs":null,"finish_reason":"stop"}],)"
        R"("usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}})");
  CHECK(reply.first_event() ==
        "data: " + head +
            R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,)"
            "\"finish_reason\":null}]}\n\n");
  CHECK(reply.event("a\nb") ==
        "data: " + head +
            R"("choices":[{"index":0,"delta":{"content":"a\nb"},"logprobs":null,)"
            "\"finish_reason\":null}]}\n\n");
  CHECK(reply.last_event(Finish::length) ==
        "data: " + head +
            R"("choices":[{"index":0,"delta":{},"logprobs":null,)"
            "\"finish_reason\":\"length\"}]}\n\n");
  CHECK(reply.usage_event({5, 2}) ==
        "data: " + head +
            R"("choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,)"
            "\"total_tokens\":7}}\n\n");
}

TEST_CASE("a completion, whole and as events") {
  const Reply reply(Form::completion, "id-2", "base", 1700000000);
  const std::string head =
      R"({"id":"id-2","object":"text_completion","created":1700000000,"model":"base",)";
  CHECK(reply.whole("x", Finish::length, {1, 1}) ==
        head + R"("choices":[{"index":0,"text":"x","logprobs":null,"finish_reason":"length"}],)"
               R"("usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}})");
  CHECK(reply.first_event().empty());
  CHECK(reply.event("x") == "data: " + head +
                                R"("choices":[{"index":0,"text":"x","logprobs":null,)"
                                "\"finish_reason\":null}]}\n\n");
  CHECK(reply.last_event(Finish::stop) == "data: " + head +
                                              R"("choices":[{"index":0,"text":"","logprobs":null,)"
                                              "\"finish_reason\":\"stop\"}]}\n\n");
}

TEST_CASE("/chat, models, and text that is not UTF-8") {
  CHECK(kaito_reply("a") == R"({"Result":"a"})");
  CHECK(kaito_reply("a\xff") == "{\"Result\":\"a\xEF\xBF\xBD\"}");
  const std::vector<std::string> models{"base", "pip"};
  CHECK(models_reply(models, 3) ==
        R"({"object":"list","data":[)"
        R"({"id":"base","object":"model","created":3,"owned_by":"kairo","root":"base",)"
        R"("parent":null},)"
        R"({"id":"pip","object":"model","created":3,"owned_by":"kairo","root":"base",)"
        R"("parent":"base"}]})");
}

TEST_CASE("errors: status and form") {
  struct Row {
    Code code;
    int status;
    std::string type, code_word;
  };
  const Row rows[] = {{Code::invalid, 400, "invalid_request_error", "null"},
                      {Code::not_found, 404, "invalid_request_error", "\"model_not_found\""},
                      {Code::conflict, 409, "invalid_request_error", "null"},
                      {Code::unavailable, 503, "server_error", "null"},
                      {Code::corrupt, 500, "server_error", "null"}};
  for (const Row& row : rows) {
    CAPTURE(row.status);
    CHECK(http_status(row.code) == row.status);
    CHECK(error_reply({row.code, "why"}) == R"({"error":{"message":"why","type":")" + row.type +
                                                R"(","param":null,"code":)" + row.code_word + "}}");
  }
  CHECK(error_event({Code::invalid, "w"}) ==
        "data: {\"error\":{\"message\":\"w\",\"type\":\"invalid_request_error\",\"param\":null,"
        "\"code\":null}}\n\n");
  CHECK_FALSE(failure_of(Finish::stop));
  CHECK_FALSE(failure_of(Finish::length));
  CHECK(failure_of(Finish::cancelled)->code == Code::unavailable);
  CHECK(failure_of(Finish::failed)->code == Code::corrupt);
}
