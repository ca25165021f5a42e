// What this proves: the models folder is filled once, whole or not at all; what a person put there
// stays; room is made from what nobody uses.
#include "agents/node/model_cache.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "agents/node/local_run_dirs.h"
#include "agents/node/model_room.h"
#include "tests/agents/transfer/hub_fixture.h"
#include "tests/support/fake_clock.h"

namespace {
using namespace kairo;
using namespace kairo::node;
namespace fs = std::filesystem;

const std::string tiny = "smollm2-135m-instruct";
struct Bench {
  explicit Bench(CacheSettings given = {}) : settings(std::move(given)) {
    settings.folder = dir.path + "/models";
    settings.hub = hub.url();
    settings.registry.clear();
    settings.keep_free_bytes = 0;
    fs::create_directories(settings.folder);
  }
  Status fetch(std::set<std::string> pins = {}) {
    FetchAsk ask{*catalogue::find_preset(tiny)};
    ask.pins = std::move(pins);
    ask.stop = &stop;
    ask.told = [this](const FetchTold& t) { told = t; };
    return ModelCache(settings, clock).fetch(ask, asked_s);
  }
  std::string at(const std::string& path) const { return settings.folder + "/" + path; }
  // A model of that many bytes, fetched and used then.
  void put(const std::string& name, std::size_t bytes, std::int64_t used_ms) const {
    for (const char* file : {"config.json", "tokenizer.json"})
      test::write_file(at(name + "/" + file), "");
    test::write_file(at(name + "/model.safetensors"), std::string(bytes, 'x'));
    test::write_file(at(name + "/.source.json"),
                     nlohmann::json{{"source", "s"}, {"lastUsed", rfc3339(used_ms)}}.dump());
  }
  test::TempDir dir;
  test::Hub hub;
  test::FakeClock clock;
  CacheSettings settings;
  std::atomic<bool> stop{false};
  FetchTold told;
  std::int64_t asked_s = 0;
};
std::string text(const Status& status) {
  return status.ok() ? "" : status.error().what;
}
}  // namespace

