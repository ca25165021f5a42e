// What this proves: where a request says nothing the model's generation_config.json speaks, as vLLM
// reads it; and a message that a client sends back as it got it is taken.
#include "gpu/serve/defaults.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "gpu/formats/files.h"
#include "gpu/serve/request.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;
using Json = nlohmann::json;

TEST_CASE("generation_config.json") {
  struct Row {
    std::string name, text, error;
    float temperature, top_p;
    int top_k;
    float repetition_penalty;
    int max_tokens;
  };
  const Row rows[] = {
      {"Qwen's",
       R"({"do_sample":true,"temperature":0.7,"top_p":0.8,"top_k":20,"repetition_penalty":1.05})",
       "", 0.7f, 0.8f, 20, 1.05f, 0},
      {"do_sample is not looked at", R"({"do_sample":false,"temperature":0.6})", "", 0.6f, 1, 0, 1,
       0},
      {"nothing of ours", R"({"eos_token_id":[1,2],"transformers_version":"5.24.0"})", "", 1, 1, 0,
       1, 0},
      {"nulls", R"({"temperature":null,"top_k":null})", "", 1, 1, 0, 1, 0},
      {"all tokens", R"({"top_k":-1,"temperature":0})", "", 0, 1, 0, 1, 0},
      {"an answer's length", R"({"max_new_tokens":256})", "", 1, 1, 0, 1, 256},
      {"no number", R"({"temperature":"hot"})",
       "generation_config.json: temperature must be a number from 0.0 to 2.0 (it is \"hot\")", 1, 1,
       0, 1, 0},
      {"top_p 0", R"({"top_p":0})",
       "generation_config.json: top_p must be greater than 0, at most 1 (it is 0)", 1, 1, 0, 1, 0},
      {"no object", "[]", "generation_config.json: is not a JSON object", 1, 1, 0, 1, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempFolder folder;
    REQUIRE(write_file(folder.path() + "/generation_config.json", row.text).ok());
    const auto read = load_defaults(folder.path());
    CHECK((read.ok() ? "" : read.error().what) == row.error);
    if (!read.ok()) continue;
    CHECK(read.value().sampling.temperature == row.temperature);
    CHECK(read.value().sampling.top_p == row.top_p);
    CHECK(read.value().sampling.top_k == row.top_k);
    CHECK(read.value().sampling.repetition_penalty == row.repetition_penalty);
    CHECK(read.value().max_tokens == row.max_tokens);
  }
  const test::TempFolder unlikely;
  REQUIRE(write_file(unlikely.path() + "/generation_config.json", R"({"min_p":0.1})").ok());
  CHECK(load_defaults(unlikely.path()).value().sampling.min_p == 0.1f);
  const test::TempFolder empty;
  CHECK(load_defaults(empty.path()).value().sampling.temperature == 1);
}

TEST_CASE("a request wins over the model, KAITO's /chat over both") {
  Defaults model;
  model.sampling.temperature = 0.25f;
  model.sampling.top_k = 20;
  model.max_tokens = 64;
  const std::string chat = R"({"messages":[{"role":"user","content":"a"}])";
  const auto silent = parse_chat_completion(chat + "}", model).value();
  CHECK(silent.sampling.temperature == 0.25f);
  CHECK(silent.sampling.top_k == 20);
  CHECK(silent.max_tokens == 64);
  const auto spoken =
      parse_chat_completion(chat + R"(,"temperature":1,"top_k":0,"max_tokens":7})", model).value();
  CHECK(spoken.sampling.temperature == 1);
  CHECK(spoken.sampling.top_k == 0);
  CHECK(spoken.max_tokens == 7);
  CHECK(
      parse_chat_completion(chat + R"(,"temperature":null})", model).value().sampling.temperature ==
      0.25f);
  const auto completion = parse_completion(R"({"prompt":"a"})", model).value();
  CHECK(completion.sampling.temperature == 0.25f);
  CHECK(completion.max_tokens == 16);  // OpenAI's own default
  const auto kaito = parse_kaito_chat(R"({"prompt":"a"})", model).value();
  CHECK(kaito.sampling.temperature == 1);
  CHECK(kaito.sampling.top_k == 10);
  CHECK(kaito.max_tokens == 200);
}

TEST_CASE("messages as clients send them back") {
  struct Row {
    std::string name, message, wanted;  // wanted: what the template gets, or the error
  };
  const std::string at = "messages[0]";
  const Row rows[] = {
      {"openai's model_dump",
       R"({"content":"hi","refusal":null,"role":"assistant","annotations":null,"audio":null,"function_call":null,"tool_calls":null})",
       R"({"content":"hi","role":"assistant"})"},
      {"a call without content",
       R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]})",
       R"({"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":{"a":1}}}]})"},
      {"a call with content and arguments as an object",
       R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]})",
       R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]})"},
      {"a call without arguments",
       R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":""}}]})",
       R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]})"},
      {"no calls", R"({"role":"assistant","content":"x","tool_calls":[]})",
       R"({"role":"assistant","content":"x"})"},
      {"no content", R"({"role":"user","content":null})", R"({"role":"user","content":""})"},
      {"a tool's answer", R"({"role":"tool","tool_call_id":"1","content":"42","name":null})",
       R"({"role":"tool","tool_call_id":"1","content":"42"})"},
      {"thoughts",
       R"({"role":"assistant","content":"x","reasoning_content":"why","reasoning":null})",
       R"({"role":"assistant","content":"x","reasoning_content":"why"})"},
      {"text parts",
       R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})",
       R"({"role":"user","content":"ab"})"},
      {"calls that are no list", R"({"role":"assistant","tool_calls":"f"})",
       at + ".tool_calls must be a list"},
      {"a call that is no function", R"({"role":"assistant","tool_calls":[1]})",
       at + ".tool_calls must be a list of {\"function\": {...}}"},
      {"arguments that are no JSON",
       R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"a=1"}}]})",
       at + ".tool_calls: function.arguments is not JSON"},
      {"a picture", R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]})",
       at + ".content has a part that is not text (it is {\"image_url\":{\"url\":\"x\"},\"type\":"
            "\"image_url\"}): only {\"type\": \"text\", \"text\": ...} is supported"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto read = parse_chat_completion(R"({"messages":[)" + row.message + "]}");
    if (!read.ok())
      CHECK(read.error().what == row.wanted);
    else
      CHECK(Json::parse(read.value().messages)[0] == Json::parse(row.wanted, nullptr, false));
  }
}
