// What this proves: every Store keeps the promises of state/store.h, a kill -9 included on disk.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <thread>

#include "state/memory_store.h"
#include "state/rocks_store.h"

using namespace kairo;
namespace fs = std::filesystem;
namespace {
struct TempDir {
  std::string path;
  TempDir() {
    std::string name = (fs::temp_directory_path() / "kairo-store-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~TempDir() { fs::remove_all(path); }
};
state::Batch batch(std::vector<std::pair<std::string, std::optional<std::string>>> writes) {
  return {std::move(writes)};
}
void contract(state::Store& store) {
  CHECK_FALSE(store.get("a/1").value().has_value());
  REQUIRE(store.commit(batch({{"a/1", "x"}, {"a/2", "y"}, {"b/1", "z"}, {"a/3", ""}})).ok());
  CHECK(store.get("a/1").value() == "x");
  CHECK(store.get("a/3").value() == "");
  // a later write to a key wins, also within one batch
  REQUIRE(store.commit(batch({{"a/2", "old"}, {"a/2", "new"}, {"b/1", "q"}, {"b/1", std::nullopt}}))
              .ok());
  CHECK(store.get("a/2").value() == "new");
  CHECK_FALSE(store.get("b/1").value().has_value());
  REQUIRE(store.commit(batch({{"gone", std::nullopt}})).ok());  // absent already: fine
  using Rows = state::Rows;
  CHECK(store.scan("a/", "", 10).value() == Rows{{"a/1", "x"}, {"a/2", "new"}, {"a/3", ""}});
  CHECK(store.scan("a/", "a/1", 1).value() == Rows{{"a/2", "new"}});
  CHECK(store.scan("a/", "a/3", 10).value().empty());
  CHECK(store.scan("c/", "", 10).value().empty());
  CHECK(store.scan("", "", 10).value().size() == 3);
  const std::string bytes("\0\xff\n", 3);
  REQUIRE(store.commit(batch({{"bin", bytes}})).ok());
  CHECK(store.get("bin").value() == bytes);
}
}  // namespace

TEST_CASE("store contract: memory") {
  state::MemoryStore store;
  contract(store);
}
TEST_CASE("memory store: without power goes what came after the last durable batch") {
  state::MemoryStore store;
  state::Batch lax = batch({{"a", "2"}, {"b", "2"}, {"c", std::nullopt}, {"a", "3"}});
  lax.is_durable = false;
  REQUIRE(store.commit(batch({{"a", "1"}, {"c", "1"}})).ok());
  REQUIRE(store.commit(lax).ok());
  CHECK(store.scan("", "", 10).value() == state::Rows{{"a", "3"}, {"b", "2"}});
  store.lose_power();
  CHECK(store.scan("", "", 10).value() == state::Rows{{"a", "1"}, {"c", "1"}});
  REQUIRE(store.commit(lax).ok());
  REQUIRE(store.commit(batch({{"d", "4"}})).ok());
  store.lose_power();
  CHECK(store.scan("", "", 10).value() == state::Rows{{"a", "3"}, {"b", "2"}, {"d", "4"}});
}
TEST_CASE("store contract: RocksDB") {
  const TempDir dir;
  {
    auto store = state::open_rocks_store(dir.path + "/db").value();
    contract(*store);
  }
  auto again = state::open_rocks_store(dir.path + "/db").value();  // reopened: all is there
  CHECK(again->get("a/2").value() == "new");
  CHECK((fs::status(dir.path + "/db").permissions() & fs::perms::group_all) == fs::perms::none);
}
TEST_CASE("RocksDB: a second opener is refused, a damaged store is corrupt") {
  const TempDir dir;
  {
    auto store = state::open_rocks_store(dir.path).value();
    const auto second = state::open_rocks_store(dir.path);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == Code::unavailable);
    REQUIRE(store->commit(batch({{"k", "v"}})).ok());
  }
  fs::resize_file(dir.path + "/CURRENT", 3);
  const auto damaged = state::open_rocks_store(dir.path);
  REQUIRE_FALSE(damaged.ok());
  CHECK(damaged.error().code == Code::corrupt);
  for (const char* round : {"first", "second"}) {  // the second takes the first one's place
    CAPTURE(round);
    CHECK(state::put_store_aside(dir.path).value() == dir.path + ".damaged");
    CHECK(fs::file_size(dir.path + ".damaged/CURRENT") == 3);
    auto store = state::open_rocks_store(dir.path).value();
    CHECK(store->get("k").value() == std::nullopt);
    store.reset();
    fs::resize_file(dir.path + "/CURRENT", 3);
  }
  fs::remove_all(dir.path + ".damaged");
}
// The child commits {n -> left, n -> right} and then tells n through a pipe: what was told must be
// there after kill -9, and no batch may be there by half.
TEST_CASE("RocksDB: kill -9 of a writing child tears no batch and loses nothing acknowledged") {
  for (int round = 0; round < 5; ++round) {
    const TempDir dir;
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
      auto store = state::open_rocks_store(dir.path);
      for (std::uint32_t n = 0; store.ok(); ++n) {
        const std::string key = std::to_string(n);
        state::Batch both = batch({{"left/" + key, key}, {"right/" + key, key}});
        both.is_durable = n % 2 == 0;  // the end of a process takes neither away
        if (!store.value()->commit(both).ok()) break;
        if (write(pipe_ends[1], &n, sizeof n) != sizeof n) break;
      }
      _exit(1);
    }
    close(pipe_ends[1]);
    std::uint32_t acknowledged = 0, n = 0;
    const auto until = 40u + 37u * static_cast<unsigned>(round);
    while (acknowledged < until && read(pipe_ends[0], &n, sizeof n) == sizeof n) acknowledged = n;
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &n, sizeof n) == sizeof n) acknowledged = n;
    close(pipe_ends[0]);
    waitpid(child, nullptr, 0);
    auto store = state::open_rocks_store(dir.path).value();
    const auto left = store->scan("left/", "", 1'000'000).value();
    const auto right = store->scan("right/", "", 1'000'000).value();
    CHECK(left.size() == right.size());
    CHECK(left.size() >= acknowledged + 1);
    CHECK(left.size() <= acknowledged + 2);  // at most the one that was not told
  }
}
