// tests/gpu/serve/request_test.cpp - three APIs' requests are read as their documents say, and a
// wrong one is told which field, which value and what to do.
#include "gpu/serve/request.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace kairo;
using namespace kairo::gpu;
namespace {
constexpr const char* hi = R"("messages":[{"role":"user","content":"hi"}])";
std::string chat(const std::string& more) {
  return std::string("{") + hi + (more.empty() ? "" : ",") + more + "}";
}
using Parse = Result<Request> (*)(std::string_view, const Defaults&);
struct Bad {
  std::string name;
  Parse parse;
  std::string body, error;
};
}  // namespace

TEST_CASE("chat completions: every field") {
  const auto parsed = parse_chat_completion(R"({"model":"pip","messages":[
    {"role":"system","content":"be brief"},
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],
    "temperature":0.5,"top_p":0.9,"top_k":-1,"max_tokens":7,"stop":["x","yy"],"seed":42,
    "presence_penalty":0.25,"frequency_penalty":-0.5,"repetition_penalty":1.5,"n":1,
    "stream":true,"stream_options":{"include_usage":true},"user":"me","logprobs":false,
    "response_format":{"type":"text"},"tools":[]})");
  REQUIRE_MESSAGE(parsed.ok(), (parsed.ok() ? "" : parsed.error().what));
  const Request& r = parsed.value();
  CHECK(r.model == "pip");
  CHECK(r.messages == R"([{"content":"be brief","role":"system"},{"content":"ab","role":"user"}])");
  CHECK(r.sampling.temperature == 0.5f);
  CHECK(r.sampling.top_p == 0.9f);
  CHECK(r.sampling.top_k == 0);
  CHECK(r.max_tokens == 7);
  CHECK(r.stop == std::vector<std::string>{"x", "yy"});
  CHECK(r.seed == 42u);
  CHECK(r.sampling.presence_penalty == 0.25f);
  CHECK(r.sampling.frequency_penalty == -0.5f);
  CHECK(r.sampling.repetition_penalty == 1.5f);
  CHECK(r.stream);
  CHECK(r.include_usage);
}

TEST_CASE("defaults; null is absent; one stop string; the newer name of max_tokens") {
  const auto parsed = parse_chat_completion(
      chat(R"("temperature":null,"stop":"end","max_completion_tokens":3,"seed":null)"));
  REQUIRE(parsed.ok());
  CHECK(parsed.value().sampling.temperature == 1.0f);
  CHECK(parsed.value().sampling.top_p == 1.0f);
  CHECK(parsed.value().model.empty());
  CHECK(parsed.value().stop == std::vector<std::string>{"end"});
  CHECK(parsed.value().max_tokens == 3);
  CHECK_FALSE(parsed.value().seed);
  CHECK_FALSE(parsed.value().stream);
}

