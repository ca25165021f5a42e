// tests/gpu/serve/choices_test.cpp - answers in a given form, several at a time, and how likely
// their tokens were, over HTTP.
#include <algorithm>
#include <cmath>

#include "tests/gpu/serve/server_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;
namespace {
const Json weather = Json::parse(
    R"({"type":"object","properties":{"sky":{"enum":["clear","grey"]},"wind":{"type":"boolean"}},
        "required":["sky","wind"],"additionalProperties":false})");
Json in_form(const Json& schema) {
  return {{"type", "json_schema"}, {"json_schema", {{"name", "w"}, {"schema", schema}}}};
}
Json choices_of(const Bench& bench, const Json& body, const char* path = "/v1/chat/completions") {
  const auto reply = bench.post(path, body);
  REQUIRE(reply);
  REQUIRE_MESSAGE(reply->status == 200, reply->body);
  return Json::parse(reply->body)["choices"];
}
}  // namespace

TEST_CASE("an answer has the form of its schema, whoever else is served") {
  Bench bench(3);
  bench.open();
  Json body = question("what is the weather?", 200);
  body["response_format"] = in_form(weather);
  body["n"] = 3;
  body["temperature"] = 1;
  for (int seed = 0; seed < 20; ++seed) {
    body["seed"] = seed;
    for (const Json& choice : choices_of(bench, body)) {
      CHECK(choice["finish_reason"] == "stop");
      const Json answer = Json::parse(choice["message"]["content"].get<std::string>());
      CHECK(answer.size() == 2);
      CHECK((answer["sky"] == "clear" || answer["sky"] == "grey"));
      CHECK(answer["wind"].is_boolean());
    }
  }
  body["response_format"] = {{"type", "json_object"}};
  body["max_tokens"] = 1;
  body["n"] = 1;
  CHECK(choices_of(bench, body)[0]["message"]["content"] == "{");
  body["response_format"] = in_form({{"not", {{"type", "null"}}}});
  CHECK(bench.message("/v1/chat/completions", body, 400)
            .starts_with("response_format: the schema: "));
}

TEST_CASE("several answers: the first is that of one alone, a stream has the same in order") {
  Bench bench(2);
  bench.open();
  Json body = question("hello", 12);
  body["temperature"] = 1;
  body["seed"] = 5;
  const std::string alone = answer(bench, body);
  body["n"] = 3;
  const Json choices = choices_of(bench, body);
  REQUIRE(choices.size() == 3);
  CHECK(choices[0]["message"]["content"] == alone);
  CHECK(choices[1]["message"]["content"] != alone);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const auto reply = bench.post("/v1/chat/completions", body);
  REQUIRE(reply);
  std::vector<std::string> texts(3);
  std::vector<int> first, finished;
  const auto events = events_of(reply->body);
  for (const Json& event : events) {
    CHECK(event.contains("usage"));
    if (event["choices"].empty()) continue;
    const Json& choice = event["choices"][0];
    const auto index = choice["index"].get<std::size_t>();
    if (choice["delta"].contains("role")) first.push_back(static_cast<int>(index));
    if (choice["delta"].contains("content")) texts[index] += choice["delta"]["content"];
    if (!choice["finish_reason"].is_null()) finished.push_back(static_cast<int>(index));
  }
  CHECK(first == std::vector<int>{0, 1, 2});
  std::ranges::sort(finished);
  CHECK(finished == std::vector<int>{0, 1, 2});
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(texts[i] == choices[i]["message"]["content"].get<std::string>());
  CHECK(events.back()["usage"]["completion_tokens"].get<int>() <= 36);
  body = question("hello", 2);
  body["n"] = 67;
  CHECK(bench.message("/v1/chat/completions", body, 400) ==
        "n is 67: this server takes at most 66 answers at a time");
}

TEST_CASE("how likely: of each token, with the best beside it; a bias moves the choice alone") {
  Bench bench;
  bench.open();
  Json body = question("hello", 5);
  body["logprobs"] = true;
  body["top_logprobs"] = 3;
  const Json free = choices_of(bench, body)[0];
  const Json& tokens = free["logprobs"]["content"];
  REQUIRE(tokens.size() == 5);
  std::vector<std::uint8_t> bytes;
  for (const Json& token : tokens) {
    REQUIRE(token["top_logprobs"].size() == 3);
    CHECK(token["top_logprobs"][0]["token"] == token["token"]);  // greedy
    CHECK(token["top_logprobs"][0]["logprob"] == token["logprob"]);
    double sum = 0;
    for (const Json& best : token["top_logprobs"]) sum += std::exp(best["logprob"].get<double>());
    CHECK(sum < 1);
    for (const Json& byte : token["bytes"]) bytes.push_back(byte);
  }
  body["logit_bias"] = {{"0", 100}};
  const Json biased = choices_of(bench, body)[0];
  CHECK(biased["message"]["content"] == "!!!!!");
  CHECK(biased["logprobs"]["content"][0]["top_logprobs"] == tokens[0]["top_logprobs"]);
  body["logit_bias"] = {{"99999999", 1}};
  CHECK(bench.message("/v1/chat/completions", body, 400)
            .starts_with("logit_bias: token 99999999 is not in the vocabulary of "));
  const Json text = choices_of(
      bench, {{"prompt", "hello"}, {"max_tokens", 2}, {"temperature", 0}, {"logprobs", 1}},
      "/v1/completions")[0]["logprobs"];
  CHECK(text["tokens"].size() == 2);
  CHECK(text["text_offset"][0] == 0);
  CHECK(text["top_logprobs"][1].size() == 1);
}
