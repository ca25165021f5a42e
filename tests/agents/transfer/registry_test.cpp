// What this proves: a push reaches a real registry once, survives a kill -9, and its refusals
// teach.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "agents/pusher/registry_uploader.h"
#include "agents/transfer/image.h"
#include "state/memory_store.h"
#include "state/rocks_store.h"
#include "tests/agents/transfer/registry_fixture.h"

namespace {
using namespace kairo;
using namespace kairo::pusher;
using namespace kairo::transfer;
constexpr const char* adapter_json = R"({"peft_type":"LORA","r":8})";

bool is_skipped() {
  const std::string why = test::missing_programs();
  if (!why.empty()) {
    std::cout << "SKIP: " << why << std::endl;
    std::exit(77);  // NOLINT(concurrency-mt-unsafe): the only thread
  }
  return false;
}
struct World {
  explicit World(std::size_t weight_bytes) : weights(test::noise(weight_bytes)) {
    test::write_file(dir.path + "/run/adapter_config.json", adapter_json);
    test::write_file(dir.path + "/run/adapter_model.safetensors", weights);
    request.reference = registry.host() + "/team/adapter:1";
    request.directory = dir.path + "/run";
    request.model_name = "phi-3-mini-128k-instruct";
    request.docker_config_json = registry.config();
    options.backoff_ms = 1;
    options.chunk_bytes = 1 << 20;
  }
  const test::TempDir dir;
  test::Registry registry{dir};
  const std::string weights;
  PushRequest request;
  RegistryOptions options;
  state::MemoryStore store;
};
// Dies as by kill -9 as soon as the n-th acknowledged chunk is on disk: between two chunks.
class DyingStore final : public state::Store {
 public:
  DyingStore(state::Store& store, int rows) : store_(store), rows_(rows) {}
  Result<std::optional<std::string>> get(const std::string& key) const override {
    return store_.get(key);
  }
  Result<state::Rows> scan(const std::string& prefix, const std::string& after,
                           std::size_t limit) const override {
    return store_.scan(prefix, after, limit);
  }
  Status commit(const state::Batch& batch) override {
    TRY(store_.commit(batch));
    for (const auto& [key, value] : batch.writes)
      if (key.starts_with("upload/") && value && rows_-- == 0) kill(getpid(), SIGKILL);
    return ok();
  }

 private:
  state::Store& store_;
  int rows_;  // writes to live through; the first one is the new session, offset 0
};
}  // namespace