TEST_CASE("what is let through") {
  const std::string nested =
      R"("user":)" + std::string(63, '[') + std::string(63, ']');  // the body is the first level
  struct Row {
    std::string name;
    Parse parse;
    std::string body;
  };
  const Row rows[] = {
      {"64 levels", parse_chat_completion, chat(nested)},
      {"n as 1.0", parse_chat_completion, chat(R"("n":1.0,"best_of":1,"min_p":0.0)")},
      {"both ends of a range", parse_chat_completion,
       chat(R"("temperature":2,"top_p":1,"presence_penalty":-2,"frequency_penalty":2)")},
      {"the smallest", parse_chat_completion,
       chat(R"("temperature":0,"top_p":0.0001,"max_tokens":1,"repetition_penalty":0.01)")},
      {"null is without", parse_chat_completion,
       chat(R"("tools":null,"n":null,"stream_options":null,"stop":null,"logit_bias":null)")},
      {"empty is without", parse_chat_completion,
       chat(R"("functions":[],"logit_bias":{},"stop":[],"stream_options":{})")},
      {"unknown fields", parse_chat_completion, chat(R"("store":true,"metadata":{"a":1})")},
      {"content of null", parse_chat_completion,
       R"({"messages":[{"role":"assistant","content":null},{"role":"user"}]})"},
      {"16 stops", parse_chat_completion,
       chat(R"("stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p"])")},
      {"the last field counts twice", parse_completion, R"({"prompt":5,"prompt":"a"})"},
      {"suffix and echo of nothing", parse_completion,
       R"({"prompt":"a","suffix":"","echo":false,"logprobs":null})"},
      {"defaults said aloud", parse_chat_completion,
       chat(
           R"("ignore_eos":false,"stop_token_ids":[],"add_generation_prompt":true,"guided_json":null)")},
      {"one token", parse_completion, R"({"prompt":[0]})"},
      {"/chat: hot", parse_kaito_chat, R"({"prompt":"a","generate_kwargs":{"temperature":100}})"},
      {"/chat: no kwargs", parse_kaito_chat, R"({"prompt":"a","generate_kwargs":null})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto parsed = row.parse(row.body, {});
    CHECK_MESSAGE(parsed.ok(), (parsed.ok() ? "" : parsed.error().what));
  }
  const auto silent = parse_chat_completion(R"({"messages":[{"role":"user"}]})");
  CHECK(silent.value().messages == R"([{"content":"","role":"user"}])");
  CHECK(parse_chat_completion(chat(R"("seed":-1)")).value().seed == 18446744073709551615u);
}

TEST_CASE("completions") {
  const auto text = parse_completion(R"({"prompt":"once"})");
  REQUIRE(text.ok());
  CHECK(text.value().prompt == "once");
  CHECK(text.value().max_tokens == 16);
  const auto list = parse_completion(R"({"prompt":["once"]})");
  REQUIRE(list.ok());
  CHECK(list.value().prompt == "once");
  for (const std::string body : {R"({"prompt":[1,2,3]})", R"({"prompt":[[1,2,3]]})"}) {
    CAPTURE(body);
    const auto tokens = parse_completion(body);
    REQUIRE(tokens.ok());
    CHECK(tokens.value().prompt_tokens == std::vector<std::int32_t>{1, 2, 3});
  }
}

TEST_CASE("KAITO's /chat") {
  const auto defaults = parse_kaito_chat(R"({"prompt":"p"})");
  REQUIRE(defaults.ok());
  CHECK(defaults.value().return_full_text);
  CHECK(defaults.value().max_tokens == 200);
  CHECK(defaults.value().sampling.top_k == 10);
  CHECK(defaults.value().sampling.temperature == 1.0f);
  const auto full = parse_kaito_chat(R"({"prompt":"p","return_full_text":false,
    "generate_kwargs":{"do_sample":false,"max_length":50,"top_k":3,"eos_token_id":9,
    "pad_token_id":1,"num_beams":1,"early_stopping":false}})");
  REQUIRE(full.ok());
  CHECK_FALSE(full.value().return_full_text);
  CHECK(full.value().sampling.temperature == 0.0f);
  CHECK(full.value().max_length == 50);
  CHECK(full.value().max_tokens == 0);
  CHECK(full.value().stop_tokens == std::vector<std::int32_t>{9});
  const auto both =
      parse_kaito_chat(R"({"prompt":"p","generate_kwargs":{"max_length":50,"max_new_tokens":9}})");
  REQUIRE(both.ok());
  CHECK(both.value().max_tokens == 9);
  CHECK(both.value().max_length == 0);
  const auto every = parse_kaito_chat(R"({"model":"pip","prompt":"p","generate_kwargs":{
    "do_sample":true,"temperature":0.5,"top_k":0,"top_p":0.25,"repetition_penalty":2,
    "max_new_tokens":9,"seed":4}})");
  REQUIRE(every.ok());
  CHECK(every.value().model == "pip");
  CHECK(every.value().sampling.temperature == 0.5f);
  CHECK(every.value().sampling.top_k == 0);
  CHECK(every.value().sampling.top_p == 0.25f);
  CHECK(every.value().sampling.repetition_penalty == 2.0f);
  CHECK(every.value().seed == 4u);
  CHECK(every.value().max_tokens == 9);
  const auto messages = parse_kaito_chat(chat(""));
  REQUIRE(messages.ok());
  CHECK(messages.value().messages == R"([{"content":"hi","role":"user"}])");
  CHECK_FALSE(messages.value().return_full_text);
}

