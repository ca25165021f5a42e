// tests/gpu/data/row_cache_test.cpp - proves: kept rows are those of the same data and settings
// alone, damaged files are made anew, and the number of threads changes nothing.
#include "gpu/data/row_cache.h"

#include <doctest/doctest.h>

#include "tests/gpu/data/loading.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace loading;

namespace {
std::string many_rows(int count) {
  std::string out;
  for (int i = 0; i < count; ++i)
    out += R"({"prompt":"p)" + std::to_string(i) + R"( ","completion":"c)" + std::to_string(i * 7) +
           "\"}\n";
  return out;
}
}  // namespace

TEST_CASE("rows: the same for any number of threads, and the first bad one is named") {
  const test::TempFolder folder;
  const auto t = tiny(test::chatml);
  const std::string path = folder.path() + "/a.jsonl";
  REQUIRE(write_file(path, many_rows(5000)).ok());
  LoadOptions options;
  const auto one = load_dataset(path, whole(), t, options);
  options.threads = 4;
  const auto four = load_dataset(path, whole(), t, options);
  REQUIRE(one.ok());
  REQUIRE(four.ok());
  CHECK(one.value().rows.size() == 5000);
  CHECK(marked(one.value().rows[4999], t) == "p4999 [c34993<|im_end|>]");
  CHECK(one.value().digest == four.value().digest);
  REQUIRE(write_file(path, many_rows(3000) + "{\"x\":1}\n" + many_rows(100) + "{\"y\":1}\n").ok());
  const auto bad = load_dataset(path, whole(), t, options);
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().what.find("row 3001: no known columns; the row has: x") != std::string::npos);
}

TEST_CASE("rows are kept for the next start, and only for the same data and settings") {
  const test::TempFolder folder;
  const auto t = tiny(test::chatml);
  const std::string path = folder.path() + "/a.jsonl", kept = folder.path() + "/rows.bin";
  REQUIRE(write_file(path, many_rows(10)).ok());
  auto config = whole();
  config.train_test_split = 0.8;
  config.max_length = 8;
  LoadOptions options;
  options.cache_file = kept;
  options.made_by = "settings 1";
  const auto made = load_dataset(path, config, t, options);
  REQUIRE(made.ok());
  const auto key = rows_key({path}, "settings 1").value();
  const auto again = load_rows(kept, key);
  REQUIRE_MESSAGE(again.ok(), again.error().what);
  CHECK(again.value().rows.size() == 8);
  CHECK(again.value().held_out_rows.size() == 2);
  CHECK(again.value().truncated == made.value().truncated);
  CHECK(again.value().digest == made.value().digest);
  CHECK(again.value().rows[3].tokens == made.value().rows[3].tokens);
  CHECK(again.value().rows[3].trained == made.value().rows[3].trained);

  CHECK(load_rows(kept, rows_key({path}, "settings 2").value()).error().code == Code::not_found);
  REQUIRE(write_file(path, many_rows(11)).ok());
  CHECK(rows_key({path}, "settings 1").value() != key);
  CHECK(load_dataset(path, config, t, options).value().rows.size() == 8);
  CHECK(load_dataset(path, config, t, options).value().held_out_rows.size() == 3);
}

TEST_CASE("rows: a damaged file of kept rows is corrupt at every byte") {
  const test::TempFolder folder;
  const auto t = tiny(test::chatml);
  const std::string path = folder.path() + "/a.jsonl", kept = folder.path() + "/rows.bin";
  REQUIRE(write_file(path, many_rows(3)).ok());
  LoadOptions options;
  options.cache_file = kept;
  REQUIRE(load_dataset(path, whole(), t, options).ok());
  const auto key = rows_key({path}, "").value();
  const std::string good = read_file(kept, 1 << 20).value();
  REQUIRE(load_rows(kept, key).ok());
  const std::size_t counts = good.find('\n') + 1;
  for (std::size_t i = 0; i < good.size(); ++i) {
    if (i >= counts && i < counts + 24) continue;  // how many were cut: for people
    for (const char flip : {char(1), char(0x80)}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      REQUIRE(write_file(kept, bad).ok());
      CAPTURE(i);
      CHECK_FALSE(load_rows(kept, key).ok());
    }
  }
  for (std::size_t size = 0; size < good.size(); size += 7) {
    REQUIRE(write_file(kept, good.substr(0, size)).ok());
    CHECK_FALSE(load_rows(kept, key).ok());
  }
  CHECK(load_dataset(path, whole(), t, options).value().rows.size() == 3);  // and is made anew
  CHECK(load_rows(kept, key).ok());
}
