// tests/gpu/hf/tokenizer_test.cpp - proves: text <-> tokens, chat templates and the incremental
// detokenizer agree with transformers, on a small byte-level tokenizer.
#include "gpu/hf/tokenizer.h"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <map>
#include <thread>

#include "gpu/formats/files.h"
#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
const std::string hi = R"([{"role":"user","content":"hi"}])";
Tokenizer tiny(const std::string& chat_template = test::chatml) {
  const test::TempFolder folder;
  test::write_tiny_tokenizer(folder.path(), chat_template);
  auto loaded = Tokenizer::load(folder.path());
  REQUIRE(loaded.ok());
  return std::move(loaded).value();
}
std::vector<std::int32_t> ids(const Tokenizer& t, const std::string& text) {
  auto out = t.encode(text, false);
  REQUIRE(out.ok());
  return std::move(out).value();
}
}  // namespace

TEST_CASE("tokenizer: every text comes back, with ranges that cover it") {
  const auto t = tiny();
  const std::string texts[] = {"",
                               "plain",
                               "two  spaces\n\ttab",
                               "\xC3\xA9t\xC3\xA9 \xF0\x9F\x98\x80!",
                               std::string("nul\0inside", 10),
                               "<|im_start|>user\nhi<|im_end|>"};
  for (const auto& text : texts) {
    CAPTURE(text);
    const auto e = t.encode_with_ranges(text, false);
    REQUIRE(e.ok());
    CHECK(e.value().tokens == ids(t, text));
    REQUIRE(e.value().ranges.size() == e.value().tokens.size());
    std::size_t reached = 0;
    for (const auto& [begin, end] : e.value().ranges) {
      CHECK(begin <= reached);  // no byte is left out
      CHECK(end > begin);
      reached = std::max(reached, end);
    }
    CHECK(reached == text.size());
    const auto back = t.decode(e.value().tokens, false);
    REQUIRE(back.ok());
    CHECK(back.value() == text);
  }
}

TEST_CASE("tokenizer: special tokens are one token and can be left out") {
  const auto t = tiny();
  const auto tokens = ids(t, "<|im_start|>a<|im_end|>");
  CHECK(tokens == std::vector<std::int32_t>{256, 'a' - '!', 257});
  CHECK(t.decode(tokens, true).value() == "a");
  CHECK(t.id_of("<|im_end|>") == 257);
  CHECK(t.eos() == 257);
  CHECK(t.eos_text() == "<|im_end|>");
  CHECK_FALSE(t.id_of("<|absent|>"));
}

TEST_CASE("tokenizer: hostile input is an error that says so") {
  const auto t = tiny();
  CHECK(t.encode("\xFF\xFE", false).error().what.find("not UTF-8") != std::string::npos);
  const std::int32_t negative[] = {-1};
  CHECK(t.decode(negative, false).error().code == Code::invalid);
  const std::int32_t beyond[] = {std::numeric_limits<std::int32_t>::max()};
  CHECK(t.decode(beyond, false).value().empty());  // as the tokenizers library: left out
  CHECK(Tokenizer::load("/nonexistent").error().code == Code::not_found);
  const test::TempFolder folder;
  REQUIRE(write_file(folder.path() + "/tokenizer.json", "{\"model\": 3}").ok());
  CHECK(Tokenizer::load(folder.path()).error().code == Code::invalid);
}