TEST_CASE("wrong requests") {
  std::string deep = R"({"messages":)";
  for (int i = 0; i < 70; ++i) deep += "[";
  const Bad rows[] = {
      {"no JSON", parse_chat_completion, "{", "the body is not JSON"},
      {"empty", parse_completion, "", "the body is not JSON"},
      {"no object", parse_kaito_chat, "[1]", "the body is not a JSON object"},
      {"too deep", parse_chat_completion, deep, "the body is nested deeper than 64"},
      {"temperature", parse_chat_completion, chat(R"("temperature":2.5)"),
       "temperature must be a number from 0.0 to 2.0 (it is 2.5)"},
      {"temperature's type", parse_chat_completion, chat(R"("temperature":"hot")"),
       "temperature must be a number from 0.0 to 2.0 (it is \"hot\")"},
      {"top_p", parse_chat_completion, chat(R"("top_p":0)"),
       "top_p must be greater than 0, at most 1 (it is 0)"},
      {"max_tokens", parse_chat_completion, chat(R"("max_tokens":0)"),
       "max_tokens must be a whole number from 1 to 16777216 (it is 0)"},
      {"max_tokens is no whole number", parse_chat_completion, chat(R"("max_tokens":1.5)"),
       "max_tokens must be a whole number from 1 to 16777216 (it is 1.5)"},
      {"seed", parse_chat_completion, chat(R"("seed":"x")"),
       "seed must be a whole number (it is \"x\")"},
      {"stop", parse_chat_completion, chat(R"("stop":[""])"),
       "stop must be a string or a list of strings, none of them empty (it is [\"\"])"},
      {"stream", parse_chat_completion, chat(R"("stream":1)"),
       "stream must be true or false (it is 1)"},
      {"model", parse_chat_completion, chat(R"("model":7)"), "model must be a string (it is 7)"},
      {"tools", parse_chat_completion, chat(R"("tools":[{"type":"function"}])"),
       "tools[0] must be {\"type\": \"function\", \"function\": {\"name\": ...}} (it is "
       "{\"type\":\"function\"})"},
      {"no messages", parse_chat_completion, "{}",
       "messages is missing: a list of {\"role\", \"content\"}"},
      {"empty messages", parse_chat_completion, R"({"messages":[]})",
       "messages must be a list with at least one {\"role\", \"content\"}"},
      {"a message", parse_chat_completion, R"({"messages":["hi"]})",
       "messages[0] must be an object with role and content"},
      {"no role", parse_chat_completion, R"({"messages":[{"content":"hi"}]})",
       "messages[0].role must be system, user or assistant"},
      {"an image", parse_chat_completion,
       R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "messages[0].content has a part that is not text (it is {\"type\":\"image_url\"}): only "
       "{\"type\": \"text\", \"text\": ...} is supported"},
      {"content", parse_chat_completion, R"({"messages":[{"role":"user","content":5}]})",
       "messages[0].content must be a string or a list of text parts"},
      {"no prompt", parse_completion, "{}", "prompt is missing: a string"},
      {"empty prompt", parse_completion, R"({"prompt":""})", "prompt is empty"},
      {"several prompts", parse_completion, R"({"prompt":["a","b"]})",
       "prompt must be one string or one list of token numbers: send several prompts as several "
       "requests"},
      {"echo", parse_completion, R"({"prompt":"a","echo":true})",
       "echo is not supported here: leave it out (it is true)"},
      {"/chat without prompt", parse_kaito_chat, "{}",
       "prompt is missing: send a prompt, or messages for a conversation"},
      {"/chat: prompt's type", parse_kaito_chat, R"({"prompt":4})",
       "prompt must be a string (it is 4)"},
      {"/chat: beams", parse_kaito_chat, R"({"prompt":"a","generate_kwargs":{"num_beams":4}})",
       "generate_kwargs.num_beams is not supported here: leave it out (it is 4)"},
      {"/chat: kwargs", parse_kaito_chat, R"({"prompt":"a","generate_kwargs":7})",
       "generate_kwargs must be an object"},
  };
  for (const Bad& row : rows) {
    CAPTURE(row.name);
    const auto parsed = row.parse(row.body, {});
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code == Code::invalid);
    CHECK(parsed.error().what == row.error);
  }
}

