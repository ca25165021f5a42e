// tests/gpu/hf/rows_test.cpp - proves: data files give their rows as JSON objects, and damaged,
// oversized or hostile ones an error that names the place.
#include "gpu/hf/rows.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <vector>

#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
struct Read {
  std::vector<std::string> rows;
  std::string error;
};
Read read(const std::string& path, const RowLimits& limits = {}) {
  Read out;
  const auto count = read_rows(path, limits, [&](std::size_t number, std::string_view json) {
    CHECK(number == out.rows.size() + 1);
    out.rows.emplace_back(json);
    return ok();
  });
  if (count.ok())
    CHECK(count.value() == out.rows.size());
  else
    out.error = count.error().what;
  return out;
}
std::string golden_parquet() {
  return test::golden("rows.parquet");
}
}  // namespace

TEST_CASE("rows: text formats") {
  struct FileRow {
    std::string name, file, content;
    std::vector<std::string> rows;
    std::string error;
  };
  const FileRow cases[] = {
      {"jsonl", "a.jsonl", "{\"a\":1}\n\n  {\"b\":\"x\"}\r\n", {"{\"a\":1}", "{\"b\":\"x\"}"}, ""},
      {"jsonl with a byte order mark", "a.jsonl", "\xEF\xBB\xBF{\"a\":1}", {"{\"a\":1}"}, ""},
      {"jsonl cut", "a.jsonl", "{\"a\":1}\n{\"a\":", {"{\"a\":1}"}, "line 2: not JSON"},
      {"jsonl with a byte order mark in a later line",
       "a.jsonl",
       "{\"a\":1}\n\xEF\xBB\xBF{\"a\":2}",
       {"{\"a\":1}"},
       "line 2: not JSON: expected value at line 1 column 1; a byte order mark stands there, as "
       "where "
       "files were joined: take it out"},
      {"a byte order mark between two trees",
       "a.json",
       "[{\"a\":1}]\n\xEF\xBB\xBF[{\"a\":2}]",
       {"{\"a\":1}"},
       "a byte order mark stands there"},
      {"a byte order mark in a text",
       "a.jsonl",
       "{\"a\":\"\xEF\xBB\xBFx\"}\n{\"a\":}",
       {"{\"a\":\"\xEF\xBB\xBFx\"}"},
       "line 2: not JSON: expected value at line 1 column 6"},
      {"gzip in jsonl",
       "a.jsonl",
       "\x1F\x8B\x08",
       {},
       "is packed with gzip, which its name does not say; put .gz behind it"},
      {"zstd in csv", "a.csv", "\x28\xB5\x2F\xFD$", {}, "is packed with zstd"},
      {"zip in json", "a.json", "PK\x03\x04", {}, "is a zip archive or a spreadsheet"},
      {"xz in jsonl",
       "a.jsonl",
       std::string("\xFD"
                   "7zXZ\0",
                   6),
       {},
       "is packed with xz"},
      {"bzip2 in jsonl", "a.jsonl", "BZh91AY&SY", {}, "is packed with bzip2"},
      {"parquet in jsonl",
       "a.jsonl",
       "PAR1\x15\x04",
       {},
       "is parquet, which its name does not say"},
      {"a column that begins like parquet",
       "a.csv",
       "PAR1,b\n1,2\n",
       {R"({"PAR1":"1","b":"2"})"},
       ""},
      {"a member twice", "a.jsonl", "{\"a\":1,\"a\":2}", {"{\"a\":1,\"a\":2}"}, ""},
      {"jsonl of an array",
       "a.jsonl",
       "\n[{\"a\":1},\n {\"a\":2}]\n",
       {"{\"a\":1}", "{\"a\":2}"},
       ""},
      {"jsonl of a pretty array",
       "a.jsonl",
       "[\n  {\n \"a\": 1\n  }\n]\n",
       {"{\n \"a\": 1\n  }"},
       ""},
      {"jsonl of arrays", "a.jsonl", "[1]\n", {}, "row 1: is a number, must be an object"},
      {"jsonl with CR", "a.jsonl", "{\"a\":1}\r{\"a\":2}\r", {"{\"a\":1}", "{\"a\":2}"}, ""},
      {"jsonl with an array as a later row",
       "a.jsonl",
       "{\"a\":1}\n[1]\n",
       {"{\"a\":1}"},
       "line 2: is an array, must be an object"},
      {"numbers keep their digits",
       "a.jsonl",
       "{\"a\":1.10,\"b\":1e2,\"c\":123456789012345678901234567890}",
       {"{\"a\":1.10,\"b\":1e2,\"c\":123456789012345678901234567890}"},
       ""},
      {"a whole pair", "a.jsonl", "{\"a\":\"\\ud83d\\ude00\"}", {"{\"a\":\"\\ud83d\\ude00\"}"}, ""},
      {"half of a pair",
       "a.jsonl",
       "{\"a\":\"x\\ud83d\"}",
       {},
       "half of a \\u pair is no character"},
      {"the other half",
       "a.jsonl",
       "{\"a\":\"\\ude00x\"}",
       {},
       "half of a \\u pair is no character"},
      {"NaN", "a.jsonl", "{\"a\":NaN}", {}, "NaN and Infinity are no JSON"},
      {"UTF-16",
       "a.jsonl",
       std::string("\xFF\xFE{\0}\0", 6),
       {},
       "is UTF-16; save the file as UTF-8"},
      {"UTF-16 without a mark", "a.jsonl", std::string("{\0}\0", 4), {}, "NUL bytes"},
      {"latin-1",
       "a.jsonl",
       "{\"a\":1}\n{\"a\":\"caf\xE9\"}\n",
       {"{\"a\":1}"},
       "line 2: not UTF-8"},
      {"latin-1 in a tree", "a.json", "[\n{\"a\":\"caf\xE9\"}]\n", {}, "line 2: not UTF-8"},
      {"ndjson", "a.ndjson", "{\"a\":1}\n", {"{\"a\":1}"}, ""},
      {"upper case", "A.JSONL", "{\"a\":1}\n", {"{\"a\":1}"}, ""},
      {"json data beside a version",
       "a.json",
       "{\"version\":\"1\",\"data\":[{\"a\":1}]}",
       {"{\"a\":1}"},
       ""},
      {"json columns",
       "a.json",
       "{\"a\": {\"0\": 1}, \"b\": { \"0\": 2}}",
       {},
       "orient=\"records\", lines=True"},
      {"json numbers keep their digits", "a.json", "[{\"a\":1.10}]", {"{\"a\":1.10}"}, ""},
      {"jsonl too deep", "a.jsonl", std::string(50'000, '['), {}, "not JSON"},
      {"json array", "a.json", " [{\"a\":1},{\"a\":2}] ", {"{\"a\":1}", "{\"a\":2}"}, ""},
      {"json data", "a.json", "{\"data\":[{\"a\":1}]}", {"{\"a\":1}"}, ""},
      {"json one row", "a.json", "{\"messages\":[{\"a\":1}]}", {"{\"messages\":[{\"a\":1}]}"}, ""},
      {"json lines in .json", "a.json", "{\"a\":1}\n{\"a\":2}\n", {"{\"a\":1}", "{\"a\":2}"}, ""},
      {"json cut", "a.json", "[{\"a\":1}", {}, "not JSON"},
      {"json of numbers", "a.json", "[1]", {}, "row 1: is a number"},
      {"empty jsonl", "a.jsonl", "", {}, ""},
      {"empty csv", "a.csv", "", {}, ""},
      {"not parquet", "a.parquet", "nonsense", {}, "a.parquet: "},
      {"other name", "a.txt", "x", {}, "must end in .jsonl, .ndjson, .json or .csv"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const test::TempFolder folder;
    const std::string path = folder.path() + "/" + c.file;
    REQUIRE(write_file(path, c.content).ok());
    const auto got = read(path);
    CHECK(got.rows == c.rows);
    CAPTURE(got.error);
    CHECK(got.error.empty() == c.error.empty());
    CHECK(got.error.find(c.error) != std::string::npos);
  }
  CHECK(read_rows("/nonexistent.jsonl", {}, [](auto, auto) { return ok(); }).error().code ==
        Code::not_found);
}

TEST_CASE("rows: limits hold at the edge") {
  const test::TempFolder folder;
  for (const std::string name : {"a.jsonl", "a.json"}) {
    CAPTURE(name);
    const std::string path = folder.path() + "/" + name;
    REQUIRE(write_file(path, "{\"a\":1}\n{\"a\":2}\n").ok());
    CHECK(read(path, {16, 7, 2}).error.empty());
    CHECK(read(path, {15, 7, 2}).error.find("16 bytes; at most 15") != std::string::npos);
    CHECK(read(path, {16, 6, 2}).error.find("longer than 6 bytes") != std::string::npos);
    CHECK(read(path, {16, 7, 1}).error.find("more than 1 rows") != std::string::npos);
  }
  const std::string csv = folder.path() + "/a.csv";
  REQUIRE(write_file(csv, "a\n\"" + std::string(100, 'x') + "\n").ok());
  CHECK(read(csv, {1000, 50, 9}).error.find("is a quote open?") != std::string::npos);
}

TEST_CASE("rows: parquet, and the caller's error ends the reading") {
  const auto got = read(golden_parquet());
  CHECK(got.error == "");
  REQUIRE(got.rows.size() == 3);
  CHECK(
      got.rows[0] ==
      R"({"messages":[{"role":"user","content":"Hi 0"},{"role":"assistant","content":"é"}],"n":0})");
  std::size_t calls = 0;
  const auto stopped = read_rows(golden_parquet(), {}, [&](auto, auto) -> Status {
    ++calls;
    return Error{Code::conflict, "enough"};
  });
  CHECK(calls == 1);
  CHECK(stopped.error().what == "enough");
}

TEST_CASE("rows: a damaged parquet file is an error or other rows, never a crash") {
  const char* text = std::getenv("SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
  MESSAGE("SEED=" << seed);
  std::mt19937_64 random(seed);
  const std::string whole = read_file(golden_parquet(), 1 << 20).value();
  const test::TempFolder folder;
  const std::string path = folder.path() + "/a.parquet";
  for (std::size_t size = 0; size < whole.size(); size += 97) {
    REQUIRE(write_file(path, std::string_view(whole).substr(0, size)).ok());
    CHECK(read_rows(path, {}, [](auto, auto) { return ok(); }).error().code == Code::corrupt);
  }
  for (int round = 0; round < 300; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    REQUIRE(write_file(path, bytes).ok());
    const auto count = read_rows(path, {}, [](auto, auto) { return ok(); });
    if (!count.ok()) CHECK(count.error().what.find(path) != std::string::npos);
  }
}
