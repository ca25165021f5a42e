// tests/gpu/serve/reply_test.cpp - answers, events and errors have the form that OpenAI's and
// KAITO's clients read.
#include "gpu/serve/reply.h"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

using namespace kairo;
using namespace kairo::gpu;
namespace {
std::string whole(const Reply& reply, const std::string& text, Finish finish, const Usage& usage) {
  const Choice choice{text, finish, {}};
  return reply.whole(std::span(&choice, 1), usage);
}
}  // namespace

TEST_CASE("a chat answer, whole and as events") {
  const Reply reply(Form::chat, "id-1", "pip", 1700000000, {-1, true});
  const std::string head =
      R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"pip",)";
  CHECK(
      whole(reply, "hi \"you\"", Finish::stop, {5, 2, 3}) ==
      R"({"id":"id-1","object":"chat.completion","created":1700000000,"model":"pip",)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"hi \"you\"","refusal":null},)"
      R"("logprobs":null,"finish_reason":"stop"}],)"
      R"("usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,)"
      R"("prompt_tokens_details":{"cached_tokens":3}}})");
  CHECK(reply.first_event(0) ==
        "data: " + head +
            R"("choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},)"
            "\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
  CHECK(reply.event(0, "a\nb", {}, 0) ==
        "data: " + head +
            R"("choices":[{"index":0,"delta":{"content":"a\nb"},"logprobs":null,)"
            "\"finish_reason\":null}],\"usage\":null}\n\n");
  CHECK(reply.last_event(0, Finish::length) ==
        "data: " + head +
            R"("choices":[{"index":0,"delta":{},"logprobs":null,)"
            "\"finish_reason\":\"length\"}],\"usage\":null}\n\n");
  CHECK(reply.usage_event({5, 2}) ==
        "data: " + head +
            R"("choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,)"
            "\"total_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":0}}}\n\n");
}

TEST_CASE("a completion, whole and as events") {
  const Reply reply(Form::completion, "id-2", "base", 1700000000, {});
  const std::string head =
      R"({"id":"id-2","object":"text_completion","created":1700000000,"model":"base",)";
  CHECK(whole(reply, "x", Finish::length, {1, 1}) ==
        head + R"("choices":[{"index":0,"text":"x","logprobs":null,"finish_reason":"length"}],)"
               R"("usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,)"
               R"("prompt_tokens_details":{"cached_tokens":0}}})");
  CHECK(reply.first_event(0).empty());
  CHECK(reply.event(0, "x", {}, 0) == "data: " + head +
                                          R"("choices":[{"index":0,"text":"x","logprobs":null,)"
                                          "\"finish_reason\":null}]}\n\n");
  CHECK(reply.last_event(0, Finish::stop) ==
        "data: " + head +
            R"("choices":[{"index":0,"text":"","logprobs":null,)"
            "\"finish_reason\":\"stop\"}]}\n\n");
}

TEST_CASE("several choices, and how likely their tokens were") {
  const std::vector<ShownToken> shown = {{"h\xC3", -0.5f, {{"h\xC3", -0.5f}, {"x", -1.25f}}},
                                         {"\xA9", -std::numeric_limits<float>::infinity(), {}}};
  const std::vector<Choice> choices = {{"h\u00e9", Finish::stop, shown}, {"b", Finish::length, {}}};
  const auto of = [](const std::string& reply) { return nlohmann::json::parse(reply)["choices"]; };
  const auto chat = of(Reply(Form::chat, "id", "m", 0, {2, false}).whole(choices, {1, 3}));
  CHECK(chat[0]["logprobs"].dump() ==
        "{\"content\":[{\"bytes\":[104,195],\"logprob\":-0.5,\"token\":\"h\xEF\xBF\xBD\","
        "\"top_logprobs\":[{\"bytes\":[104,195],\"logprob\":-0.5,\"token\":\"h\xEF\xBF\xBD\"},"
        "{\"bytes\":[120],\"logprob\":-1.25,\"token\":\"x\"}]},"
        "{\"bytes\":[169],\"logprob\":-9999.0,\"token\":\"\xEF\xBF\xBD\",\"top_logprobs\":[]}],"
        "\"refusal\":null}");
  CHECK(chat[1]["index"] == 1);
  CHECK(chat[1]["finish_reason"] == "length");
  CHECK(chat[1]["logprobs"]["content"].dump() == "[]");
  const Reply completion(Form::completion, "id", "m", 0, {2, false});
  CHECK(of(completion.whole(choices, {1, 3}))[0]["logprobs"].dump() ==
        "{\"text_offset\":[0,2],\"token_logprobs\":[-0.5,-9999.0],\"tokens\":[\"h\xEF\xBF\xBD\","
        "\"\xEF\xBF\xBD\"],\"top_logprobs\":[{\"h\xEF\xBF\xBD\":-0.5,\"x\":-1.25},"
        "{\"\xEF\xBF\xBD\":-9999.0}]}");
  const auto event = completion.event(1, "c", {{{"c", -1, {}}}}, 7);
  CHECK(event.find(R"("index":1,"text":"c")") != event.npos);
  CHECK(event.find(R"("text_offset":[7])") != event.npos);
}

