// What this proves: YAML is read as kubectl reads it, wrong YAML is told where, and what we print
// is read back the same.
#include "agents/cli/yaml.h"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

using namespace kairo;
using namespace kairo::cli;

TEST_CASE("documents") {
  struct Row {
    std::string name, yaml;
    std::vector<std::string> json;
  };
  const Row rows[] = {
      {"one", "a: 1\nb: x\n", {R"({"a":1,"b":"x"})"}},
      {"two, empty ones left out",
       "---\na: 1\n---\n---\nb: 2\n...\n",
       {R"({"a":1})", R"({"b":2})"}},
      {"nothing", "# a comment\n", {}},
      {"JSON is YAML", R"({"a": [1, 2.5, "x", null, true]})", {R"({"a":[1,2.5,"x",null,true]})"}},
      {"quoted stays text", "a: \"1\"\nb: 'true'\nc: ''\n", {R"({"a":"1","b":"true","c":""})"}},
      {"words and numbers as kubectl reads them",
       "a: yes\nb: 0444\nc: 1e3\nd: !!str 5\ne: y\n",
       {R"({"a":true,"b":292,"c":1000,"d":"5","e":true})"}},
      {"JSON objects one after the other",
       "{\"a\":1}\n{\"b\":\"\\ud83d\\ude00\"}",
       {R"({"a":1})", R"({"b":"😀"})"}},
      {"a block of text", "a: |\n  x: 1\n  y: 2\n", {R"({"a":"x: 1\ny: 2\n"})"}},
      {"an alias", "a: &x {k: 1}\nb: *x\n", {R"({"a":{"k":1},"b":{"k":1}})"}},
      {"order stays", "z: 1\na: 2\n", {R"({"z":1,"a":2})"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto read = yaml_to_json(row.yaml, "f.yaml");
    REQUIRE_MESSAGE(read.ok(), (read.ok() ? "" : read.error().what));
    CHECK(read.value() == row.json);
  }
}

TEST_CASE("wrong files say where") {
  struct Row {
    std::string name, yaml, error;
  };
  const Row rows[] = {
      {"a list on top", "- a\n",
       "f.yaml:1:1: expected an object with apiVersion, kind and metadata"},
      {"a word on top", "hello\n",
       "f.yaml:1:1: expected an object with apiVersion, kind and metadata"},
      {"a number in the second document", "a: 1\n---\n5\n",
       "f.yaml:3:1: expected an object with apiVersion, kind and metadata"},
      {"wrong in the second document", "a: 1\n---\nb: 1\nb: 2\n",
       "f.yaml:4:1: key \"b\" stands twice"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto read = yaml_to_json(row.yaml, "f.yaml");
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().code == Code::invalid);
    CHECK(read.error().what == row.error);
  }
}

TEST_CASE("what is printed is read back") {
  const std::string json =
      R"({"a":"1","b":"true","c":"x: y","d":"two\nlines\n","e":[],"f":{},"g":null,"h":[{"i":-3}],)"
      R"("j":"","k":"# no comment","l":"~","m":1.5})";
  const auto read = yaml_to_json(json_to_yaml(json), "printed");
  REQUIRE_MESSAGE(read.ok(), (read.ok() ? "" : read.error().what));
  REQUIRE(read.value().size() == 1);
  CHECK(read.value()[0] == json);
}

TEST_CASE("strings are printed as every reader of YAML takes them") {
  struct Row {
    std::string name, value, yaml;
  };
  const Row rows[] = {
      {"a word", "qlora", "k: qlora\n"},
      {"an image", "localhost:5055/a/b:1", "k: localhost:5055/a/b:1\n"},
      {"YAML 1.1's booleans", "yes", "k: \"yes\"\n"},
      {"and switches", "Off", "k: \"Off\"\n"},
      {"and letters", "y", "k: \"y\"\n"},
      {"a number", "017", "k: \"017\"\n"},
      {"a time", "2026-11-23T18:30:16Z", "k: \"2026-11-23T18:30:16Z\"\n"},
      {"what looks like a comment", "a #b", "k: \"a #b\"\n"},
      {"what looks like a key", "a: b", "k: \"a: b\"\n"},
      {"lines", "a\n  b\n\nc\n", "k: |\n  a\n    b\n\n  c\n"},
      {"lines without a last break", "a\nb", "k: |-\n  a\n  b\n"},
      {"lines with two last breaks", "a\n\n", "k: \"a\\n\\n\"\n"},
      {"lines that begin with blanks", " a\nb\n", "k: \" a\\nb\\n\"\n"},
      {"lines that end with blanks", "a \nb\n", "k: \"a \\nb\\n\"\n"},
      {"a tab", "a\tb", "k: \"a\\tb\"\n"},
      {"what YAML cannot print", "\x7f\u0085\u2028", "k: \"\\x7f\\x85\\u2028\"\n"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string json = nlohmann::json{{"k", row.value}}.dump();
    CHECK(json_to_yaml(json) == row.yaml);
    const auto read = yaml_to_json(row.yaml, "f");
    REQUIRE(read.ok());
    CHECK(nlohmann::json::parse(read.value().at(0)) == nlohmann::json::parse(json));
  }
}

TEST_CASE("objects in lists in objects look as kubectl prints them") {
  CHECK(
      json_to_yaml(R"({"a":[{"b":1,"c":[[1,2],"x\ny\n"]},[],"z"],"d":{"e":{}},"f":null})") ==
      "a:\n- b: 1\n  c:\n  - - 1\n    - 2\n  - |\n    x\n    y\n- []\n- z\nd:\n  e: {}\nf: null\n");
}

TEST_CASE("whatever is printed is read back") {
  std::mt19937 random(7);
  const std::vector<std::string> pieces{
      "a", "B",   "0",   "1",  "-", ":", ": ",     "#",   " ",    "\n",  "\t", "\r", "\"", "'",
      "|", ">",   "&",   "*",  "!", "%", "@",      "`",   "[",    "]",   "{",  "}",  ",",  "?",
      "~", "---", "...", "\\", "é", "😀", "\u2028", "yes", "null", "1e3", "<<", "="};
  const auto text = [&] {
    std::string out;
    for (auto n = random() % 6; n > 0; --n) out += pieces[random() % pieces.size()];
    return out;
  };
  std::function<nlohmann::json(int)> value = [&](int depth) -> nlohmann::json {
    nlohmann::json out;
    switch (random() % (depth > 3 ? 4 : 6)) {
      case 0:
        return static_cast<int>(random() % 1000) - 500;
      case 1:
        return random() % 2 == 0;
      case 4:
        out = nlohmann::json::array();
        for (auto n = random() % 4; n > 0; --n) out.push_back(value(depth + 1));
        return out;
      case 5:
        out = nlohmann::json::object();
        for (auto n = random() % 4; n > 0; --n) out["k" + text()] = value(depth + 1);
        return out;
      default:
        return text();
    }
  };
  for (int i = 0; i < 5'000; ++i) {
    const nlohmann::json before = {{"v", value(0)}};
    const std::string yaml = json_to_yaml(before.dump());
    CAPTURE(yaml);
    const auto read = yaml_to_json(yaml, "printed");
    REQUIRE_MESSAGE(read.ok(), (read.ok() ? "" : read.error().what));
    REQUIRE(read.value().size() == 1);
    REQUIRE(nlohmann::json::parse(read.value()[0]) == before);
  }
}
