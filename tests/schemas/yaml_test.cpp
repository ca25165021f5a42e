// What this proves: YAML is read as kubectl 1.32 and as PyYAML 6 read it; the expected values were
// made by those two. Wrong text is told where; hostile text costs little.
#include "schemas/yaml/yaml.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

using namespace kairo;
using namespace kairo::yaml;
namespace {
// All documents, one JSON text a line; of an error its words.
std::string read_as(const std::string& text, Dialect dialect, const std::string& name = "f") {
  const auto read = yaml::read(text, name, dialect);
  if (!read.ok()) return read.error().what;
  std::string out;
  for (const Value& document : read.value()) out += (out.empty() ? "" : "\n") + to_json(document);
  return out;
}
}  // namespace

TEST_CASE("what a plain word means") {
  struct Row {
    std::string word, kubectl, pyyaml;
  };
  const Row rows[] = {
      {"0444", "292", "292"},
      {"0644", "420", "420"},
      {"0o444", "292", R"("0o444")"},
      {"0x1F", "31", "31"},
      {"0X1f", "31", R"("0X1f")"},
      {"-0x1F", "-31", "-31"},
      {"0b101", "5", "5"},
      {"08", "8", R"("08")"},
      {"0_7", "7", "7"},
      {"1_000", "1000", "1000"},
      {"_1", R"("_1")", R"("_1")"},
      {"+7", "7", "7"},
      {"yes", "true", "true"},
      {"No", "false", "false"},
      {"ON", "true", "true"},
      {"off", "false", "false"},
      {"y", "true", R"("y")"},
      {"N", "false", R"("N")"},
      {"yEs", R"("yEs")", R"("yEs")"},
      {"True", "true", "true"},
      {"~", "null", "null"},
      {"Null", "null", "null"},
      {"", "null", "null"},
      {".5", "0.5", "0.5"},
      {"-.5", "-0.5", R"("-.5")"},
      {"1.", "1", "1"},
      {"1e3", "1000", R"("1e3")"},
      {"1e-3", "0.001", R"("1e-3")"},
      {"1.5e3", "1500", R"("1.5e3")"},
      {"1.5e+3", "1500", "1500"},
      {"1e999", R"("1e999")", R"("1e999")"},
      {"1e21", "1e+21", R"("1e21")"},
      {"1.0e-7", "1e-7", "1e-7"},
      {"1:30", R"("1:30")", "90"},
      {"-1:30.5", R"("-1:30.5")", "-90.5"},
      {"190:20:30", R"("190:20:30")", "685230"},
      {"10.0.0.1", R"("10.0.0.1")", R"("10.0.0.1")"},
      {"2001-01-01", R"("2001-01-01")", R"("2001-01-01")"},
      {"nan", R"("nan")", R"("nan")"},
      {"9223372036854775807", "9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
      {"18446744073709551616", "18446744073709552000",
       "f:1:4: not a whole number of 64 bits: 18446744073709551616"},
      {"'0444'", R"("0444")", R"("0444")"},
      {"\"yes\"", R"("yes")", R"("yes")"},
      {"!!str 123", R"("123")", R"("123")"},
      {"!!str yes", R"("yes")", R"("yes")"},
      {"!!str", R"("")", R"("")"},
      {"!!int \"3\"", "3", "3"},
      {"!!float 3", "3", "3"},
      {"!!float 1e3", "1000", "1000"},
      {"!!bool \"true\"", "true", "true"},
      {"!!binary aGk=", R"("hi")", R"("hi")"},
      {"! 5", R"("5")", "5"},
      {"! \"5\"", R"("5")", "5"},
      {"!", R"("")", "null"},
      {"!own x", R"("x")", "f:1:4: the tag !own is not supported; remove it"},
      {"!!int x", "f:1:4: !!int: \"x\" is text", "f:1:4: !!int: \"x\" is text"},
      {"!!binary /w==", "f:1:4: !!binary: the bytes are no text; in a ConfigMap use binaryData",
       "f:1:4: !!binary: the bytes are no text; in a ConfigMap use binaryData"},
      {".inf", "f:1:4: .inf: JSON has no such number; quote it to mean text", "null"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.word);
    const auto expected = [](const std::string& value) {
      return value.starts_with("f:") ? value : "{\"a\":" + value + "}";
    };
    CHECK(read_as("a: " + row.word + "\n", Dialect::kubectl) == expected(row.kubectl));
    CHECK(read_as("a: " + row.word + "\n", Dialect::pyyaml) == expected(row.pyyaml));
  }
}

TEST_CASE("documents, keys, merges, blocks") {
  const std::string two_maps = "a: &x {p: 1}\nb: &y {p: 2, r: 3}\n";
  const std::string two_maps_json = R"({"a":{"p":1},"b":{"p":2,"r":3},)";
  struct Row {
    std::string name, text, kubectl, pyyaml;  // pyyaml "=": the same
  };
  const Row rows[] = {
      {"one", "a: 1\n", R"({"a":1})", "="},
      {"nothing", "# a comment\n", "", "="},
      {"two", "---\na: 1\n--- # c\nb: 2\n", "{\"a\":1}\n{\"b\":2}",
       "f:3:1: a second document; the reader of this file takes one"},
      {"empty ones between", "a: 1\n---\n---\n# c\n---\nb: 2\n...\n", "{\"a\":1}\n{\"b\":2}",
       "f:2:1: a second document; the reader of this file takes one"},
      {"text behind the dashes", "--- {a: 1}\n",
       "f:1:4: behind --- only a comment may stand in its line", R"({"a":1})"},
      {"dashes in a block", "a: |\n  ---\n  x\n", R"({"a":"---\nx\n"})", "="},
      {"a byte order mark",
       "\xef\xbb\xbf"
       "a: 1\nb: 2\n",
       R"({"a":1,"b":2})", "="},
      {"line ends of Windows", "a: |\r\n  x\r\n  y\r\n", R"({"a":"x\ny\n"})", "="},
      {"merge", "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n",
       R"({"a":{"p":1,"q":2},"b":{"p":1,"q":3}})", "="},
      {"merge behind the own key: kubectl's reader lets the last win",
       "a: &x {p: 1, q: 2}\nb:\n  q: 3\n  <<: *x\n", R"({"a":{"p":1,"q":2},"b":{"q":2,"p":1}})",
       R"({"a":{"p":1,"q":2},"b":{"p":1,"q":3}})"},
      {"merge a list: the first wins", two_maps + "c: {<<: [*x, *y], s: 1}\n",
       two_maps_json + R"("c":{"p":1,"r":3,"s":1}})", "="},
      {"two merges", two_maps + "c:\n  <<: *x\n  <<: *y\n", two_maps_json + R"("c":{"p":2,"r":3}})",
       two_maps_json + R"("c":{"p":1,"r":3}})"},
      {"merge in place", "b: {<<: {p: 1}, q: 2}\n", R"({"b":{"p":1,"q":2}})", "="},
      {"merge of a merge", "a: &x {p: 1}\nb: &y {<<: *x, q: 2}\nc: {<<: *y}\n",
       R"({"a":{"p":1},"b":{"p":1,"q":2},"c":{"p":1,"q":2}})", "="},
      {"a quoted << is a name", "b: {\"<<\": 1}\n", R"({"b":{"<<":1}})", "="},
      {"merge a word", "b: {<<: 1}\n",
       "f:1:9: << merges a map or a list of maps, best named by an alias: <<: *name", "="},
      {"merge nothing", "b:\n  <<:\n",
       "f:2:6: << merges a map or a list of maps, best named by an alias: <<: *name", "="},
      {"keys that are no text", "yes: 1\n0x1F: 2\n1.5: 3\n", R"({"true":1,"31":2,"1.5":3})",
       R"({"yes":1,"0x1F":2,"1.5":3})"},
      {"a key that is null", "~: 1\n", "f:1:1: a key is null; give it a name, or quote it",
       R"({"~":1})"},
      {"a key that is a list", "? [a]\n: 1\n", "f:1:3: a key is a list or a map; it must be a name",
       "="},
      {"a key twice", "a: 1\nb: 2\na: 3\n", "f:3:1: key \"a\" stands twice", "="},
      {"an alias", "a: &x {k: 1}\nb: *x\n", R"({"a":{"k":1},"b":{"k":1}})", "="},
      {"an anchor twice", "a: &x 1\nb: &x 2\nc: *x\n", R"({"a":1,"b":2,"c":2})",
       "f:2:4: the anchor &x stands twice"},
      {"an alias of nothing", "a: *x\n", "f:1:4: *x: there is no &x before it", "="},
      {"an alias in itself", "a: &x [*x]\n", "f:1:8: *x stands inside of &x", "="},
      {"a tab after the colon", "a:\t1\n", R"({"a":1})", "="},
      {"a tab before a name", "\ta: 1\n",
       "f:1:1: not valid YAML: found character that cannot start any token", "="},
      {"a folded block", "a: >-\n  x\n  y\n\n  z\n", R"({"a":"x y\nz"})", "="},
      {"a kept end", "a: |+\n  x\n\nb: 1\n", R"({"a":"x\n\n","b":1})", "="},
      {"a torn list", "a: [1\n", "f:2:1: not valid YAML: did not find expected ',' or ']'", "="},
      {"a stray bracket", "a: {b: 1}}\n", "f:1:10: not valid YAML: did not find expected key", "="},
      {"a stray bracket that once never ended", ", {b: c}]\nd: 1\n",
       "f:1:1: not valid YAML: did not find expected node content", "="},
      {"not UTF-8", "a: \x80\n", "f:1:1: not valid YAML: invalid leading UTF-8 octet", "="},
      {"a zero byte", std::string("a: \0\n", 5),
       "f:1:1: not valid YAML: control characters are not allowed", "="},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(read_as(row.text, Dialect::kubectl) == row.kubectl);
    CHECK(read_as(row.text, Dialect::pyyaml) == (row.pyyaml == "=" ? row.kubectl : row.pyyaml));
  }
}

TEST_CASE("JSON files, as kubectl takes them") {
  struct Row {
    std::string name, text, json;
  };
  const Row rows[] = {
      {"a surrogate pair", R"({"a": "\ud83d\ude00"})", R"({"a":"😀"})"},
      {"escaped slashes", R"({"a": "http:\/\/x\/y"})", R"({"a":"http://x/y"})"},
      {"tabs", "{\n\t\"a\":\t[1,\n\t\t2]\n}", R"({"a":[1,2]})"},
      {"several", "{\"a\": 1}\n{\"b\": 2}{\"c\": 3}", "{\"a\":1}\n{\"b\":2}\n{\"c\":3}"},
      {"words of YAML are words", R"({"a": "yes", "b": "0444"})", R"({"a":"yes","b":"0444"})"},
      {"a comma too many", "{\n  \"a\": 1,\n}", "f.json:3:1: not valid JSON: "},
      {"half a pair", R"({"a": "\ud83d"})", "f.json:1:14: not valid JSON: "},
      {"a name twice", "{\"a\": 1,\n \"a\": 2}", "f.json:2:4: key \"a\" stands twice"},
      {"something behind", "{\"a\": 1}\nx", "f.json:2:1: not valid JSON: "},
      {"torn", "{\"a\": [1", "f.json:1:8: not valid JSON: "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string read = read_as(row.text, Dialect::kubectl, "f.json");
    CHECK(read.substr(0, row.json.starts_with("f.json") ? row.json.size() : read.size()) ==
          row.json);
  }
  CHECK(read_as("{a: yes}", Dialect::kubectl, "f.yaml") == R"({"a":true})");  // YAML's flow style
}

TEST_CASE("values say what they are and where they stand") {
  const auto read =
      yaml::read("a: 1_0\nb:\n  - 1.5\n  - 2001-01-01\n  - -.inf\n", "f", Dialect::pyyaml);
  REQUIRE(read.ok());
  const Value& root = read.value().at(0);
  const Value* a = root.find("a");
  REQUIRE(a != nullptr);
  CHECK(a->kind == Value::Kind::integer);
  CHECK(a->integer == 10);
  CHECK(a->real == 10.0);
  CHECK(a->text == "1_0");
  const Value* b = root.find("b");
  REQUIRE(b != nullptr);
  REQUIRE(b->items.size() == 3);
  CHECK(b->items[0].real == 1.5);
  CHECK(b->items[0].line == 3);
  CHECK(b->items[0].column == 5);
  CHECK(b->items[1].kind == Value::Kind::time);
  CHECK(b->items[2].real == -HUGE_VAL);
  CHECK(root.entries[1].line == 2);
  CHECK(root.find("c") == nullptr);
}

TEST_CASE("limits") {
  std::string deep, bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 0; i < 70; ++i) deep += "[";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) bomb += "," + before;
    bomb += "]\n";
  }
  std::string chain = "a0: &a0 x\n";  // each one deeper than the one before
  for (int i = 1; i < 70; ++i)
    chain += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
             "]\n";
  std::string heavy = "a: &a " + std::string(1 << 20, 'x') + "\nb: [";
  for (int i = 0; i < 100; ++i) heavy += "*a,";
  struct Row {
    std::string name, text, error;
  };
  const Row rows[] = {
      {"deep", "a: " + deep, "f:1:68: nested deeper than 64"},
      {"deep by aliases", chain, "f:65:12: nested deeper than 64"},
      {"deep JSON", "{\"a\": " + deep, "f:1:71: nested deeper than 64"},
      {"a billion", bomb, "f:5:38: more than 100000 values, aliases included"},
      {"a billion merged", "a: &a {<<: " + deep + "}", "f:1:75: nested deeper than 64"},
      {"much text", heavy + "]\n", "f:2:32: aliases make too much text of it"},
      {"large", std::string((3 << 20) + 1, ' '), "f: larger than 3 MiB; such files are small"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(read_as(row.text, Dialect::kubectl) == row.error);
  }
}

TEST_CASE("changed bytes never crash the reader") {
  const std::string seed =
      "a: &x {b: \"c\", d: 0x1F}\n---\n- |\n  text\n- <<: *x\n  1.5: !!str 3\n- {\"j\": [1, "
      "yes]}\n";
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = i % 2 == 0 ? seed : R"({"a": [1, -2.5e3, "\ud83d\ude00", null]} {"b": {}})";
    for (auto changes = 1 + random() % 4; changes > 0 && !text.empty(); --changes) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0)
        text[at] = static_cast<char>(random());
      else
        text.erase(at, 1 + random() % 5);
    }
    for (const Dialect dialect : {Dialect::kubectl, Dialect::pyyaml})
      read += read_as(text, dialect).starts_with("f:") ? 0 : 1;
  }
  CHECK(read > 300);
}
