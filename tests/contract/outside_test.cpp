// What this proves: the simulation's disk and registry keep the promises of run_dirs.h and
// uploader.h that the real ones keep: what the simulation shows holds for the product.
#include <doctest/doctest.h>

#include <filesystem>

#include "agents/node/local_run_dirs.h"
#include "agents/pusher/registry_uploader.h"
#include "state/rocks_store.h"
#include "tests/agents/transfer/registry_fixture.h"
#include "tests/sim/models.h"

using namespace kairo;
namespace {
sim::Dice no_faults() {
  sim::Dice dice;
  dice.healed = true;
  return dice;
}
const node::RunKey first{"uid-1", "default", "w", "rev-1", "tiny"},
    second{"uid-1", "default", "w", "rev-2", "tiny"},
    other{"uid-2", "default", "x", "rev-1", "tiny"};

// finish: what the trainer leaves behind.
void run_dirs_contract(node::RunDirs& dirs,
                       const std::function<void(const node::RunKey&)>& finish) {
  const auto path = dirs.prepare(first);
  REQUIRE_MESSAGE(path.ok(), (path.ok() ? "" : path.error().what));
  CHECK(dirs.prepare(first).value() == path.value());  // idempotent
  CHECK(dirs.prepare(second).value() != path.value());
  CHECK(dirs.prepare(other).value() != path.value());
  CHECK(dirs.adapter(first).error().code == Code::not_found);
  finish(first);
  const auto adapter = dirs.adapter(first);
  REQUIRE(adapter.ok());
  CHECK(adapter.value().bytes > 0);
  CHECK_FALSE(adapter.value().digest.empty());
  CHECK(dirs.adapter(first).value().digest == adapter.value().digest);
  CHECK(dirs.adapter(second).error().code == Code::not_found);
  CHECK(dirs.remove("default", "uid-1").ok());  // all revisions
  CHECK(dirs.remove("default", "uid-1").ok());
  CHECK(dirs.remove("default", "never-there").ok());
  CHECK(dirs.prepare(first).ok());  // may come back, without what it held
  CHECK(dirs.adapter(first).error().code == Code::not_found);
}

void uploader_contract(pusher::Uploader& uploader, const std::string& host,
                       const std::string& config, const std::string& one, const std::string& two) {
  int told = 0;
  const auto progress = [&](std::uint64_t done, std::uint64_t total) { told += done <= total; };
  const auto push = [&](const std::string& tag, const std::string& folder) {
    const auto pushed = uploader.push({host + "/team/a:" + tag, folder, "m", config, {}}, progress);
    REQUIRE_MESSAGE(pushed.ok(), (pushed.ok() ? "" : pushed.error().what));
    return pushed.value();
  };
  const auto pushed = push("1", one);
  CHECK(pushed.bytes > 0);
  CHECK(pushed.sent > 0);
  CHECK(pushed.digest.starts_with("sha256:"));
  CHECK(told > 0);
  const auto again = push("1", one);  // verified, not sent again
  CHECK(again.digest == pushed.digest);
  CHECK(again.sent == 0);
  CHECK(push("2", two).digest != pushed.digest);
}
}  // namespace

TEST_CASE("run directories: the model") {
  sim::Dice dice = no_faults();
  sim::DiskModel disk(dice);
  run_dirs_contract(
      disk, [&](const node::RunKey& run) { disk.adapters[sim::DiskModel::key_of(run)] = "data"; });
}

TEST_CASE("run directories: a file system") {
  const test::TempDir temp;
  test::write_file(temp.path + "/models/tiny/config.json", "{}");
  test::write_file(temp.path + "/models/tiny/tokenizer.json", "{}");
  const auto dirs = node::make_run_dirs(temp.path + "/runs", temp.path + "/models");
  run_dirs_contract(*dirs, [&](const node::RunKey& run) {
    const std::string results = dirs->prepare(run).value() + "/results/";
    test::write_file(results + "adapter_config.json", "{}");
    test::write_file(results + "adapter_model.safetensors", "weights");
    test::write_file(results + "fine_tuning_completed.txt", "done");
  });
}

TEST_CASE("uploader: the model") {
  sim::Dice dice = no_faults();
  sim::RegistryModel registry(dice);
  uploader_contract(registry, "registry", "", "/one", "/two");
}

TEST_CASE("uploader: a real registry") {
  if (const std::string missing = test::missing_programs(); !missing.empty()) {
    MESSAGE("SKIP " << missing);
    return;
  }
  const test::TempDir temp;
  test::Registry registry(temp);
  REQUIRE(registry.start());
  for (const char* folder : {"/one", "/two"}) {
    test::write_file(temp.path + folder + "/adapter_config.json", "{}");
    test::write_file(temp.path + folder + "/adapter_model.safetensors", test::noise(5000) + folder);
  }
  auto store = state::open_rocks_store(temp.path + "/store");
  REQUIRE(store.ok());
  const auto kept = std::move(store).value();
  pusher::RegistryUploader uploader(*kept, {});
  uploader_contract(uploader, registry.host(), registry.config(), temp.path + "/one",
                    temp.path + "/two");
}
