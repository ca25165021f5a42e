// tests/gpu/hf/jinja_test.cpp - proves: templates render as in transformers' own Jinja2
// environment, to the byte (tests/parity/jinja_golden.py wrote what it renders), or are refused:
// never silently something else.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "gpu/formats/files.h"
#include "gpu/hf/tokenizer.h"
#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
struct Golden {
  nlohmann::ordered_json rows, refused;
  std::string messages;  // as text: a parser of ours would round its numbers
};
Golden golden() {
  const std::string text = read_file(test::golden("jinja.json"), 1 << 20).value();
  const auto file = nlohmann::ordered_json::parse(text);
  const auto begin = text.find("{\"v\": ") + 6;
  const std::string v = text.substr(begin, text.find(",\n\"rows\"") - begin);
  return {file["rows"], file["refused"],
          R"([{"role":"user","content":"hi","thinking":null,"v":)" + v + "}]"};
}
Result<RenderedChat> render(Tokenizer& t, const std::string& source, const Golden& g) {
  REQUIRE(t.set_chat_template("{% set v = messages[0].v %}" + source).ok());
  return t.apply_chat(g.messages, false);
}
Tokenizer plain_tokenizer() {
  const test::TempFolder folder;
  test::write_tiny_tokenizer(folder.path(), "");
  return std::move(Tokenizer::load(folder.path())).value();
}
}  // namespace

TEST_CASE("jinja: expressions and templates as transformers renders them") {
  const Golden g = golden();
  REQUIRE(g.rows.size() >= 400);
  auto t = plain_tokenizer();
  for (const auto& row : g.rows) {
    CAPTURE(row[0]);
    const auto chat = render(t, row[0], g);
    CHECK(chat.ok() == row[1].is_string());  // null: transformers raises
    if (!chat.ok()) {
      CHECK(chat.error().what.find("chat template: ") != std::string::npos);
      continue;
    }
    CHECK(chat.value().text == row[1]);
  }
}

TEST_CASE("jinja: what is not done as Jinja2 does it is refused") {
  const Golden g = golden();
  auto t = plain_tokenizer();
  for (const auto& source : g.refused) {
    CAPTURE(source);
    CHECK_FALSE(render(t, source, g).ok());
  }
}

TEST_CASE("jinja: hostile templates end with an error") {
  const Golden g = golden();
  auto t = plain_tokenizer();
  const auto many = [](std::size_t n, const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += text;
    return out;
  };
  struct HostileRow {
    std::string name, source;
  };
  const HostileRow rows[] = {
      {"endless", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"},
      {"parentheses", "{{ " + many(50'000, "(") + "1" + many(50'000, ")") + " }}"},
      {"lists", "{{ " + many(50'000, "[") + many(50'000, "]") + " }}"},
      {"nots", "{{ " + many(50'000, "not ") + "1 }}"},
      {"minus", "{{ " + many(50'000, "- ") + "1 }}"},
      {"sums", "{{ 1" + many(50'000, "+1") + " }}"},
      {"filters", "{{ 1" + many(50'000, "|abs") + " }}"},
      {"members", "{{ v" + many(50'000, ".a") + " }}"},
      {"conditions", "{{ 1" + many(50'000, " if 1 else 1") + " }}"},
      {"blocks", many(50'000, "{% if 1 %}") + many(50'000, "{% endif %}")},
      {"recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"},
      {"nested values",
       "{% set ns = namespace(a=[]) %}{% for i in range(99999) %}"
       "{% set ns.a = [ns.a] %}{% endfor %}"},
      {"itself", "{% set ns = namespace() %}{% set ns.a = [ns] %}"},
      {"doubling",
       "{% set ns = namespace(a='aaaaaaaa') %}{% for i in range(99) %}"
       "{% set ns.a = ns.a + ns.a %}{% endfor %}"},
      {"repetition", "{{ 'a' * 10 ** 12 }}"},
      {"lists repeated", "{{ [0] * 10 ** 12 }}"},
      {"width", "{{ 'a'.center(10 ** 12) }}{{ '%999999999999d' % 1 }}"},
      {"power", "{{ 10 ** 10 ** 10 }}"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    CHECK_FALSE(render(t, row.source, g).ok());
  }
}