TEST_CASE("a completion's usage; an answer without a token; a name that needs escapes") {
  const Reply reply(Form::completion, "id-3", "a \"b\"\n", 0, {-1, true});
  const std::string head =
      R"({"id":"id-3","object":"text_completion","created":0,"model":"a \"b\"\n",)";
  CHECK(reply.usage_event({3, 0}) ==
        "data: " + head +
            R"("choices":[],"usage":{"prompt_tokens":3,"completion_tokens":0,)"
            "\"total_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":0}}}\n\n");
  CHECK(whole(reply, "", Finish::stop, {3, 0}) ==
        head + R"("choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}],)"
               R"("usage":{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3,)"
               R"("prompt_tokens_details":{"cached_tokens":0}}})");
  CHECK(std::string(stream_end) == "data: [DONE]\n\n");
}

// A client that gets one byte which is not UTF-8 throws the whole answer away.
TEST_CASE("text that is not UTF-8 gets U+FFFD and stays JSON; no text breaks an event") {
  struct Row {
    std::string name, text, shown;
  };
  const std::string mark = "\xEF\xBF\xBD";
  const Row rows[] = {
      {"a lone byte",
       "a\xff"
       "b",
       "a" + mark + "b"},
      {"a cut character", "\xE2\x82", mark},
      {"a continuation alone", "x\x80", "x" + mark},
      {"a surrogate", "\xED\xA0\x80", mark + mark + mark},
      {"whole characters stay", "\xE2\x82\xAC \xF0\x9F\x98\x80", "\xE2\x82\xAC \xF0\x9F\x98\x80"},
      {"line ends and NUL", std::string("a\r\n\n\0z", 6), std::string("a\r\n\n\0z", 6)},
  };
  const auto event_text = [](const std::string& event, Form form) {
    REQUIRE(event.starts_with("data: "));
    REQUIRE(event.find('\n') == event.size() - 2);  // one event, one line
    const auto choice = nlohmann::json::parse(event.substr(6))["choices"][0];
    return (form == Form::chat ? choice["delta"]["content"] : choice["text"]).get<std::string>();
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    for (const Form form : {Form::chat, Form::completion}) {
      const Reply reply(form, "id", "m", 0, {});
      CHECK(event_text(reply.event(0, row.text, {}, 0), form) == row.shown);
      const auto choice =
          nlohmann::json::parse(whole(reply, row.text, Finish::stop, {}))["choices"][0];
      CHECK((form == Form::chat ? choice["message"]["content"] : choice["text"]) == row.shown);
    }
    CHECK(nlohmann::json::parse(kaito_reply(row.text))["Result"] == row.shown);
    const Error error{Code::invalid, row.text};
    CHECK(nlohmann::json::parse(error_reply(error))["error"]["message"] == row.shown);
    CHECK(error_event(error).find('\n') == error_event(error).size() - 2);
  }
}

TEST_CASE("/chat, models, and text that is not UTF-8") {
  CHECK(kaito_reply("a") == R"({"Result":"a"})");
  CHECK(kaito_reply("a\xff") == "{\"Result\":\"a\xEF\xBF\xBD\"}");
  const std::vector<ServedModel> models{{"base", "base", -1}, {"pip", "/adapters/pip", 4}};
  CHECK(models_reply(models, {"Q4_1, Q8_0", ""}, 3) ==
        R"({"object":"list","data":[)"
        R"({"id":"base","object":"model","created":3,"owned_by":"kairo","root":"base",)"
        R"("parent":null,"weights":"Q4_1, Q8_0"},)"
        R"({"id":"pip","object":"model","created":3,"owned_by":"kairo","root":"/adapters/pip",)"
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
  // The field that the text begins with.
  const auto param = [](const std::string& what) {
    return nlohmann::json::parse(error_reply({Code::invalid, what}))["error"]["param"];
  };
  CHECK(param("messages[0].role must be system") == "messages[0].role");
  CHECK(param("logit_bias: token 9 is not in the vocabulary") == "logit_bias");
  CHECK(param("the body is not JSON") == nullptr);
  CHECK(param("POST /chat: no") == nullptr);
  CHECK(error_event({Code::invalid, "w"}) ==
        "data: {\"error\":{\"message\":\"w\",\"type\":\"invalid_request_error\",\"param\":null,"
        "\"code\":null}}\n\n");
  CHECK_FALSE(failure_of(Finish::stop));
  CHECK_FALSE(failure_of(Finish::length));
  CHECK(failure_of(Finish::cancelled)->what == "the server is stopping; ask again in a moment");
  CHECK(failure_of(Finish::failed)->what ==
        "the model could not compute the answer; see the server's log");
  CHECK(failure_of(Finish::cancelled)->code == Code::unavailable);
  CHECK(failure_of(Finish::failed)->code == Code::corrupt);
}
