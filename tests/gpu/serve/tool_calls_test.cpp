// tests/gpu/serve/tool_calls_test.cpp - what a request says of functions, how a model writes calls,
// and calls out of an answer's text.
#include "gpu/serve/tool_calls.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
const std::string weather =
    R"({"type":"function","function":{"name":"weather","parameters":{"type":"object",)"
    R"("properties":{"city":{"$ref":"#/$defs/c"}},"required":["city"],)"
    R"("$defs":{"c":{"type":"string"}}}}})";
const std::string now = R"({"type":"function","function":{"name":"now"}})";
Tools tools_of(const std::string& rest, const std::string& tools = weather + "," + now) {
  const auto read = read_tools("{\"tools\":[" + tools + "]" + rest + "}");
  REQUIRE_MESSAGE(read.ok(), read.error().what);
  return read.value();
}
std::string error_of(const std::string& body) {
  const auto read = read_tools(body);
  return read.ok() ? "" : read.error().what;
}
struct Heard {
  std::string text;
  std::vector<ToolCall> calls;
  bool operator==(const Heard&) const = default;
};
// The answer in pieces of so many characters.
Heard heard(const CallForm& form, const std::string& answer, std::size_t piece,
            const Tools& tools = tools_of(""), bool is_forced = false) {
  CallReader reader(form, tools, is_forced);
  Heard out;
  const auto add = [&](const std::string& text) {
    out.text += text;
    for (ToolCall& call : reader.take()) out.calls.push_back(std::move(call));
  };
  for (std::size_t at = 0; at < answer.size(); at += piece)
    add(reader.push(answer.substr(at, piece)));
  add(reader.finish());
  return out;
}
const CallForm tagged = {"<tool_call>\n", "arguments", true}, bare = {"", "parameters", false},
               mistral = {"[TOOL_CALLS]", "arguments", false, "[ARGS]"};
}  // namespace

TEST_CASE("tools: what a request says") {
  CHECK(tools_of("").use == ToolUse::free);
  CHECK(tools_of("").names == std::vector<std::string>{"weather", "now"});
  CHECK(tools_of("").several);
  CHECK(tools_of("").definitions == "[" + weather + "," + now + "]");
  CHECK(tools_of(R"(,"tool_choice":"none")").use == ToolUse::none);
  CHECK(tools_of(R"(,"tool_choice":"required","parallel_tool_calls":false)").use ==
        ToolUse::required);
  CHECK_FALSE(tools_of(R"(,"parallel_tool_calls":false)").several);
  const Tools named = tools_of(R"(,"tool_choice":{"type":"function","function":{"name":"now"}})");
  CHECK(named.use == ToolUse::required);
  CHECK(named.only == "now");
  CHECK(read_tools(R"({"tools":[]})").value().use == ToolUse::none);
}

TEST_CASE("tools: what is wrong is named") {
  CHECK(error_of(R"({"tool_choice":"auto"})") == "tool_choice needs tools beside it");
  CHECK(error_of(R"({"tools":{"a":1}})") == "tools must be a list of at most 128 functions");
  CHECK(error_of(R"({"tools":[{"type":"custom"}]})") ==
        "tools[0] must be {\"type\": \"function\", \"function\": {\"name\": ...}} (it is "
        "{\"type\":\"custom\"})");
  CHECK(error_of(R"({"tools":[{"type":"function","function":{"name":"a b"}}]})") ==
        "tools[0].function.name must be 1 to 64 letters, digits, _ or -");
  CHECK(error_of("{\"tools\":[" + now + "," + now + "]}") ==
        "tools[1].function.name is there twice (now)");
  CHECK(error_of("{\"tools\":[" + now +
                 R"(],"tool_choice":{"type":"function","function":{"name":"x"}}})") ==
        "tool_choice names x, which is none of tools");
  CHECK(error_of("{\"tools\":[" + now + R"(],"tool_choice":"any"})") ==
        "tool_choice must be \"none\", \"auto\", \"required\" or {\"type\": \"function\", "
        "\"function\": {\"name\": ...}} (it is \"any\")");
}

