// What this proves: pages that are given back come again when they are touched, as they were.
#include "agents/runtime/start_pages.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

using namespace kairo;

namespace {
// KiB of files (code, constants) that are in this process's memory now.
long file_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (long kib = 0; word == "RssFile:" && status >> kib) return kib;
  return -1;
}
const std::string& written_at_start() {
  static const std::string text = "relocated and written";
  return text;
}
}  // namespace

TEST_CASE("start pages: what only the start has read leaves the memory, and comes back") {
  const std::string& written = written_at_start();
  const char* constant = "a constant of the program";
  const long before = file_kib();
  REQUIRE(before > 0);
  runtime::let_go_of_start_pages();
  const long after = file_kib();
  CAPTURE(before);
  CAPTURE(after);
  CHECK(after < before / 2);
  CHECK(written == "relocated and written");
  CHECK(std::string(constant) == "a constant of the program");
}

TEST_CASE("start pages: other threads go on meanwhile") {
  std::vector<std::thread> threads;
  std::vector<std::size_t> sums(4);
  for (std::size_t& sum : sums)
    threads.emplace_back([&sum] {
      for (int i = 0; i < 20'000; ++i) sum += std::to_string(i).size();
    });
  for (int i = 0; i < 50; ++i) runtime::let_go_of_start_pages();
  for (std::thread& thread : threads) thread.join();
  CHECK(sums == std::vector<std::size_t>(4, 88'890));
}

TEST_CASE("free pages: the heap goes on with what is left") {
  std::vector<std::string> kept;
  for (int i = 0; i < 10'000; ++i) kept.emplace_back(1'000, 'x');
  kept.resize(10);
  runtime::let_go_of_free_pages();
  for (const std::string& text : kept) CHECK(text == std::string(1'000, 'x'));
}
