// What this proves: however many Workspaces wait for a model, it is fetched once, they are told,
// and nobody hammers a source that refuses.
#include "agents/node/fetches.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/node/hub_token.h"
#include "schemas/base/base64.h"
#include "tests/agents/transfer/hub_fixture.h"
#include "tests/support/fake_clock.h"

namespace {
using namespace kairo;
using namespace kairo::node;

Wish wish(const std::string& uid, const std::string& secret = "") {
  return {uid, "default", "w-" + uid, "rev1", "n1/uid-n1", "smollm2-135m-instruct", secret, "", {}};
}
struct Node {
  Node() {
    std::filesystem::create_directories(dir.path + "/models");
    CacheSettings settings;
    settings.folder = dir.path + "/models";
    settings.hub = hub.url();
    settings.registry.clear();
    cache = std::make_unique<ModelCache>(settings, clock);
    fetches = std::make_unique<Fetches>(Fetches::Deps{
        *cache, clock, [this](wire::FactT fact) { said.push_back(std::move(fact)); }, "n1",
        [this](const std::string& ns, const std::string& name) -> Result<std::string> {
          ++secrets_read;
          if (name == "right") return std::string("hf_right");
          if (name == "wrong") return std::string("hf_wrong");
          return Error{Code::not_found, "Secret " + ns + "/" + name + " is not there"};
        },
        [this](const std::string& ns, const std::string& name) -> Result<std::string> {
          configs_read += ns + "/" + name + " ";
          return std::string(R"({"auths":{}})");
        },
        "", nullptr, [](const std::string& ns) { return "/runs/" + ns; }});
  }
  std::string last() const {  // what was said last, with the hub's address as HUB
    if (said.empty()) return "";
    const wire::RunDirT& dir_said = *said.back().body.AsRunDir();
    std::string out = said.back().uid + " " + wire::EnumNameRunDirState(dir_said.state) + " " +
                      dir_said.reason + ": " + dir_said.message;
    for (std::size_t at = 0; (at = out.find(hub.url(), at)) != std::string::npos;)
      out.replace(at, hub.url().size(), "HUB");
    return out;
  }
  test::TempDir dir;
  test::Hub hub;
  test::FakeClock clock;
  std::unique_ptr<ModelCache> cache;
  std::unique_ptr<Fetches> fetches;
  std::vector<wire::FactT> said;
  int secrets_read = 0;
  std::string configs_read;
};
bool is_pending(const Status& status) {
  return !status.ok() && status.error().code == Code::pending;
}
}  // namespace

TEST_CASE("fetches: two Workspaces, one fetch; both are told; then it is here") {
  Node b;
  CHECK(is_pending(b.fetches->want(wish("u1"))));
  CHECK(b.last() == "u1 Fetching WeightsDownloading: weights: asking for them");
  CHECK(b.said.back().body.AsRunDir()->volume == "/runs/default");  // the launcher makes it now
  CHECK(is_pending(b.fetches->want(wish("u2"))));
  CHECK(b.said.size() == 2);
  CHECK(is_pending(b.fetches->want(wish("u1"))));  // asked again: nothing new
  CHECK(b.said.size() == 2);
  CHECK(b.fetches->step());
  CHECK(b.said.size() == 4);  // a word each; the clock stood still
  CHECK(b.last().starts_with("u2 Fetching WeightsDownloading: weights: "));
  CHECK(b.last().ends_with(" of 400 kB from HUB/HuggingFaceTB/SmolLM2-135M-Instruct"));
  CHECK(b.fetches->want(wish("u1")).ok());
  CHECK(b.fetches->want(wish("u2")).ok());
  CHECK_FALSE(b.fetches->step());
  CHECK(b.hub.listings == 1);
}