TEST_CASE("tools: the schema of a call") {
  CHECK(forced_call(tools_of(""), bare).value().schema ==
        R"({"anyOf":[{"type":"object","properties":{"name":{"const":"weather"},)"
        R"("parameters":{"type":"object","properties":{"city":{"$ref":"#/$defs/f0_c"}},)"
        R"("required":["city"]}},"required":["name","parameters"],"additionalProperties":false},)"
        R"({"type":"object","properties":{"name":{"const":"now"},"parameters":{"type":"object"}},)"
        R"("required":["name","parameters"],"additionalProperties":false}],)"
        R"("$defs":{"f0_c":{"type":"string"}}})");
  const Tools named = tools_of(R"(,"tool_choice":{"type":"function","function":{"name":"now"}})");
  CHECK(forced_call(named, tagged).value().opening == "<tool_call>\n");
  CHECK(forced_call(named, tagged).value().schema ==
        R"({"type":"object","properties":{"name":{"const":"now"},"arguments":{"type":"object"}},)"
        R"("required":["name","arguments"],"additionalProperties":false})");
}

TEST_CASE("tools: a call whose name comes first is begun for the model") {
  const Tools named =
      tools_of(R"(,"tool_choice":{"type":"function","function":{"name":"weather"}})");
  const auto weather_call = forced_call(named, mistral);
  REQUIRE(weather_call.ok());
  CHECK(weather_call.value().opening == "[TOOL_CALLS]weather[ARGS]");
  CHECK(weather_call.value().schema ==
        R"({"type":"object","properties":{"city":{"$ref":"#/$defs/c"}},"required":["city"],)"
        R"("$defs":{"c":{"type":"string"}}})");
  const auto only = forced_call(tools_of(R"(,"tool_choice":"required")", now), mistral);
  CHECK(only.value().opening == "[TOOL_CALLS]now[ARGS]");
  CHECK(only.value().schema == R"({"type":"object"})");
  CHECK(forced_call(tools_of(R"(,"tool_choice":"required")"), mistral).error().what ==
        "tool_choice: this model writes a function's name before its JSON: name the one that it "
        "must call");
}

TEST_CASE("tools: how a model writes a call is what its template renders") {
  test::TempFolder folder;
  test::write_tiny_tokenizer(folder.path(), "");
  auto loaded = Tokenizer::load(folder.path());
  REQUIRE(loaded.ok());
  Tokenizer tokenizer = std::move(loaded).value();
  const std::string head =
      "{% if tools %}<s>{% for t in tools %}{{ t.function.name }}{% endfor %}</s>{% endif %}"
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}";
  const std::string tail =
      "{% endfor %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
  const auto form = [&](const std::string& call) {
    REQUIRE(tokenizer.set_chat_template(head + call + tail).ok());
    return form_of_calls(tokenizer);
  };
  const auto hermes = form(
      "<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": "
      "{{ c.function.arguments | tojson }}}\n</tool_call>");
  REQUIRE_MESSAGE(hermes.ok(), hermes.error().what);
  CHECK(hermes.value().opening == "<tool_call>\n");
  CHECK(hermes.value().arguments == "arguments");
  CHECK(hermes.value().is_tagged);
  const auto llama = form(
      "{\"name\": \"{{ c.function.name }}\", \"parameters\": "
      "{{ c.function.arguments | tojson }}}");
  REQUIRE(llama.ok());
  CHECK(llama.value().opening == "");
  CHECK(llama.value().arguments == "parameters");
  CHECK_FALSE(llama.value().is_tagged);
  const auto list = form(
      "[CALLS] [{\"name\": \"{{ c.function.name }}\", \"arguments\": "
      "{{ c.function.arguments | tojson }}}]");
  REQUIRE(list.ok());
  CHECK(list.value().opening == "[CALLS] [");
  const auto thinking = [&](const std::string& call) {  // the prompt's end begins as a call does
    const std::string prompt = "{% if add_generation_prompt %}<assistant>\n<think>{% endif %}";
    REQUIRE(
        tokenizer.set_chat_template(head + "\n" + call + "{% endfor %}{% endfor %}" + prompt).ok());
    return form_of_calls(tokenizer);
  };
  CHECK(thinking("<tool_call>{\"name\": \"{{ c.function.name }}\"}").value().opening ==
        "<tool_call>");
  for (const std::string between : {"[ARGS]", "[CALL_ID]{{ c.id }}[ARGS]"}) {
    CAPTURE(between);
    const auto named =
        form("[CALLS]{{ c.function.name }}" + between + "{{ c.function.arguments | tojson }}");
    REQUIRE_MESSAGE(named.ok(), named.error().what);
    CHECK(named.value().opening == "[CALLS]");
    CHECK(named.value().after_name == "[ARGS]");
  }
  CHECK(form("{{ c.function.name }}(x: y)").error().what ==
        "tools: the model's chat template writes calls in a form that is not read here; a JSON "
        "object with a name is");
  REQUIRE(tokenizer.set_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}").ok());
  CHECK(form_of_calls(tokenizer).error().what ==
        "tools: the model's chat template shows it no functions");
}

