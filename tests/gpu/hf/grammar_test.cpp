// tests/gpu/hf/grammar_test.cpp - what a schema allows next, token by token, over a byte-level
// vocabulary.
#include "gpu/hf/grammar.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;
namespace {
constexpr int vocabulary_size = 260;  // two more than the tokenizer has
constexpr std::int32_t end_token = 257;
struct Bench {
  Bench() {
    test::write_tiny_tokenizer(folder.path(), "");
    auto loaded = Vocabulary::load(folder.path(), vocabulary_size, std::vector{end_token});
    REQUIRE_MESSAGE(loaded.ok(), (loaded.ok() ? "" : loaded.error().what));
    vocabulary = std::move(loaded).value();
    for (std::int32_t t = 0; t < vocabulary_size; ++t)
      if (const std::string bytes = vocabulary.bytes_of(t); bytes.size() == 1)
        token_of[static_cast<unsigned char>(bytes[0])] = t;
  }
  Grammar grammar(const std::string& schema) const {
    auto made = Grammar::of_schema(vocabulary, schema);
    REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
    return std::move(made).value();
  }
  // What may come after the text, as characters; the end as $.
  std::string next(const std::string& schema, const std::string& text) const {
    Grammar g = grammar(schema);
    std::vector<std::uint32_t> allowed((vocabulary_size + 31) / 32);
    const auto may = [&](std::int32_t t) {
      return (allowed[static_cast<std::size_t>(t) / 32] >> (t % 32) & 1) != 0;
    };
    REQUIRE(g.mask(allowed).ok());
    for (const char c : text) {
      const std::int32_t t = token_of[static_cast<unsigned char>(c)];
      if (!may(t)) return std::string("not ") + c;
      REQUIRE(g.take(t).ok());
      REQUIRE(g.mask(allowed).ok());
    }
    std::string out;
    for (int c = 0; c < 256; ++c)
      if (may(token_of[c])) out += static_cast<char>(c);
    CHECK_FALSE(may(256));
    CHECK_FALSE(may(258));
    return may(end_token) ? out + "$" : out;
  }
  test::TempFolder folder;
  Vocabulary vocabulary;
  std::int32_t token_of[256] = {};
};
}  // namespace

TEST_CASE("a schema says what may come next") {
  const Bench bench;
  const std::string schema =
      R"({"type":"object","properties":{"b":{"enum":["yes","no"]},"a":{"type":"boolean"}},)"
      R"("required":["b","a"],"additionalProperties":false})";
  struct Row {
    std::string text, next;
  };
  const Row rows[] = {
      {"", "{"},
      {"{", "\n\r \""},
      {"{  ", "\""},  // two blanks, and no more
      {"{\"", "b"},   // in the schema's order
      {"{\"b\":\"", "ny"},
      {"{\"b\":\"no\"", "\n\r ,"},
      {"{\"b\":\"no\",\"a\":t", "r"},
      {"{\"b\":\"no\",\"a\":true}", "$"},
      {"{\"a", "not a"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(bench.next(schema, row.text) == row.next);
  }
  CHECK(bench.next(R"({"type":"integer"})", "12").find('$') != std::string::npos);
  // A client's own switches for the library are not heard.
  CHECK(bench.next(R"({"type":"array","x-guidance":{"whitespace_flexible":false}})", "[")
            .find('\n') != std::string::npos);
}

TEST_CASE("what a token writes; what is refused, and why") {
  const Bench bench;
  CHECK(bench.vocabulary.bytes_of('a' - '!') == "a");
  CHECK(bench.vocabulary.bytes_of(257) == "<|im_end|>");
  CHECK(bench.vocabulary.bytes_of(259).empty());
  const auto why = [&](const std::string& schema) {
    const auto made = Grammar::of_schema(bench.vocabulary, schema);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().code == Code::invalid);
    return made.error().what;
  };
  CHECK(why("7") == "a schema is an object");
  CHECK(why(R"({"type":"object","if":{},"then":{}})").find("if") != std::string::npos);
  CHECK(why(R"({"not":{"type":"null"}})").find("not") != std::string::npos);
  CHECK(why(std::string(300'000, ' ')).starts_with("the schema has 300000 bytes; at most 262144"));
  Grammar g = bench.grammar(R"({"type":"null"})");
  CHECK_FALSE(g.take('x' - '!').ok());
  CHECK(Vocabulary::load(bench.folder.path(), vocabulary_size, {}).error().what ==
        "tokenizer.json: no token of the vocabulary ends an answer");
}
