// tests/gpu/serve/request_form_test.cpp - how many answers, of which form, and what is shown of
// them.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "gpu/serve/request.h"

using namespace kairo;
using namespace kairo::gpu;
namespace {
using ParseForm = Result<Request> (*)(std::string_view, const Defaults&);
std::string with(const std::string& more) {
  return R"({"messages":[{"role":"user","content":"hi"}],)" + more + "}";
}
}  // namespace

TEST_CASE("several answers, what is likely, biases, and a form that the answer has") {
  const auto parsed = parse_chat_completion(
      with(R"("n":3,"logprobs":true,"top_logprobs":4,"min_p":0.25,"logit_bias":{"7":-100,"9":1.5},
    "chat_template_kwargs":{"enable_thinking":false},"response_format":{"type":"json_schema",
    "json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"z":{},"a":{}}}}})"));
  REQUIRE_MESSAGE(parsed.ok(), (parsed.ok() ? "" : parsed.error().what));
  const Request& r = parsed.value();
  CHECK(r.choices == 3);
  CHECK(r.likely == 4);
  CHECK(r.sampling.min_p == 0.25f);
  CHECK(r.sampling.biases == std::vector<std::pair<std::int32_t, float>>{{7, -100.0f}, {9, 1.5f}});
  CHECK(r.template_variables == R"({"enable_thinking":false})");
  CHECK(r.schema == R"({"type":"object","properties":{"z":{},"a":{}}})");  // in their order
  CHECK(parse_chat_completion(with(R"("response_format":{"type":"json_object"})")).value().schema ==
        R"({"type":"object"})");
  CHECK(parse_chat_completion(with(R"("logprobs":true)")).value().likely == 0);
  CHECK(parse_completion(R"({"prompt":"a","logprobs":2,"n":2,"best_of":2})").value().likely == 2);
  CHECK(parse_completion(R"({"prompt":"a"})").value().likely == -1);
}

TEST_CASE("what is wrong with them: field, value, remedy") {
  struct Row {
    std::string name;
    ParseForm parse;
    std::string body, error;
  };
  const Row rows[] = {
      {"no answer", parse_chat_completion, with(R"("n":0)"),
       "n must be a whole number from 1 to 128 (it is 0)"},
      {"best of more", parse_completion, R"({"prompt":"a","n":2,"best_of":3})",
       "best_of is not supported here: leave it out (it is 3)"},
      {"min_p", parse_chat_completion, with(R"("min_p":2)"),
       "min_p must be a number from 0.0 to 1.0 (it is 2)"},
      {"a bias for a word", parse_chat_completion, with(R"("logit_bias":{"hi":1})"),
       "logit_bias must be an object of token numbers and biases from -100 to 100 (it is "
       "{\"hi\":1})"},
      {"too large a bias", parse_chat_completion, with(R"("logit_bias":{"5":101})"),
       "logit_bias must be an object of token numbers and biases from -100 to 100 (it is "
       "{\"5\":101})"},
      {"logprobs of a chat", parse_chat_completion, with(R"("logprobs":5)"),
       "logprobs must be true or false (it is 5)"},
      {"top_logprobs alone", parse_chat_completion, with(R"("top_logprobs":5)"),
       "top_logprobs needs \"logprobs\": true beside it (it is 5)"},
      {"too many top_logprobs", parse_chat_completion, with(R"("logprobs":true,"top_logprobs":21)"),
       "top_logprobs must be a whole number from 0 to 20 (it is 21)"},
      {"a format", parse_chat_completion, with(R"("response_format":{"type":"xml"})"),
       "response_format must be {\"type\": \"text\"}, {\"type\": \"json_object\"} or {\"type\": "
       "\"json_schema\", \"json_schema\": {\"name\": ..., \"schema\": {...}}} (it is "
       "{\"type\":\"xml\"})"},
      {"no schema", parse_chat_completion,
       with(R"("response_format":{"type":"json_schema","json_schema":{"name":"a"}})"),
       "response_format of type json_schema needs json_schema: {\"name\": ..., \"schema\": {...}} "
       "(it is {\"json_schema\":{\"name\":\"a\"},\"type\":\"json_schema\"})"},
      {"template variables", parse_chat_completion, with(R"("chat_template_kwargs":[1])"),
       "chat_template_kwargs must be an object of the template's variables (it is [1])"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto parsed = row.parse(row.body, {});
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code == Code::invalid);
    CHECK(parsed.error().what == row.error);
  }
}