TEST_CASE("tools: calls in an answer, whatever its pieces") {
  struct Row {
    const CallForm& form;
    std::string answer;
    Heard wanted;
  };
  const ToolCall rome = {"weather", R"({"city":"Rome"})"}, oslo = {"weather", R"({"city":"Oslo"})"};
  const std::string of_rome = R"({"name": "weather", "arguments": {"city": "Rome"}})";
  const Row rows[] = {
      {tagged, "Just text <tool", {"Just text <tool", {}}},
      {tagged, "<tool_call>\n" + of_rome + "\n</tool_call>", {"", {rome}}},
      {tagged,
       "I look. <tool_call>" + of_rome + "</tool_call>\n<tool_call>\n" +
           R"({"name": "weather", "arguments": {"city": "Oslo"}})" + "\n</tool_call>",
       {"I look. ", {rome, oslo}}},
      {tagged, "<tool_call>" + of_rome, {"", {rome}}},  // it stopped before the tag
      {tagged,
       "<tool_call>{\"name\": \"other\"}</tool_call>",
       {"<tool_call>{\"name\": \"other\"}</tool_call>", {}}},
      {tagged, "<tool_call>nonsense", {"<tool_call>nonsense", {}}},
      {bare, R"({"name": "weather", "parameters": {"city": "Rome"}})", {"", {rome}}},
      {bare,
       R"([{"name": "weather", "arguments": {"city": "Rome"}}, {"name": "now"}])",
       {"", {rome, {"now", "{}"}}}},
      {bare, R"({"city": "Rome"})", {R"({"city": "Rome"})", {}}},
      {bare, R"(A {"name": "now"})", {R"(A {"name": "now"})", {}}},
      {bare, "", {"", {}}},
      {mistral, R"([TOOL_CALLS]weather[ARGS]{"city": "Rome"})", {"", {rome}}},
      {mistral, R"(weather{"city": "Rome"})", {"", {rome}}},  // marks are left out of a text
      {mistral, R"([TOOL_CALLS]weather[CALL_ID]a1B2c3D4e[ARGS]{"city": "Rome"})", {"", {rome}}},
      {mistral,
       R"([TOOL_CALLS]weather[ARGS]{"city": "Rome"}[TOOL_CALLS]weather[ARGS]{"city": "Oslo"})",
       {"", {rome, oslo}}},
      {mistral, R"(weather{"city": "Rome"} now{})", {"", {rome, {"now", "{}"}}}},
      {mistral, "Rome is hot.", {"Rome is hot.", {}}},
      {mistral, "weather", {"weather", {}}},
      {mistral, "nowadays it rains", {"nowadays it rains", {}}},
      {mistral, "now: {it rains}", {"now: {it rains}", {}}},
      {mistral, R"(now{"a": "}")", {R"(now{"a": "}")", {}}},
      {mistral, R"(now{"a": "}"} and so on)", {R"(now{"a": "}"} and so on)", {}}},
      {mistral, "", {"", {}}},
  };
  for (const Row& row : rows)
    for (const std::size_t piece : {1, 5, 1000}) {
      CAPTURE(row.answer);
      CAPTURE(piece);
      CHECK(heard(row.form, row.answer, piece) == row.wanted);
    }
  const Tools one = tools_of(R"(,"parallel_tool_calls":false)");
  CHECK(heard(tagged,
              "<tool_call>" + of_rome + "</tool_call><tool_call>" + of_rome + "</tool_call>", 3,
              one)
            .calls == std::vector<ToolCall>{rome});
  const Tools forced = tools_of(R"(,"tool_choice":"required")");
  CHECK(heard(tagged, of_rome, 4, forced, true) == Heard{"", {rome}});
  const Tools only =
      tools_of(R"(,"tool_choice":{"type":"function","function":{"name":"weather"}})");
  CHECK(heard(mistral, R"({"city": "Rome"})", 4, only, true) == Heard{"", {rome}});
  CHECK(heard(mistral, R"({"city": "R)", 4, only, true) == Heard{R"({"city": "R)", {}});
  CHECK(heard(tagged, of_rome.substr(0, 20), 4, forced, true) == Heard{of_rome.substr(0, 20), {}});
}
}  // namespace kairo::gpu