TEST_CASE("wrong requests, field by field") {
  std::string stops = R"("stop":["a")";
  for (int i = 0; i < 16; ++i) stops += R"(,"a")";
  const std::string long_stop = std::string(1025, 's');
  const std::string shortened = " (it is [\"" + std::string(55, 's') + "...)";
  const std::string one_prompt =
      "prompt must be one string or one list of token numbers: send several prompts as several "
      "requests";
  const auto kwargs = [](const std::string& more) {
    return R"({"prompt":"a","generate_kwargs":{)" + more + "}}";
  };
  const std::string none_empty = "stop must be a string or a list of strings, none of them empty";
  const Bad rows[] = {
      {"bytes that are not UTF-8", parse_completion, "{\"prompt\":\"\xff\"}",
       "the body is not JSON"},
      {"a number beyond doubles", parse_chat_completion, chat(R"("temperature":1e999)"),
       "the body is not JSON"},
      {"more after the end", parse_completion, R"({"prompt":"a"}})", "the body is not JSON"},
      {"null", parse_completion, "null", "the body is not a JSON object"},
      {"65 levels", parse_completion,
       R"({"x":)" + std::string(65, '[') + std::string(65, ']') + "}",
       "the body is nested deeper than 64"},
      {"temperature below", parse_chat_completion, chat(R"("temperature":-0.1)"),
       "temperature must be a number from 0.0 to 2.0 (it is -0.1)"},
      {"top_p above", parse_chat_completion, chat(R"("top_p":1.5)"),
       "top_p must be a number from 0.0 to 1.0 (it is 1.5)"},
      {"top_k below", parse_chat_completion, chat(R"("top_k":-2)"),
       "top_k must be a whole number from -1 to 16777216 (it is -2)"},
      {"presence_penalty", parse_chat_completion, chat(R"("presence_penalty":2.5)"),
       "presence_penalty must be a number from -2.0 to 2.0 (it is 2.5)"},
      {"frequency_penalty", parse_chat_completion, chat(R"("frequency_penalty":-3)"),
       "frequency_penalty must be a number from -2.0 to 2.0 (it is -3)"},
      {"repetition_penalty", parse_chat_completion, chat(R"("repetition_penalty":0)"),
       "repetition_penalty must be a number from 0.01 to 100.0 (it is 0)"},
      {"max_tokens above", parse_chat_completion, chat(R"("max_tokens":16777217)"),
       "max_tokens must be a whole number from 1 to 16777216 (it is 16777217)"},
      {"max_tokens beyond 64 bits", parse_completion,
       R"({"prompt":"a","max_tokens":18446744073709551615})",
       "max_tokens must be a whole number from 1 to 16777216 (it is 18446744073709551615)"},
      {"max_completion_tokens", parse_chat_completion, chat(R"("max_completion_tokens":-1)"),
       "max_completion_tokens must be a whole number from 1 to 16777216 (it is -1)"},
      {"the first wrong field", parse_chat_completion, chat(R"("n":2,"model":7,"top_p":9)"),
       "model must be a string (it is 7)"},
      {"seed of a half", parse_chat_completion, chat(R"("seed":1.5)"),
       "seed must be a whole number (it is 1.5)"},
      {"17 stops", parse_chat_completion, chat(stops + "]"),
       "stop can have 16 strings (it is "
       R"(["a","a","a","a","a","a","a","a","a","a","a","a","a","a",...))"},
      {"a long stop, shown in short", parse_chat_completion,
       chat(R"("stop":[")" + long_stop + "\"]"), none_empty + shortened},
      {"a number as stop", parse_chat_completion, chat(R"("stop":5)"), none_empty + " (it is 5)"},
      {"stream_options", parse_chat_completion, chat(R"("stream_options":true)"),
       "stream_options must be an object (it is true)"},
      {"include_usage", parse_chat_completion, chat(R"("stream_options":{"include_usage":1})"),
       R"(stream_options must be {"include_usage": true} (it is {"include_usage":1}))"},
      {"messages as text", parse_chat_completion, R"({"messages":"hi"})",
       R"(messages must be a list with at least one {"role", "content"})"},
      {"the second message's role", parse_chat_completion,
       R"({"messages":[{"role":"user","content":"a"},{"role":5,"content":"b"}]})",
       "messages[1].role must be system, user or assistant"},
      {"a part of text without text", parse_chat_completion,
       R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})",
       R"(messages[0].content has a part that is not text (it is {"type":"text"}): only )"
       R"({"type": "text", "text": ...} is supported)"},
      {"a part that is a string", parse_chat_completion,
       R"({"messages":[{"role":"user","content":["a"]}]})",
       R"(messages[0].content has a part that is not text (it is "a"): only )"
       R"({"type": "text", "text": ...} is supported)"},
      {"prompt of null", parse_completion, R"({"prompt":null})", "prompt is missing: a string"},
      {"prompt as a number", parse_completion, R"({"prompt":5})",
       "prompt must be a string or a list of token numbers"},
      {"no tokens", parse_completion, R"({"prompt":[]})",
       "prompt must be a string or a list of token numbers"},
      {"one list of no tokens", parse_completion, R"({"prompt":[[]]})",
       "prompt must be a string or a list of token numbers"},
      {"one empty prompt", parse_completion, R"({"prompt":[""]})", "prompt is empty"},
      {"several lists of tokens", parse_completion, R"({"prompt":[[1],[2]]})", one_prompt},
      {"a negative token", parse_completion, R"({"prompt":[1,-1]})", one_prompt},
      {"a token beyond 64 bits", parse_completion, R"({"prompt":[18446744073709551615]})",
       one_prompt},
      {"a token of a half", parse_completion, R"({"prompt":[1.5]})", one_prompt},
      {"suffix", parse_completion, R"({"prompt":"a","suffix":"z"})",
       R"(suffix is not supported here: leave it out (it is "z"))"},
      {"/chat: empty prompt", parse_kaito_chat, R"({"prompt":""})",
       "prompt is missing: send a prompt, or messages for a conversation"},
      {"/chat: empty messages", parse_kaito_chat, R"({"prompt":"a","messages":[]})",
       R"(messages must be a list with at least one {"role", "content"})"},
      {"/chat: return_full_text", parse_kaito_chat, R"({"prompt":"a","return_full_text":"no"})",
       R"(return_full_text must be true or false (it is "no"))"},
      {"/chat: do_sample", parse_kaito_chat, kwargs(R"("do_sample":1)"),
       "generate_kwargs.do_sample must be true or false (it is 1)"},
      {"/chat: temperature", parse_kaito_chat, kwargs(R"("temperature":101)"),
       "generate_kwargs.temperature must be a number from 0.0 to 100.0 (it is 101)"},
      {"/chat: top_k", parse_kaito_chat, kwargs(R"("top_k":-1)"),
       "generate_kwargs.top_k must be a whole number from 0 to 16777216 (it is -1)"},
      {"/chat: top_p", parse_kaito_chat, kwargs(R"("top_p":0)"),
       "generate_kwargs.top_p must be greater than 0, at most 1 (it is 0)"},
      {"/chat: max_length", parse_kaito_chat, kwargs(R"("max_length":0)"),
       "generate_kwargs.max_length must be a whole number from 1 to 16777216 (it is 0)"},
      {"/chat: max_new_tokens", parse_kaito_chat, kwargs(R"("max_new_tokens":"9")"),
       R"(generate_kwargs.max_new_tokens must be a whole number from 1 to 16777216 (it is "9"))"},
      {"/chat: eos_token_id", parse_kaito_chat, kwargs(R"("eos_token_id":[1,2])"),
       "generate_kwargs.eos_token_id must be a whole number from 0 to 16777216 (it is [1,2])"},
      {"/chat: seed", parse_kaito_chat, kwargs(R"("seed":true)"),
       "generate_kwargs.seed must be a whole number (it is true)"},
      {"/chat: min_length", parse_kaito_chat, kwargs(R"("min_length":3)"),
       "generate_kwargs.min_length is not supported here: leave it out (it is 3)"},
      {"/chat: typical_p", parse_kaito_chat, kwargs(R"("typical_p":0.5)"),
       "generate_kwargs.typical_p is not supported here: leave it out (it is 0.5)"},
  };
  for (const Bad& row : rows) {
    CAPTURE(row.name);
    const auto parsed = row.parse(row.body, {});
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code == Code::invalid);
    CHECK(parsed.error().what == row.error);
  }
}