TEST_CASE("tokenizer: chat templates") {
  struct TemplateRow {
    std::string name, source, messages, text, error;
  };
  const TemplateRow rows[] = {
      {"chatml", test::chatml, hi, "<|im_start|>user\nhi<|im_end|>\n", ""},
      {"tokens", "{{ bos_token }}|{{ eos_token }}", hi, "|<|im_end|>", ""},
      {"python methods", "{{ messages[0]['content'].upper().strip() }}", hi, "HI", ""},
      {"tojson", "{{ messages | tojson }}", R"([{"role":"user","content":"<é>"}])",
       R"([{"role": "user", "content": "<é>"}])", ""},
      {"tojson's arguments",
       "{{ messages[0] | tojson(sort_keys=true, separators=[',', ':'], ensure_ascii=true) }}"
       "{{ messages[0] | tojson(indent=1) }}",
       R"([{"role":"é😀","content":"a\\"}])",
       R"({"content":"a\\","role":"\u00e9\ud83d\ude00"})"
       "{\n \"role\": \"é😀\",\n \"content\": \"a\\\\\"\n}",
       ""},
      {"endless", "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
       hi, "", "fuel"},
      {"raise", "{{ raise_exception('roles must alternate') }}", hi, "", "roles must alternate"},
      {"broken", "{% if %}", hi, "", "chat template: syntax error"},
      {"no message", test::chatml, "[]", "", "give at least one message"},
      {"not an array", test::chatml, R"({"role":"user"})", "", "must be JSON arrays"},
      {"two values", test::chatml, R"([],"x":[])", "", "must be JSON arrays"},
      {"too deep", test::chatml, std::string(100'000, '[') + std::string(100'000, ']'), "",
       "recursion limit"},
      {"private use", "{{ messages[0].content }}",
       "[{\"role\":\"user\",\"content\":\"\xF3\xB0\x80\x81\"}]", "\xF3\xB0\x80\x81", ""},
      {"null members",
       "{{ 'tool_calls' in messages[0] }}{{ messages[0].content }}{{ messages[0].x.y }}",
       R"([{"role":"user","tool_calls":null,"content":null,"x":{"y":null}}])", "FalseNone", ""},
      {"reasoning", "{{ messages[0] | tojson }}",
       R"([{"role":"a","reasoning":"R","thinking":null}])",
       R"({"thinking": "R", "role": "a", "reasoning": "R", "reasoning_content": "R"})", ""},
      {"thinking", "{{ messages[0] | tojson }}", R"([{"role":"a","thinking":"T","reasoning":"R"}])",
       R"({"thinking": "T", "role": "a", "reasoning": "R", "reasoning_content": "T"})", ""},
      {"reasoning_content", "{{ messages[0] | tojson }}",
       R"([{"role":"a","reasoning_content":"C","thinking":"T"}])",
       R"({"thinking": "T", "role": "a", "reasoning_content": "C"})", ""},
      {"none is no list", "{% for c in messages[0].x.calls %}{% endfor %}",
       R"([{"role":"a","x":{"calls":null}}])", "", "'NoneType' object is not iterable"},
      {"a tree of numbers", "{{ messages[0].x | tojson }}",
       R"([{"x":[1e-05,1e20,1.0,-0.0,1.10,123456789012345678901234567890]}])",
       "[1e-05, 1e+20, 1.0, -0.0, 1.1, 123456789012345678901234567890]", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto t = tiny(row.source);
    const auto chat = t.apply_chat(row.messages, false);
    CHECK(chat.ok() == row.error.empty());
    if (chat.ok())
      CHECK(chat.value().text == row.text);
    else
      CHECK(chat.error().what.find(row.error) != std::string::npos);
  }
  CHECK(tiny("").apply_chat(hi, false).error().what.find("the model has none") !=
        std::string::npos);
}

TEST_CASE("tokenizer: which of several chat templates renders, as transformers 5.24") {
  struct NamedRow {
    std::string name, config;                  // the member chat_template of tokenizer_config.json
    std::map<std::string, std::string> files;  // below the model's folder
    std::string plain, with_tools;             // what is rendered, or what the error says
  };
  const std::string both =
      R"([{"name":"default","template":"D"},{"name":"tool_use","template":"T"}])";
  const std::string dir = "additional_chat_templates/", none = "none is called \"default\"";
  const NamedRow rows[] = {
      {"one", R"("O")", {}, "O", "O"},
      {"list", both, {}, "D", "T"},
      {"list, the last of a name",
       R"([{"name":"default","template":"D"},{"name":"default","template":"E"}])",
       {},
       "E",
       "E"},
      {"object", R"({"default":"D","tool_use":"T"})", {}, "D", "T"},
      {"list without default",
       R"([{"name":"rag","template":"R"},{"name":"tool_use","template":"T"}])",
       {},
       none,
       "T"},
      {"file over list", both, {{"chat_template.jinja", "F"}}, "F", "F"},
      {"file and folder",
       both,
       {{"chat_template.jinja", "F"}, {dir + "tool_use.jinja", "A"}, {dir + "x.txt", "X"}},
       "F",
       "A"},
      {"folder over list", both, {{dir + "tool_use.jinja", "A"}}, none, "A"},
      {"folder's default over file",
       both,
       {{"chat_template.jinja", "F"}, {dir + "default.jinja", "A"}},
       "A",
       "A"},
      {"none", "null", {}, "the model has none", "the model has none"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const test::TempFolder folder;
    test::write_tiny_tokenizer(folder.path(), "");
    REQUIRE(write_file(folder.path() + "/tokenizer_config.json",
                       "{\"chat_template\":" + row.config + "}")
                .ok());
    REQUIRE(make_folders(folder.path() + "/" + dir).ok());
    for (const auto& [file, text] : row.files)
      REQUIRE(write_file(folder.path() + "/" + file, text).ok());
    const auto t = Tokenizer::load(folder.path());
    REQUIRE(t.ok());
    const auto check = [&](const std::string& want, const std::string& tools) {
      const auto chat = t.value().apply_chat(hi, false, tools);
      CAPTURE(want);
      CHECK((chat.ok() ? chat.value().text == want
                       : chat.error().what.find(want) != std::string::npos));
    };
    check(row.plain, "");
    check(row.with_tools, "[]");
  }
}

TEST_CASE("tokenizer: one template is rendered by several threads at once") {
  const auto t = tiny();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int n = 0; n < 4; ++n)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const auto chat = t.apply_chat(hi, i % 2 == 0);
        wrong += !chat.ok() || !chat.value().text.starts_with("<|im_start|>user\nhi<|im_end|>\n");
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("tokenizer: the time that a template sees can be kept") {
  auto t = tiny("{{ strftime_now('%d %b %Y %H:%M') }}");
  t.set_chat_time(1'764'000'000);
  CHECK(t.apply_chat(hi, false).value().text == "24 Nov 2025 16:00");
}

TEST_CASE("tokenizer: generation marks become byte ranges") {
  const auto t = tiny(
      "{% for m in messages %}[{% if m.role == 'assistant' %}{% generation %}{{ m.content }}."
      "{%- endgeneration %}{% else %}{{ m.content }}{% endif %}]{% endfor %}");
  const auto chat =
      t.apply_chat(R"([{"role":"user","content":"é"},{"role":"assistant","content":"a"},)"
                   R"({"role":"user","content":"q"},{"role":"assistant","content":"bc"}])",
                   false);
  REQUIRE(chat.ok());
  CHECK(chat.value().text == "[é][a.][q][bc.]");
  CHECK(chat.value().has_marks);
  CHECK(chat.value().generated ==
        std::vector<std::pair<std::size_t, std::size_t>>{{5, 7}, {12, 15}});
}

TEST_CASE("detokenizer: whole characters only, and the same text as one decode") {
  const auto t = tiny();
  const std::string text = "h\xC3\xA9llo \xF0\x9F\x98\x80\xF0\x9F\x98\x80 end";
  Detokenizer d(t);
  std::string out;
  for (const auto token : ids(t, text)) {
    const auto piece = d.push(token);
    REQUIRE(piece.ok());
    CHECK(piece.value().find("\xEF\xBF\xBD") == std::string::npos);
    out += piece.value();
  }
  out += d.finish().value();
  CHECK(out == text);
  Detokenizer cut(t);
  const auto smile = ids(t, "\xF0\x9F\x98\x80");
  REQUIRE(smile.size() == 4);
  CHECK(cut.push(smile[0]).value().empty());
  CHECK(cut.finish().value() == "\xEF\xBF\xBD");
}
