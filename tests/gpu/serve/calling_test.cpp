// tests/gpu/serve/calling_test.cpp - answers that call functions, whole and streamed, as the SDKs
// read them. The model's weights are random: what must be called is, and its arguments validate.
#include <fstream>

#include "tests/gpu/serve/server_bench.h"

namespace kairo::gpu {
namespace {
using test::Bench;
using test::Json;

// The tiny model with a template that shows functions and writes calls in tags.
const std::string& calling_model() {
  static const test::TempFolder folder;
  static const bool is_written = [] {
    const std::string model = folder.path() + "/model";
    if (!test::write_tiny_model(model).ok()) return false;
    std::ofstream(model + "/chat_template.jinja")
        << "{% if tools %}{{ tools | tojson }}{% endif %}"
           "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}"
           "<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": "
           "{{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}{% endfor %}"
           "{% if add_generation_prompt %}<assistant>{% endif %}";
    return true;
  }();
  REQUIRE(is_written);
  return folder.path();
}
Json asking(const Json& choice) {
  const Json parameters = {{"type", "object"},
                           {"properties", {{"city", {{"type", "string"}, {"maxLength", 3}}}}},
                           {"required", {"city"}},
                           {"additionalProperties", false}};
  Json body = test::question("ab", 900);  // random weights like blanks
  body["tools"] = Json::array();
  for (const char* name : {"rain", "sun"})
    body["tools"].push_back(
        {{"type", "function"}, {"function", {{"name", name}, {"parameters", parameters}}}});
  body["tool_choice"] = choice;
  return body;
}
void check_call(const Json& call, const std::string& name) {
  CHECK(call["type"] == "function");
  CHECK(call["id"].get<std::string>().starts_with("call_"));
  const auto called = call["function"]["name"].get<std::string>();
  CHECK((name.empty() ? called == "rain" || called == "sun" : called == name));
  const Json arguments = Json::parse(call["function"]["arguments"].get<std::string>());
  CHECK(arguments.size() == 1);
  CHECK(arguments["city"].is_string());
}
}  // namespace

TEST_CASE("calling: what must be called is") {
  Bench bench;
  bench.options.generator.model_dir = calling_model() + "/model";
  bench.options.generator.context_tokens = 1400;
  bench.open();
  const Json sun = {{"type", "function"}, {"function", {{"name", "sun"}}}};
  for (const Json& choice : {Json("required"), sun}) {
    CAPTURE(choice.dump());
    const std::string name = choice.is_string() ? "" : "sun";
    const auto reply = bench.post("/v1/chat/completions", asking(choice));
    REQUIRE(reply);
    REQUIRE_MESSAGE(reply->status == 200, reply->body);
    const Json answer = Json::parse(reply->body)["choices"][0];
    REQUIRE_MESSAGE(answer["message"].contains("tool_calls"), reply->body);
    CHECK(answer["message"]["content"] == nullptr);
    REQUIRE(answer["message"]["tool_calls"].size() == 1);
    check_call(answer["message"]["tool_calls"][0], name);
    CHECK(answer["finish_reason"] == (name.empty() ? "tool_calls" : "stop"));

    Json streamed = asking(choice);
    streamed["stream"] = true;
    const auto events = bench.post("/v1/chat/completions", streamed);
    REQUIRE(events);
    Json call = {{"type", "function"}, {"id", ""}, {"function", {{"name", ""}, {"arguments", ""}}}};
    Json reason;
    for (const Json& event : test::events_of(events->body)) {
      const Json& of = event["choices"][0];
      if (!of["finish_reason"].is_null()) reason = of["finish_reason"];
      if (!of["delta"].contains("tool_calls")) continue;
      const Json& part = of["delta"]["tool_calls"][0];  // strings are added up, as clients do
      CHECK(part["index"] == 0);
      if (part.contains("id"))
        call["id"] = call["id"].get<std::string>() + part["id"].get<std::string>();
      for (const auto& [key, value] : part["function"].items())
        call["function"][key] = call["function"][key].get<std::string>() + value.get<std::string>();
    }
    check_call(call, name);
    CHECK(call["function"] == answer["message"]["tool_calls"][0]["function"]);
    CHECK(reason == (name.empty() ? "tool_calls" : "stop"));
  }
}

TEST_CASE("calling: an answer may call nothing; a model without functions says so") {
  Bench bench;
  bench.options.generator.model_dir = calling_model() + "/model";
  bench.options.generator.context_tokens = 1400;
  bench.open();
  for (const char* choice : {"auto", "none"}) {
    const auto reply = bench.post("/v1/chat/completions", asking(choice));
    REQUIRE(reply);
    CHECK(reply->status == 200);
    const Json answer = Json::parse(reply->body)["choices"][0];
    CHECK(answer["message"]["content"].is_string());
    CHECK_FALSE(answer["message"].contains("tool_calls"));
  }
  Bench plain;
  plain.open();
  const auto refused = plain.post("/v1/chat/completions", asking("auto"));
  REQUIRE(refused);
  CHECK(refused->status == 400);
  CHECK(Json::parse(refused->body)["error"]["message"] ==
        "tools: the model's chat template shows it no functions");
}
}  // namespace kairo::gpu
