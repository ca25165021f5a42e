// What this proves: a run directory is made once, links the weights, belongs to its owner alone,
// and its progress and adapter are read as the trainer writes them, half-written lines included.
#include "agents/node/run_dirs.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/local/apiserver/objects.h"
#include "agents/node/effects.h"
#include "agents/node/give_folders.h"
#include "agents/node/local_run_dirs.h"
#include "agents/node/progress.h"
#include "agents/node/weights_said.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace kairo::node;
namespace {
namespace fs = std::filesystem;
struct Bench {
  Bench() {
    std::string name = (fs::temp_directory_path() / "kairo-runs-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root = name;
    write("models/tiny/config.json", "{}");
    write("models/tiny/tokenizer.json", "{}");
    write("models/tiny/model.safetensors", "weights");
    dirs = make_run_dirs((root / "runs").string(), (root / "models").string());
  }
  ~Bench() { fs::remove_all(root); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  }
  fs::path root;
  std::unique_ptr<RunDirs> dirs;
  const RunKey run{"uid-1", "default", "tune-me", "0123456789abcdef", "tiny"};
};
}  // namespace

TEST_CASE("weights: what their folder says of their kinds, and how large they are") {
  const Bench b;
  const std::string folder = (b.root / "models/tiny").string();
  struct Row {
    std::string config, blocks;
  };
  const std::vector<Row> rows = {
      {"{}", ""},
      {"[", ""},
      {R"({"quantization_config": 1})", ""},
      {R"({"quantization_config": {"quant_method": "awq", "matrices": "x"}})", ""},
      {R"({"quantization_config": {"quant_method": "kairo_blocks", "matrices": "Q4_1, Q8_0"}})",
       "Q4_1, Q8_0"},
      {R"({"quantization_config": {"quant_method": "kairo_blocks"}})", "blocks"}};
  for (const Row& row : rows) {
    CAPTURE(row.config);
    b.write("models/tiny/config.json", row.config);
    CHECK(blocks_of(folder) == row.blocks);
  }
  CHECK(blocks_of(folder + "/none").empty());
  b.write("models/tiny/model-2.safetensors", "123");
  CHECK(weights_bytes(folder) == 10);
  CHECK(weights_bytes(folder + "/none") == 0);
}

TEST_CASE("a run directory: made, made again, listed, removed") {
  Bench b;
  const auto made = b.dirs->prepare(b.run);
  REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
  const fs::path dir = made.value();
  CHECK(dir == b.root / "runs/default/uid-1/0123456789ab");
  for (const char* part : {"weights", "data", "state", "results", "adapters"})
    CHECK(fs::is_directory(dir / part));
  struct stat about {};
  REQUIRE(::stat(dir.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0700);
  CHECK(fs::hard_link_count(dir / "weights/model.safetensors") == 2);  // no second copy

  std::ofstream(dir / "state/checkpoint") << "kept";
  CHECK(b.dirs->prepare(b.run).ok());
  CHECK(fs::exists(dir / "state/checkpoint"));
  REQUIRE(b.dirs->list().ok());
  CHECK(b.dirs->list().value() == std::vector<RunKey>{b.run});
  CHECK(models_in((b.root / "models").string()) == std::vector<std::string>{"tiny"});

  CHECK(b.dirs->remove("default", "uid-1").ok());
  CHECK(b.dirs->remove("default", "uid-1").ok());
  CHECK_FALSE(fs::exists(dir));
  CHECK(fs::exists(b.root / "models/tiny/model.safetensors"));
}

TEST_CASE(
    "a namespace's folder is a volume that needs no new owner; an earlier version's run is kept") {
  Bench b;
  const fs::path before = b.root / "runs/uid-1";  // without the namespace
  b.write("runs/uid-1/0123456789ab/state/checkpoint", "kept");
  fs::create_directory_symlink("0123456789ab", before / "current");
  const auto made = b.dirs->prepare(b.run);
  REQUIRE(made.ok());
  CHECK(fs::exists(fs::path(made.value()) / "state/checkpoint"));
  CHECK_FALSE(fs::exists(before));
  CHECK(b.dirs->volume(b.run) == (b.root / "runs/default").string());
  struct stat about {};
  REQUIRE(::stat((b.root / "runs/default").c_str(), &about) == 0);
  CHECK((about.st_mode & 07777) == 02770);
}

TEST_CASE("the run that was prepared last is the current one; it may come back") {
  Bench b;
  RunKey next = b.run;
  next.revision = "fedcba9876543210";
  for (const RunKey& run : {b.run, next, b.run}) {
    REQUIRE(b.dirs->prepare(run).ok());
    CHECK(b.dirs->list().value() == std::vector<RunKey>{run});
  }
  REQUIRE(b.dirs->remove(b.run.ns, b.run.uid).ok());
  CHECK(b.dirs->list().value().empty());
}
TEST_CASE("a preset that is not here says where it belongs; names cannot leave the folder") {
  Bench b;
  RunKey absent = b.run;
  absent.preset = "llama";
  const auto made = b.dirs->prepare(absent);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().code == Code::not_found);
  CHECK(made.error().what ==
        "the weights of preset 'llama' are not on this node: put config.json, "
        "tokenizer.json and *.safetensors into " +
            (b.root / "models/llama").string());
  for (const std::string name : {"", "..", "../x", "a/b", ".hidden"}) {
    CAPTURE(name);
    RunKey wrong = b.run;
    wrong.uid = name;
    CHECK_FALSE(b.dirs->prepare(wrong).ok());
    CHECK_FALSE(b.dirs->remove("default", name).ok());
  }
}

TEST_CASE("an adapter counts when its last file is there") {
  Bench b;
  const fs::path results = fs::path(b.dirs->prepare(b.run).value()) / "results";
  const auto missing = [&] {
    const auto adapter = b.dirs->adapter(b.run);
    REQUIRE_FALSE(adapter.ok());
    CHECK(adapter.error().code == Code::not_found);
    return adapter.error().what;
  };
  CHECK(missing() == "the run ended without adapter_config.json");
  std::ofstream(results / "adapter_config.json") << "{}";
  std::ofstream(results / "adapter_model.safetensors") << "abc";
  CHECK(missing() == "the run ended without fine_tuning_completed.txt");
  std::ofstream(results / "fine_tuning_completed.txt") << "done";
  const auto adapter = b.dirs->adapter(b.run);
  REQUIRE(adapter.ok());
  CHECK(adapter.value().bytes == 3);
  CHECK(adapter.value().digest ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("progress: the last whole line that can be read") {
  const std::string step7 =
      R"({"phase":"Training","step":7,"total_steps":36,"loss":2.5,)"
      R"("tokens_per_second":262,"eta_ms":53000,"attempt":2,"resumed_from":5})";
  struct Row {
    std::string name, text;
    int step;  // -1: none
  };
  const Row rows[] = {
      {"nothing", "", -1},
      {"no whole line", step7, -1},
      {"one line", step7 + "\n", 7},
      {"a torn tail", step7 + "\n{\"phase\":\"Trai", 7},
      {"a line of zeros after a power cut", step7 + "\n" + std::string(40, '\0') + "\n", 7},
      {"an unknown phase", step7 + "\n{\"phase\":\"Dancing\",\"step\":9}\n", 7},
      {"other JSON", step7 + "\n[1]\n5\n", 7},
      {"wrong types read as absent", "{\"phase\":\"Saving\",\"step\":\"x\"}\n", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto progress = last_progress(row.text);
    REQUIRE(progress.has_value() == (row.step >= 0));
    if (progress) CHECK(progress->step == static_cast<std::uint32_t>(row.step));
  }
  const auto full = last_progress(step7 + "\n");
  CHECK(full->total_steps == 36);
  CHECK(full->loss == 2.5f);
  CHECK(full->eta_ms == 53000);
  CHECK(full->attempt == 2);
  CHECK(full->resumed_from == 5);
  CHECK(full->eval_loss == 0);
  const auto evaluated = last_progress(
      R"({"phase":"Training","step":9,"rows":40,"held_out_rows":10,"dropped_rows":3,)"
      R"("truncated_rows":2,"eval_step":8,"eval_loss":1.5,"best_step":4,"best_eval_loss":1.25,)"
      R"("device":"NVIDIA H200","self_test":"all 29 calls agree","gpu":"GPU-8a6f"})"
      "\n");
  CHECK(evaluated->device == "NVIDIA H200");
  CHECK(evaluated->self_test == "all 29 calls agree");
  CHECK(evaluated->gpu == "GPU-8a6f");
  CHECK(evaluated->rows == 40);
  CHECK(evaluated->held_out_rows == 10);
  CHECK(evaluated->dropped_rows == 3);
  CHECK(evaluated->truncated_rows == 2);
  CHECK(evaluated->eval_step == 8);
  CHECK(evaluated->eval_loss == 1.5f);
  CHECK(evaluated->best_step == 4);
  CHECK(evaluated->best_eval_loss == 1.25f);
}

TEST_CASE("a file's tail is bounded; changed bytes never crash the reader") {
  Bench b;
  b.write("long", std::string(200'000, 'x') + "\n{\"phase\":\"Done\",\"step\":3}\n");
  const std::string tail = tail_of((b.root / "long").string());
  CHECK(tail.size() == 64 * 1024);
  CHECK(last_progress(tail)->step == 3);
  CHECK(tail_of((b.root / "absent").string()).empty());
  const std::string seed = "{\"phase\":\"Training\",\"step\":7,\"loss\":1e3}\n";
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = seed + seed;
    for (auto changes = 1 + random() % 6; changes > 0; --changes)
      text[random() % text.size()] = static_cast<char>(random());
    read += last_progress(text) ? 1 : 0;
  }
  CHECK(read > 1000);
}
TEST_CASE("a training that hangs is counted on by the next process of the agent") {
  const Bench b;
  REQUIRE(b.dirs->prepare(b.run).ok());
  const std::string file = b.dirs->progress_file(b.run);
  const auto write = [&](unsigned attempt) {
    fs::create_directories(fs::path(file).parent_path());
    std::ofstream(file, std::ios::app)
        << R"({"phase":"Training","step":7,"total_steps":9,)"
        << R"("at_ms":1764000000000,"gpu":"GPU-1","attempt":)" << attempt << "}\n";
  };
  std::vector<wire::FactT> said;
  test::FakeClock clock;
  bool is_read = true;
  const auto sensor = [&] {
    return ProgressSensor(
        *b.dirs, [&](wire::FactT fact) { said.push_back(std::move(fact)); }, "n1", clock,
        [](const std::string&) { return std::optional<std::uint64_t>(0); },
        [&]() -> std::optional<std::vector<wire::FactT>> {
          if (!is_read) return std::nullopt;
          return std::vector<wire::FactT>(said.empty() ? said.begin() : said.end() - 1, said.end());
        });
  };
  const auto last = [&]() -> const wire::TrainingT& { return *said.back().body.AsTraining(); };
  write(1);
  {
    auto first = sensor();
    first.look();
    REQUIRE(said.size() == 1);
    CHECK(last().stalls == 0);
    clock.advance(600'000);
    first.look();
    REQUIRE(said.size() == 2);
    CHECK(last().stalls == 1);
    CHECK(last().stalled.starts_with("no step since 2025-11-24T16:00:00Z (step 7 of 9)"));
  }
  auto second = sensor();
  is_read = false;
  second.look();
  CHECK(said.size() == 2);  // nothing is said before it is known what was
  is_read = true;
  second.look();
  REQUIRE(said.size() == 3);
  CHECK(*said[1].body.AsTraining() == last());  // the same once more, which is no news
  write(2);
  second.look();
  CHECK(last().stalled == "");
  CHECK(last().stalls == 1);
  clock.advance(600'000);
  second.look();
  CHECK(last().stalls == 2);
}

TEST_CASE("a run is removed when no pod of its Workspace can write there any more") {
  Bench b;
  test::FakeClock clock;
  cluster::MemoryCluster cluster(clock, "seed");
  std::vector<wire::FactT> said;
  NodeEffects effects(
      *b.dirs, cluster, [&](wire::FactT f) { said.push_back(std::move(f)); }, "n1");
  REQUIRE(b.dirs->prepare(b.run).ok());
  const cluster::Ref pod{cluster::pods, "default", "tune-me-x"};
  const auto show = [&](const char* node, const char* phase, bool is_copy) {
    nlohmann::json object = {{"apiVersion", "v1"},
                             {"kind", "Pod"},
                             {"metadata",
                              {{"name", pod.name},
                               {"namespace", "default"},
                               {"labels", {{"kaito.sh/workspace", "tune-me"}}},
                               {"annotations", {{"kairo.dev/workspace-uid", "uid-1"}}}}},
                             {"spec", {{"nodeName", node}}},
                             {"status", {{"phase", phase}}}};
    if (!is_copy)
      object["metadata"]["ownerReferences"] = {{{"apiVersion", "batch/v1"},
                                                {"kind", "Job"},
                                                {"name", "tune-me"},
                                                {"uid", "j1"},
                                                {"controller", true}}};
    (void)cluster.remove(pod, cluster::RemoveOptions{"", cluster::Propagation::background, true});
    for (const char* part : {"", "status"})
      REQUIRE(cluster.apply({pod, object.dump(), "kubelet", part}).ok());
  };
  wire::CommandT command;
  command.uid = b.run.uid;
  command.ns = "default";
  command.name = "tune-me";
  wire::RemoveRunT remove;
  remove.run = std::make_unique<wire::RunT>();
  remove.run->node = "n1";
  command.body.Set(std::move(remove));
  for (const char* phase : {"Pending", "Running"}) {
    show("n1", phase, false);
    const Status busy = effects.perform(command);
    REQUIRE_FALSE(busy.ok());
    CHECK(busy.error().code == Code::unavailable);
    CHECK(b.dirs->list().value().size() == 1);
  }
  CHECK(said.empty());
  SUBCASE("it has ended") {
    show("n1", "Succeeded", false);
  }
  SUBCASE("it runs elsewhere") {
    show("n2", "Running", false);
  }
  SUBCASE("it is a copy, for debugging") {
    show("n1", "Running", true);
  }
  CHECK(effects.perform(command).ok());
  CHECK(b.dirs->list().value().empty());
  REQUIRE(said.size() == 2);  // with the directory goes what lay in it
  CHECK(said[0].body.AsArtifact()->node == "n1");
  CHECK(said[0].body.AsArtifact()->revision.empty());
  CHECK(said[1].body.AsRunDir()->state == wire::RunDirState::Removed);
}

TEST_CASE(
    "a run without an adapter has failed, unless its Job is gone and may have been elsewhere") {
  Bench b;
  test::FakeClock clock;
  cluster::MemoryCluster cluster(clock, "seed");
  std::vector<wire::FactT> said;
  NodeEffects effects(
      *b.dirs, cluster, [&](wire::FactT f) { said.push_back(std::move(f)); }, "n1");
  REQUIRE(b.dirs->prepare(b.run).ok());
  wire::CommandT command;
  command.uid = b.run.uid;
  wire::CheckArtifactT check;
  check.run = std::make_unique<wire::RunT>();
  check.run->revision = b.run.revision;
  check.job_is_gone = true;
  command.body.Set(wire::CheckArtifactT(check));
  CHECK(effects.perform(command).ok());
  CHECK(said.empty());
  command.body.AsCheckArtifact()->job_is_gone = false;
  CHECK(effects.perform(command).ok());
  REQUIRE(said.size() == 1);
  CHECK(said[0].body.AsArtifact()->problem == "the run ended without adapter_config.json");
}

TEST_CASE("folders are made and given, with all in them; links are not followed") {
  const Bench b;
  const unsigned self = ::getuid();
  fs::create_symlink("/", b.root / "models/outside");
  const auto in = [&](const char* name) { return (b.root / name).string(); };
  CHECK(give_folders({in("models"), in("state/deep")}, self).ok());
  CHECK(fs::is_directory(b.root / "state/deep"));
  CHECK(give_folders({in("models")}, self).ok());
  if (self != 0) {
    MESSAGE("SKIP to give folders away one must be root");
    return;
  }
  CHECK(give_folders({in("models")}, 65532).ok());
  for (const char* name : {"models", "models/tiny", "models/tiny/config.json", "models/outside"}) {
    CAPTURE(name);
    struct stat there {};
    REQUIRE(::lstat(in(name).c_str(), &there) == 0);
    CHECK(there.st_uid == 65532);
    CHECK(there.st_gid == 65532);
  }
  struct stat root {};
  REQUIRE(::stat("/", &root) == 0);
  CHECK(root.st_uid == 0);
  const Status wrong = give_folders({in("models/tiny/config.json/x")}, self);
  CHECK(wrong.error().what.ends_with("Not a directory; does it run as root?"));
}
