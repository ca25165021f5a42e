// What this proves: a checkpoint reaches a real registry from one node and, bit-equal, the run
// directory of another; the older one goes; a registry that keeps what it has is told of.
#include <doctest/doctest.h>

#include <filesystem>
#include <iostream>

#include "agents/node/registry_checkpoints.h"
#include "agents/pusher/checkpoint_pushes.h"
#include "agents/transfer/manifests.h"
#include "state/memory_store.h"
#include "tests/agents/transfer/registry_fixture.h"

namespace {
using namespace kairo;
namespace fs = std::filesystem;
constexpr const char* uid = "6fa31358-3bda-46ba-a680-6ba46c3643bc";

struct TwoNodes {
  explicit TwoNodes(bool deletes) : registry(dir, deletes) {
    options.backoff_ms = 1;
    options.chunk_bytes = 1 << 20;
    options.tries = 1;
    job.uid = uid;
    job.output = registry.host() + "/team/adapter:1";
    job.run_dir = dir.path + "/n1";
    job.docker_config = [this]() -> Result<std::string> {
      ++secrets_read;
      return registry.config();
    };
    fs::create_directories(dir.path + "/n2");
    wish = {uid,    "default",       "rev1", dir.path + "/n2", job.output + "-checkpoint-" + uid,
            "push", std::uint32_t{1}};
  }
  void save(std::uint32_t step) {
    const std::string folder = job.run_dir + "/state/checkpoints/checkpoint-";
    test::write_file(folder + std::to_string(step) + "/state.json",
                     "{\"step\": " + std::to_string(step) + "}\n");
    test::write_file(folder + std::to_string(step) + "/state.safetensors",
                     test::noise(2'500'000 + step));
  }
  Result<pusher::PushedCheckpoint> push() {
    const auto asked = pushes.push(job);
    if (asked.ok() || asked.error().code != Code::pending) return asked;
    CHECK(pushes.step());
    return pushes.push(job);
  }
  std::string brought(std::uint32_t step) const {
    return test::read_file(dir.path + "/n2/state/checkpoints/checkpoint-" + std::to_string(step) +
                           "/state.safetensors");
  }
  test::TempDir dir;
  test::Registry registry;
  transfer::RegistryOptions options;
  state::MemoryStore store;
  pusher::CheckpointPushes pushes{store, [this] {
                                    transfer::RegistryOptions out;
                                    out.backoff_ms = 1;
                                    out.chunk_bytes = 1 << 20;
                                    out.tries = 1;
                                    return out;
                                  }()};
  node::RegistryCheckpoints checkpoints{
      [this](const std::string&, const std::string&) -> Result<std::string> {
        return registry.config(password);
      },
      [] {
        transfer::RegistryOptions out;
        out.backoff_ms = 1;
        out.tries = 1;
        return out;
      }()};
  pusher::CheckpointJob job;
  node::CheckpointWish wish;
  std::string password = "s3cret";
  int secrets_read = 0;
};
bool lacks_programs() {
  const std::string why = test::missing_programs();
  if (!why.empty()) std::cout << "SKIP: " << why << std::endl;
  return !why.empty();
}
std::string words_of(const auto& result) {
  return result.ok() ? "" : result.error().what;
}
}  // namespace

TEST_CASE("checkpoint: from one node to another through a registry, the newest, bit-equal") {
  if (lacks_programs()) return;
  TwoNodes w(true);
  REQUIRE(w.registry.start());
  const auto nothing = w.push();
  REQUIRE(nothing.ok());
  CHECK(nothing.value().step == 0);
  CHECK(w.secrets_read == 0);  // none is there
  w.save(20);
  w.save(40);
  test::write_file(w.job.run_dir + "/state/checkpoints/checkpoint-60/state.json", "{}");  // half
  const auto first = w.push();
  REQUIRE_MESSAGE(first.ok(), words_of(first));
  CHECK(first.value().step == 40);
  CHECK(first.value().image == w.wish.image);
  CHECK(w.secrets_read == 1);
  CHECK_FALSE(fs::exists(w.job.run_dir + "/pushing"));
  w.job.known_step = 40;
  CHECK(w.push().value().step == 0);  // it is there already

  w.wish.step = 40;
  const auto brought = w.checkpoints.bring(w.wish);
  REQUIRE_MESSAGE(brought.ok(), words_of(brought));
  CHECK(brought.value() == "the checkpoint of step 40 was brought from " + w.wish.image);
  CHECK(w.brought(40) == test::noise(2'500'040));
  CHECK(w.checkpoints.bring(w.wish).value() == "");  // one as new lies there

  w.save(60);
  const auto second = w.push();
  REQUIRE_MESSAGE(second.ok(), words_of(second));
  CHECK(second.value().step == 60);
  w.wish.step = 60;
  CHECK(w.checkpoints.bring(w.wish).ok());
  CHECK(w.brought(60) == test::noise(2'500'060));

  REQUIRE(w.pushes.remove(w.job).ok());
  CHECK(w.pushes.remove(w.job).ok());  // nothing is there any more
  w.wish.step = 80;
  const auto gone = w.checkpoints.bring(w.wish);
  REQUIRE_MESSAGE(gone.ok(), words_of(gone));
  CHECK(gone.value() == "the checkpoint " + w.wish.image + " is gone: training begins anew");
}

TEST_CASE("checkpoint: a registry that keeps what it has is told of, and hinders nothing") {
  if (lacks_programs()) return;
  TwoNodes w(false);
  REQUIRE(w.registry.start());
  w.save(20);
  REQUIRE(w.push().ok());
  w.save(40);
  REQUIRE(w.push().ok());  // the older one stays
  const Status kept = w.pushes.remove(w.job);
  REQUIRE_FALSE(kept.ok());
  CHECK(kept.error().code == Code::invalid);
  CHECK(kept.error().what == "registry " + w.registry.host() +
                                 " refused repository team/adapter (405 UNSUPPORTED: The operation "
                                 "is unsupported.)");
}

TEST_CASE("checkpoint: what stands in the way of a fetch is said, and tried again") {
  if (lacks_programs()) return;
  TwoNodes w(true);
  REQUIRE(w.registry.start());
  w.save(20);
  REQUIRE(w.push().ok());
  w.wish.step = 20;
  w.password = "wr0ng";
  const auto refused = w.checkpoints.bring(w.wish);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::unavailable);
  CHECK(refused.error().what ==
        "the checkpoint " + w.wish.image + " cannot be fetched: registry " + w.registry.host() +
            " refused the credentials for repository team/adapter (401 UNAUTHORIZED: "
            "authentication required); check the Secret named in output.imagePushSecret (tried "
            "again; the annotation kairo.dev/keep-checkpoints: \"false\" begins without it)");
  w.registry.stop();
  w.password = "s3cret";
  CHECK(w.checkpoints.bring(w.wish).error().code == Code::unavailable);
  CHECK_FALSE(fs::exists(w.dir.path + "/n2/state/checkpoints/.writing-brought"));
}

TEST_CASE("checkpoint: one that is stopped does not come back; the tag keeps to its limit") {
  if (lacks_programs()) return;
  TwoNodes w(true);
  REQUIRE(w.registry.start());
  w.save(20);
  CHECK(w.pushes.push(w.job).error().code == Code::pending);
  w.pushes.stop(uid);
  CHECK_FALSE(w.pushes.step());
  transfer::Reference output;
  output.tag = std::string(128, 'x');
  CHECK(transfer::checkpoint_of(output, uid).tag == std::string(80, 'x') + "-checkpoint-" + uid);
}