TEST_CASE("what would change the answer and is not here is refused by its name") {
  const std::pair<const char*, const char*> fields[] = {{"ignore_eos", "true"},
                                                        {"min_tokens", "4"},
                                                        {"functions", "[1]"},
                                                        {"stop_token_ids", "[5]"},
                                                        {"guided_json", "{}"},
                                                        {"guided_choice", R"(["x"])"},
                                                        {"skip_special_tokens", "false"},
                                                        {"add_special_tokens", "5"},
                                                        {"continue_final_message", "true"},
                                                        {"add_generation_prompt", "false"},
                                                        {"chat_template", R"("{{ 1 }}")"}};
  for (const auto& [field, value] : fields) {
    const std::string member = "\"" + std::string(field) + "\":" + value;
    const std::string why = field + std::string(" is not supported here: leave it out (it is ");
    CHECK(parse_chat_completion(chat(member)).error().what == why + value + ")");
  }
  for (const std::string field : {"best_of", "guided_regex"})
    CHECK(parse_completion(R"({"prompt":"a",")" + field + R"(":0})").error().what ==
          field + " is not supported here: leave it out (it is 0)");
}

TEST_CASE("changed bytes never crash the parsers") {
  const std::string seeds[] = {
      chat(R"("temperature":0.5,"stop":["x"],"seed":1,"stream_options":{"include_usage":true})"),
      R"({"prompt":[1,2,3],"max_tokens":5,"top_k":3})",
      R"({"prompt":"p","generate_kwargs":{"do_sample":false,"max_length":50,"eos_token_id":9}})"};
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string body = seeds[static_cast<std::size_t>(i) % 3];
    for (auto changes = 1 + random() % 4; changes > 0 && !body.empty(); --changes) {
      const std::size_t at = random() % body.size();
      const auto what = random() % 3;
      if (what == 0) body[at] = static_cast<char>(random());
      if (what == 1) body.erase(at, 1 + random() % 8);
      if (what == 2) body.insert(at, body.substr(random() % body.size(), 1 + random() % 16));
    }
    for (const Parse parse : {&parse_chat_completion, &parse_completion, &parse_kaito_chat})
      refused += parse(body, {}).ok() ? 0 : 1;
  }
  CHECK(refused > 20'000);
}