TEST_CASE(
    "fetches: refused: told with the remedy, tried again with patience, or with another token") {
  Node b;
  b.hub.token = "hf_right";
  CHECK(is_pending(b.fetches->want(wish("u1", "absent"))));
  CHECK(b.fetches->step());
  CHECK(
      b.last().starts_with("u1 Failed WeightsRefused: weights: HuggingFaceTB/SmolLM2-135M-Instruct "
                           "is gated (401 GatedRepo): accept its licence at HUB/"));
  CHECK(b.last().ends_with("; Secret default/absent is not there (tried again in 60 s)"));
  CHECK_FALSE(b.fetches->step());
  CHECK(is_pending(b.fetches->want(wish("u2"))));  // another Workspace is no reason to ask again
  CHECK(b.last().starts_with("u2 Failed WeightsRefused: "));
  CHECK_FALSE(b.fetches->step());
  CHECK(is_pending(b.fetches->want(wish("u3", "wrong"))));  // another token is
  CHECK(b.fetches->step());
  CHECK(is_pending(b.fetches->want(wish("u3", "wrong"))));
  CHECK_FALSE(b.fetches->step());
  CHECK(b.hub.listings == 3);  // without a token, with the wrong one, without
  b.clock.advance(119'000);
  CHECK_FALSE(b.fetches->step());
  b.clock.advance(1'000);
  CHECK(b.fetches->step());
  CHECK(b.hub.listings == 5);
  CHECK(is_pending(b.fetches->want(wish("u4", "right"))));
  CHECK(b.fetches->step());
  CHECK(b.cache->has("smollm2-135m-instruct"));
  CHECK(b.hub.tokens_at_cdn == 0);
  for (const auto& fact : b.said)
    CHECK(fact.body.AsRunDir()->message.find("hf_") == std::string::npos);
}

TEST_CASE("fetches: 429: nothing is asked before the time that the hub has named") {
  Node b;
  b.hub.busy = 1;
  CHECK(is_pending(b.fetches->want(wish("u1"))));
  CHECK(b.fetches->step());
  CHECK(b.last() ==
        "u1 Failed WeightsNotFetched: weights: HUB/HuggingFaceTB/SmolLM2-135M-Instruct: the hub "
        "answers 429 Too Many Requests and asks to wait 7 s (tried again in 7 s)");
  for (int i = 0; i < 10; ++i) CHECK(is_pending(b.fetches->want(wish("v" + std::to_string(i)))));
  CHECK_FALSE(b.fetches->step());
  b.clock.advance(6'999);
  CHECK_FALSE(b.fetches->step());
  CHECK(b.hub.listings == 1);
  b.clock.advance(1);
  CHECK(b.fetches->step());
  CHECK(b.fetches->want(wish("u1")).ok());
  struct Row {
    int failures;
    bool refused;
    std::int64_t asked_s, pause_ms;
  };
  for (const Row& row :
       {Row{1, false, 0, 5'000}, Row{2, false, 0, 10'000}, Row{9, false, 0, 300'000},
        Row{1, true, 0, 60'000}, Row{3, true, 0, 240'000}, Row{1, false, 60, 60'000},
        Row{1, false, 99'999, 3'600'000}}) {
    CAPTURE(row.failures);
    CHECK(pause_after(row.failures, row.refused, row.asked_s) == row.pause_ms);
  }
}

TEST_CASE("fetches: nobody waits any more: it ends; what is here of it stays") {
  Node b;
  b.hub.slow = true;
  CHECK(is_pending(b.fetches->want(wish("u1"))));
  std::thread fetching([&] { CHECK(b.fetches->step()); });
  while (b.hub.sent < 50'000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  b.fetches->forget("u1");
  fetching.join();
  const std::size_t words = b.said.size();
  CHECK_FALSE(b.cache->has("smollm2-135m-instruct"));
  CHECK_FALSE(b.fetches->step());
  CHECK(b.said.size() == words);
  b.hub.slow = false;
  CHECK(is_pending(b.fetches->want(wish("u2"))));
  CHECK(b.fetches->step());
  CHECK(b.cache->has("smollm2-135m-instruct"));
  CHECK(b.hub.ranges == 1);
}

TEST_CASE("a hub's token in a Secret") {
  const test::FakeClock clock;
  cluster::MemoryCluster objects(clock, "seed");
  const auto put = [&](const std::string& name, const std::string& key, const std::string& value) {
    const nlohmann::json secret = {{"apiVersion", "v1"},
                                   {"kind", "Secret"},
                                   {"metadata", {{"name", name}, {"namespace", "default"}}},
                                   {"data", {{key, base64_encode(value)}}}};
    REQUIRE(objects.apply({{cluster::secrets, "default", name}, secret.dump(), "t", ""}).ok());
  };
  put("good", "HF_TOKEN", "hf_s3cret\n");
  put("other-key", "token", "hf_s3cret");
  put("two-lines", "HF_TOKEN", "a\r\nX-Evil: b");
  CHECK(hub_token(objects, "default", "good").value() == "hf_s3cret");
  struct Row {
    std::string name, text;
  };
  for (const Row& row :
       {Row{"none",
            "Secret 'none' of modelAccessSecret in namespace 'default' is not there; make it with: "
            "kubectl create secret generic none --from-literal=HF_TOKEN=..."},
        Row{"other-key",
            "Secret 'other-key' of modelAccessSecret in namespace 'default' has no "
            "token under the key HF_TOKEN"},
        Row{"two-lines",
            "Secret 'two-lines' of modelAccessSecret in namespace 'default' has no "
            "token under the key HF_TOKEN"}}) {
    CAPTURE(row.name);
    const auto token = hub_token(objects, "default", row.name);
    REQUIRE_FALSE(token.ok());
    CHECK(token.error().what == row.text);
  }
}

TEST_CASE("fetches: the preset's weights from an image of the user's own are another model") {
  CHECK(entry_of("phi-4", "") == "phi-4");
  CHECK(entry_of("phi-4", "r.io/mine:1") == "phi-4@74c5333ec8c1");
  CHECK(entry_of("phi-4", "r.io/mine:2") != entry_of("phi-4", "r.io/mine:1"));
  Node b;
  Wish own = wish("u1", "right");
  own.image = "127.0.0.1:1/mine:1";
  own.pull_secrets = {"a", "b"};
  CHECK(is_pending(b.fetches->want(own)));
  CHECK(is_pending(b.fetches->want(wish("u2"))));
  CHECK(b.fetches->step());
  CHECK(b.fetches->step());
  CHECK_FALSE(b.fetches->step());
  CHECK(b.configs_read == "default/a default/b ");
  CHECK(b.secrets_read == 0);  // a hub's token is nothing for a registry
  CHECK(b.hub.listings == 1);  // of u2
  CHECK(b.cache->has("smollm2-135m-instruct"));
  CHECK(is_pending(b.fetches->want(own)));  // the public weights are not these
  bool is_told = false;
  for (const auto& fact : b.said)
    is_told = is_told || (fact.uid == "u1" && fact.body.AsRunDir()->reason == "WeightsNotFetched");
  CHECK(is_told);
}
