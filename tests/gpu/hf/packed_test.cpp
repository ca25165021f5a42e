// tests/gpu/hf/packed_test.cpp - proves: parquet as pyarrow writes it, and gzip and zstd files,
// give their rows; cut off, lying and swollen ones an error that says so.
#include <doctest/doctest.h>

#include <optional>
#include <vector>

#include "gpu/formats/files.h"
#include "gpu/hf/rows.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
struct Unpacked {
  std::vector<std::string> rows;
  std::optional<Error> error;
};
Unpacked unpacked(const std::string& path, const RowLimits& limits = {}) {
  Unpacked out;
  const auto count = read_rows(path, limits, [&](std::size_t, std::string_view json) {
    out.rows.emplace_back(json);
    return ok();
  });
  if (!count.ok()) out.error = count.error();
  return out;
}
}  // namespace

TEST_CASE("packed: rows of every kind of file") {
  struct FileRow {
    std::string file;
    std::vector<std::string> rows;
  };
  const std::vector<std::string> lines = {R"({"a":"é"})", R"({"a":2})"};
  const std::vector<std::string> cells = {R"({"a":"é"})", R"({"a":"2"})"};
  const std::vector<std::string> prompts = {R"({"prompt":"é a"})", R"({"prompt":null})"};
  const std::string chat = R"([{"role":"user","content":"hé"}])";
  const std::string typed =
      R"({"at":"2024-01-02 03:04:05.000000 +00:00","cost":"1.10","day":"2024-01-02",)"
      R"("u":18446744073709551615,"half":1.5,"map":{"k":1}})";
  const std::string at = R"("at":"2024-01-02 03:04:05.000 +00:00"})";
  const FileRow rows[] = {
      {"a.jsonl.gz", lines},
      {"a.jsonl.zst", lines},
      {"a.ndjson.gz", lines},
      {"a.ndjson.zst", lines},
      {"a.json.gz", lines},
      {"a.json.zst", lines},
      {"a.csv.gz", cells},
      {"a.csv.zst", cells},
      {"gzip.parquet", prompts},
      {"brotli.parquet", prompts},
      {"zstd.parquet", prompts},
      {"lz4.parquet", prompts},
      {"none.parquet", prompts},
      {"v2pages.parquet", prompts},
      {"delta.parquet", prompts},
      {"view.parquet", prompts},
      {"int96.parquet", {R"({"prompt":"é a",)" + at, R"({"prompt":null,)" + at}},
      {"binary.parquet", {R"({"prompt":"é a","n":1})", R"({"prompt":null,"n":1})"}},
      {"large.parquet",
       {R"({"prompt":"é a","m":)" + chat + "}", R"({"prompt":null,"m":)" + chat + "}"}},
      {"noncompliant.parquet", {R"({"m":)" + chat + "}", R"({"m":)" + chat + "}"}},
      {"typed.parquet", {typed, typed}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.file);
    const auto got = unpacked(test::golden("packed/" + row.file));
    CHECK(got.rows == row.rows);
    CHECK_FALSE(got.error.has_value());
  }
}