TEST_CASE("model cache: fetched once, with a note of where it came from") {
  Bench b;
  const ModelCache cache(b.settings, b.clock);
  CHECK_FALSE(cache.has(tiny));
  const Status done = b.fetch();
  REQUIRE_MESSAGE(done.ok(), text(done));
  CHECK(cache.has(tiny));
  CHECK(models_in(b.settings.folder) == std::vector<std::string>{tiny});
  CHECK(b.told.source == b.hub.url() + "/HuggingFaceTB/SmolLM2-135M-Instruct");
  CHECK(b.told.done == b.told.total);
  const auto note = nlohmann::json::parse(test::read_file(b.at(tiny + "/.source.json")));
  CHECK(note["source"] == b.told.source);
  CHECK(note["revision"] == b.hub.commit);
  CHECK(note["fetchedAt"] == "2025-11-24T16:00:00Z");
  CHECK(note["files"].size() == 5);
  CHECK(fs::is_empty(b.at(".fetching/")) == false);  // the lock file alone
  CHECK_FALSE(fs::exists(b.at(".fetching/" + tiny)));
  const int listings = b.hub.listings;
  CHECK(b.fetch().ok());
  CHECK(b.hub.listings == listings);
  b.clock.advance(60'000);
  cache.note_use(tiny);
  CHECK(nlohmann::json::parse(test::read_file(b.at(tiny + "/.source.json")))["lastUsed"] ==
        "2025-11-24T16:01:00Z");
}

TEST_CASE(
    "model cache: an interrupted fetch goes on with its commit, or begins anew with another") {
  Bench b;
  b.hub.slow = true;
  std::thread killer([&] {
    while (b.hub.sent < 100'000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    b.stop = true;
  });
  const Status stopped = b.fetch();
  killer.join();
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.error().code == Code::conflict);
  CHECK(models_in(b.settings.folder).empty());
  b.hub.slow = false;
  b.stop = false;
  CHECK(b.hub.ranges == 0);
  CHECK(text(b.fetch()).empty());
  CHECK(b.hub.ranges == 1);  // what was here did not come again

  fs::remove_all(b.at(tiny));
  test::write_file(b.at(".fetching/" + tiny + "/config.json"), "{\"of\": \"another commit\"}");
  test::write_file(b.at(".fetching/" + tiny + "/.from.json"),
                   nlohmann::json{{"source", b.hub.url() + "/HuggingFaceTB/SmolLM2-135M-Instruct"},
                                  {"revision", std::string(40, 'c')}}
                       .dump());
  CHECK(text(b.fetch()).empty());
  CHECK(test::read_file(b.at(tiny + "/config.json")) == b.hub.files["config.json"]);
}

TEST_CASE("model cache: what a person put there is neither changed nor removed") {
  Bench b;
  test::write_file(b.at(tiny + "/config.json"), "{}");
  CHECK(text(b.fetch()) ==
        "the models folder has a smollm2-135m-instruct without config.json or tokenizer.json: "
        "complete it, or remove it");
  test::write_file(b.at(tiny + "/tokenizer.json"), "{}");
  CHECK(b.fetch().ok());
  CHECK(b.hub.listings == 0);
  ModelCache(b.settings, b.clock).note_use(tiny);
  CHECK_FALSE(fs::exists(b.at(tiny + "/.source.json")));
}

TEST_CASE("model cache: one process fetches, the other hears so") {
  Bench b;
  b.hub.slow = true;
  Status first = ok();
  std::thread one([&] { first = b.fetch(); });
  while (b.hub.sent == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  FetchAsk ask{*catalogue::find_preset(tiny)};
  std::int64_t asked_s = 0;
  CHECK(text(ModelCache(b.settings, b.clock).fetch(ask, asked_s)) ==
        "another process of this machine fetches it");
  one.join();
  CHECK(text(first).empty());
  CHECK(b.hub.listings == 1);
}

TEST_CASE("model cache: no source, and what a node can fetch") {
  Bench b;
  b.settings.hub.clear();
  CHECK(text(b.fetch()) ==
        "there is no source for the weights of smollm2-135m-instruct: set hub or preset-registry, "
        "or put config.json, tokenizer.json and *.safetensors into the models folder");
  b.settings.registry = "r.io/kaito";
  const ModelCache cache(b.settings, b.clock);
  CHECK(cache.sources() == std::vector<std::string>{"image", "named"});
  CHECK_FALSE(cache.can_fetch(*catalogue::find_preset(tiny)));
  CHECK(cache.can_fetch(*catalogue::find_preset("phi-4")));
}

TEST_CASE(
    "model cache: the least recently used goes; what runs use, and what is a person's, stays") {
  Bench b;
  const std::int64_t now = b.clock.now_ms(), hour = 3'600'000;
  b.put("old", 1000, now - 9 * hour);
  b.put("older-but-linked", 1000, now - 99 * hour);
  fs::create_hard_link(b.at("older-but-linked/model.safetensors"), b.dir.path + "/a-run's");
  b.put("older-but-used", 1000, now - 99 * hour);
  b.put("new", 1000, now - hour);
  test::write_file(b.at("mine/config.json"), std::string(100'000, 'x'));
  b.settings.limit_bytes = 404'000;  // for the model's 400,107 and three others
  const Status done = b.fetch({"older-but-used"});
  CHECK(text(done).empty());
  CHECK_FALSE(fs::exists(b.at("old")));
  for (const char* kept : {"older-but-linked", "older-but-used", "new", "mine"}) {
    CAPTURE(kept);
    CHECK(fs::exists(b.at(kept)));
  }
}

TEST_CASE("model room: figures") {
  const auto model = [](const std::string& name, std::uint64_t gb, std::int64_t used, bool pinned) {
    return CachedModel{name, gb * 1'000'000'000, pinned ? 0 : gb * 1'000'000'000, used, pinned};
  };
  constexpr std::uint64_t gb = 1'000'000'000;
  const std::vector<CachedModel> models = {model("c", 3, 30, false), model("a", 1, 10, false),
                                           model("b", 2, 20, true), model("d", 4, 40, false)};
  struct Row {
    std::string name;
    Room room;
    std::vector<std::string> gone;
    std::string text;
  };
  const Row rows[] = {
      {"there is room", {5 * gb, 10 * gb, 2 * gb, 0}, {}, ""},
      {"one is enough", {5 * gb, 6 * gb, 2 * gb, 0}, {"a"}, ""},
      {"the pinned one is passed over", {5 * gb, 5 * gb, 2 * gb, 0}, {"a", "c"}, ""},
      {"the limit", {5 * gb, 50 * gb, 2 * gb, 12 * gb}, {"a", "c"}, ""},
      {"never enough on the disk",
       {16 * gb, 3 * gb, 2 * gb, 0},
       {},
       "the weights need 16.0 GB, and 11.0 GB are free for them at most on the disk of the models "
       "folder, of which 2.0 GB stay free (models-keep-free); runs of this node use 2.0 GB of "
       "other "
       "models; free some, or give the models folder a larger disk"},
      {"never within the limit",
       {16 * gb, 300 * gb, 2 * gb, 17 * gb},
       {},
       "the weights need 16.0 GB, and all fetched models may have 17.0 GB (models-limit); runs of "
       "this node use 2.0 GB of other models; raise models-limit, or delete Workspaces that are "
       "done"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto gone = models_to_remove(models, row.room);
    CHECK((gone.ok() ? gone.value() : std::vector<std::string>{}) == row.gone);
    CHECK((gone.ok() ? "" : gone.error().what) == row.text);
  }
}