TEST_CASE("registry: pushed once, then only looked at; skopeo reads the files back") {
  if (is_skipped()) return;
  World w(3'000'001);
  REQUIRE(w.registry.start());
  RegistryUploader uploader(w.store, w.options);
  std::uint64_t done = 0, total = 0;
  const auto first = uploader.push(w.request, [&](std::uint64_t d, std::uint64_t t) {
    CHECK(d >= done);
    done = d;
    total = t;
  });
  REQUIRE_MESSAGE(first.ok(), (first.ok() ? "" : first.error().what));
  CHECK(first.value().sent >= first.value().bytes);
  CHECK(first.value().sent < first.value().bytes + 10'000);
  CHECK(done == total);
  CHECK(total == first.value().bytes);
  const auto again = uploader.push(w.request, {});
  REQUIRE(again.ok());
  CHECK(again.value().sent == 0);
  CHECK(again.value().digest == first.value().digest);
  w.request.reference = w.registry.host() + "/team/adapter:2";
  const auto other_tag = uploader.push(w.request, {});
  REQUIRE(other_tag.ok());
  CHECK(other_tag.value().sent < 10'000);  // manifests only
  CHECK(w.store.scan("upload/", "", 10).value().empty());

  const std::string out = w.dir.path + "/out";
  const std::string copy = "cd " + w.dir.path +
                           " && skopeo --insecure-policy copy -q --dest-decompress"
                           " --src-tls-verify=false --src-creds kairo:s3cret docker://" +
                           w.registry.host() + "/team/adapter:1 dir:" + out +
                           " && mkdir root && for f in out/????????????????????????????????*; do"
                           " tar xf $f -C root 2>/dev/null; done; true";
  REQUIRE(std::system(copy.c_str()) == 0);
  CHECK(test::read_file(w.dir.path + "/root/data/adapter_config.json") == adapter_json);
  CHECK(test::read_file(w.dir.path + "/root/data/adapter_model.safetensors") == w.weights);
  CHECK(test::read_file(out + "/manifest.json").find("\"sh.kaito.model.name\"") !=
        std::string::npos);
}
TEST_CASE("registry: refusals name the registry's words and the remedy, never the password") {
  if (is_skipped()) return;
  World w(100'000);
  REQUIRE(w.registry.start());
  const std::string host = w.registry.host();
  struct Row {
    std::string name, config, text;
  };
  const Row rows[] = {
      {"wrong password", w.registry.config("wr0ng"),
       "registry " + host +
           " refused the credentials for repository team/adapter (401 UNAUTHORIZED: "
           "authentication required); check the Secret named in output.imagePushSecret"},
      {"no entry for this registry", R"({"auths":{"elsewhere.example":{"auth":"YTpi"}}})",
       "registry " + host +
           " wants credentials for repository team/adapter (401 UNAUTHORIZED: authentication "
           "required); check the "
           "Secret named in output.imagePushSecret"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    w.request.docker_config_json = row.config;
    RegistryUploader uploader(w.store, w.options);
    const auto result = uploader.push(w.request, {});
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == Code::invalid);
    CHECK(result.error().what == row.text);
    CHECK(result.error().what.find("wr0ng") == std::string::npos);
  }
}
TEST_CASE("registry: down is unavailable; back again, the push goes through") {
  if (is_skipped()) return;
  World w(100'000);
  RegistryUploader uploader(w.store, w.options);
  const auto down = uploader.push(w.request, {});
  REQUIRE_FALSE(down.ok());
  CHECK(down.error().code == Code::unavailable);
  REQUIRE(w.registry.start());
  const auto up = uploader.push(w.request, {});
  REQUIRE(up.ok());
  CHECK(up.value().sent >= up.value().bytes);
}
TEST_CASE("registry: a lost upload session starts the blob anew") {
  if (is_skipped()) return;
  World w(3'000'000);
  REQUIRE(w.registry.start());
  const Image image = plan_image({w.request.directory, w.request.model_name, {}}).value();
  UploadLog log(w.store);
  const std::string stale = "http://" + w.registry.host() + "/v2/team/adapter/blobs/uploads/gone";
  REQUIRE(
      log.save(w.registry.host() + "/team/adapter", image.layers[1].digest, {stale, 1 << 20}).ok());
  RegistryUploader uploader(w.store, w.options);
  const auto pushed = uploader.push(w.request, {});
  REQUIRE_MESSAGE(pushed.ok(), (pushed.ok() ? "" : pushed.error().what));
  CHECK(pushed.value().sent >= pushed.value().bytes);
}
TEST_CASE("registry: a pusher killed in the middle of a blob goes on where it was") {
  if (is_skipped()) return;
  World w(32 << 20);
  REQUIRE(w.registry.start());
  const std::string db = w.dir.path + "/db";
  const std::uint64_t half = 16 << 20;
  const pid_t child = fork();
  if (child == 0) {  // pushes until the half, then dies as by kill -9
    const auto store = state::open_rocks_store(db);
    if (!store.ok()) _exit(3);
    RegistryUploader uploader(*store.value(), w.options);
    const auto result = uploader.push(w.request, [&](std::uint64_t done, std::uint64_t) {
      if (done > half && done % (1 << 20) < 1 << 16) kill(getpid(), SIGKILL);
    });
    _exit(result.ok() ? 4 : 5);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  const auto store = state::open_rocks_store(db);
  REQUIRE(store.ok());
  RegistryUploader uploader(*store.value(), w.options);
  const auto result = uploader.push(w.request, {});
  REQUIRE_MESSAGE(result.ok(), (result.ok() ? "" : result.error().what));
  // Killed inside a chunk, registry 2.8 may lose the session: one blob again, never more.
  CHECK(result.value().sent <= result.value().bytes + 10'000);
  MESSAGE("after kill -9: sent " << result.value().sent << " of " << result.value().bytes);
  CHECK(store.value()->scan("upload/", "", 10).value().empty());
  const std::string inspect = "skopeo inspect --tls-verify=false --creds kairo:s3cret docker://" +
                              w.request.reference + " > " + w.dir.path + "/inspect.json";
  REQUIRE(std::system(inspect.c_str()) == 0);
  CHECK(test::read_file(w.dir.path + "/inspect.json").find(result.value().digest) !=
        std::string::npos);
}
TEST_CASE("registry: killed between two chunks, not one acknowledged byte is sent again") {
  if (is_skipped()) return;
  World w(32 << 20);
  REQUIRE(w.registry.start());
  const std::string db = w.dir.path + "/db";
  constexpr int chunks = 20;
  const pid_t child = fork();
  if (child == 0) {
    const auto store = state::open_rocks_store(db);
    if (!store.ok()) _exit(3);
    DyingStore dying(*store.value(), chunks);
    RegistryUploader uploader(dying, w.options);
    _exit(uploader.push(w.request, {}).ok() ? 4 : 5);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
  const auto store = state::open_rocks_store(db);
  REQUIRE(store.ok());
  CHECK(store.value()->scan("upload/", "", 10).value().size() == 1);
  RegistryUploader uploader(*store.value(), w.options);
  const auto result = uploader.push(w.request, {});
  REQUIRE_MESSAGE(result.ok(), (result.ok() ? "" : result.error().what));
  const std::uint64_t rest = result.value().bytes - chunks * w.options.chunk_bytes;
  CHECK(result.value().sent <= rest + 10'000);  // and two manifests
  CHECK(result.value().digest ==
        plan_image({w.request.directory, w.request.model_name, {}}).value().digest);
  const std::string copy =
      "skopeo --insecure-policy copy -q --src-tls-verify=false --src-creds "
      "kairo:s3cret docker://" +
      w.request.reference + " dir:" + w.dir.path + "/out";
  CHECK(std::system(copy.c_str()) == 0);  // skopeo verifies every layer's digest
}