TEST_CASE("packed: what stands behind a gzip member") {
  const std::string whole = read_file(test::golden("packed/a.jsonl.gz"), 1 << 20).value();
  const std::vector<std::string> lines = {R"({"a":"é"})", R"({"a":2})"};
  const std::string zeros(100'000, '\0');
  struct TailRow {
    std::string name, content;
    std::size_t rows;
    std::string error;
  };
  const TailRow rows[] = {
      {"zeros", whole + zeros, 2, ""},
      {"one zero", whole + std::string(1, '\0'), 2, ""},
      {"zeros between members", whole + zeros + whole, 4, ""},
      {"text", whole + "x", 2, "bytes that are neither gzip nor zeros; cut them off"},
      {"zeros, then text", whole + zeros + "x", 2, "bytes that are neither gzip nor zeros"},
      {"half a member", whole + whole.substr(0, 5), 2, "cut off"},
      {"another kind of member", whole + "\x1F\x8Cxxxxxxxxxx", 2, "damaged"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const test::TempFolder folder;
    const std::string path = folder.path() + "/a.jsonl.gz";
    REQUIRE(write_file(path, row.content).ok());
    const auto got = unpacked(path);
    CHECK(got.rows.size() == row.rows);
    CHECK(got.error.has_value() == !row.error.empty());
    if (!got.error) continue;
    CHECK(got.error->code == Code::corrupt);
    CHECK_MESSAGE(got.error->what.find(row.error) != std::string::npos, got.error->what);
  }
}

TEST_CASE("packed: a name that says more than the bytes") {
  struct NameRow {
    std::string file, content, error;
  };
  const NameRow rows[] = {
      {"a.jsonl.gz", "{\"a\":1}\n", "is not gzip, although its name ends in .gz; take .gz away"},
      {"a.csv.zst", "a\n1\n", "is not zstd, although its name ends in .zst"},
      {"a.jsonl.gz", std::string("\x28\xB5\x2F\xFD", 4), "is not gzip"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.file);
    const test::TempFolder folder;
    const std::string path = folder.path() + "/" + row.file;
    REQUIRE(write_file(path, row.content).ok());
    const auto got = unpacked(path);
    REQUIRE(got.error.has_value());
    CHECK(got.error->code == Code::invalid);
    CHECK_MESSAGE(got.error->what.find(row.error) != std::string::npos, got.error->what);
  }
}

TEST_CASE("packed: a column that is there twice is named") {
  for (const std::string file : {"twice", "nested_twice"}) {
    const auto got = unpacked(test::golden("packed/" + file + ".parquet"));
    CHECK(got.rows.empty());
    REQUIRE(got.error.has_value());
    CHECK(got.error->code == Code::invalid);
    CHECK(got.error->what.find("column \"a\" is there twice; rename or drop one") !=
          std::string::npos);
  }
}

TEST_CASE("packed: bytes that are no text name their column") {
  const auto got = unpacked(test::golden("packed/no_text.parquet"));
  CHECK(got.rows.size() == 1);
  REQUIRE(got.error.has_value());
  CHECK(got.error->code == Code::invalid);
  CHECK(got.error->what.find("row 2: column m.content: bytes that are no UTF-8 text") !=
        std::string::npos);
}

TEST_CASE("packed: files that are cut off are corrupt, at every length") {
  const test::TempFolder folder;
  for (const std::string name : {"a.jsonl.gz", "a.jsonl.zst", "a.csv.gz", "a.csv.zst"}) {
    const std::string whole = read_file(test::golden("packed/" + name), 1 << 20).value();
    const auto second =
        name.ends_with("gz") ? whole.find("\x1f\x8b", 2) : whole.find("\x28\xb5", 2);
    for (std::size_t size = 1; size < whole.size(); ++size) {
      if (size == second) continue;  // a whole file again
      CAPTURE(name);
      CAPTURE(size);
      const std::string path = folder.path() + "/" + name;
      REQUIRE(write_file(path, std::string_view(whole).substr(0, size)).ok());
      const auto got = unpacked(path);
      REQUIRE(got.error.has_value());
      CHECK(got.error->code == Code::corrupt);
    }
  }
}

TEST_CASE("packed: what unpacks to too much is refused") {
  const auto gz = unpacked(test::golden("packed/bomb.jsonl.gz"), {.file_bytes = 1'000'000});
  CHECK(gz.rows.empty());
  REQUIRE(gz.error.has_value());
  CHECK(gz.error->code == Code::invalid);
  CHECK(gz.error->what.find("unpacks to more than 1000000 bytes") != std::string::npos);
  const auto row = unpacked(test::golden("packed/bomb.jsonl.gz"), {.row_bytes = 1'000'000});
  REQUIRE(row.error.has_value());
  CHECK(row.error->what.find("line 1: longer than 1000000 bytes") != std::string::npos);
  for (const std::string codec : {"zstd", "brotli"}) {
    const auto page = unpacked(test::golden("packed/bomb_" + codec + ".parquet"));
    CAPTURE(codec);
    REQUIRE(page.error.has_value());
    CHECK(page.error->what.find("a page of 3000000") != std::string::npos);
  }
}

TEST_CASE("packed: a page that unpacks to more than it says is corrupt") {
  // The claimed size of the 300 MB page, as Thrift writes it, made 31 MB: the bytes stay in place.
  const test::TempFolder folder;
  std::string bytes = read_file(test::golden("packed/bomb_zstd.parquet"), 1 << 20).value();
  const auto at = bytes.find(std::string("\x15\0\x15", 3), 4);
  REQUIRE(at != std::string::npos);
  const std::size_t size = at + 3;
  REQUIRE((bytes[size + 4] & 0x80) == 0);  // five bytes: 600000008 or so, zigzag
  bytes[size + 4] = 0;
  const std::string path = folder.path() + "/a.parquet";
  REQUIRE(write_file(path, bytes).ok());
  const auto got = unpacked(path);
  REQUIRE(got.error.has_value());
  CHECK(got.error->code == Code::corrupt);
  CHECK(got.error->what.find("a page unpacks to more than it says") != std::string::npos);
}

TEST_CASE("packed: endings, and what dataset_extension means") {
  struct EndingRow {
    std::string path, extension;
    bool is_data, is_wanted;
  };
  const EndingRow rows[] = {
      {"a.jsonl", "json", true, true},
      {"a.JSONL", "jsonl", true, true},
      {"a.json", "jsonl", true, false},
      {"a.ndjson.GZ", "JSON", true, true},
      {"a.ndjson", "jsonl", true, true},
      {"a.csv.zst", ".csv", true, true},
      {"a.csv", "csv.zst", true, false},
      {"a.csv.zst", "csv.zst", true, true},
      {"a.Parquet", "parquet", true, true},
      {"a.parquet.gz", "parquet", false, false},
      {"a.jsonl.gz.zst", "jsonl", false, false},
      {"a.gz", "json", false, false},
      {"json", "json", false, false},
      {"a.txt", "txt", false, false},
      {"a.json.bak", "json", false, false},
      {"a.csv", "json", true, false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CHECK(is_data_file(row.path) == row.is_data);
    CHECK(has_data_extension(row.path, row.extension) == row.is_wanted);
  }
}
