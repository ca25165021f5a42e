// What this proves: a tuning's Job is created without a look before; nothing that is there is
// touched unless it is the Workspace's own.
#include "agents/launcher/effects.h"

#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "tests/support/counted_cluster.h"
#include "tests/support/facts.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace kairo::test;
using Json = nlohmann::json;
namespace {
std::string nothing_wrong(const std::string&, const std::string&, const std::string&) {
  return {};
}
struct Bench {
  explicit Bench(launcher::Settings s = {}) : settings(std::move(s)) {}
  const launcher::Settings settings;
  FakeClock clock;
  cluster::MemoryCluster real{clock, "seed"};
  CountedCluster cluster{real};
  launcher::LauncherEffects effects{cluster, clock, settings, nothing_wrong,
                                    [](const wire::FactT&) {}};
  const cluster::Ref job{cluster::jobs, "d", "w"},
      preset{cluster::config_maps, "d", "qlora-params-template"};

  // since: the Workspace was known that long before now
  Status apply(const std::string& uid = "u1", std::int64_t since_ms_ago = 0,
               const std::string& secret = "", const std::string& queue = "",
               bool is_paused = false) {
    wire::CommandT command;
    command.uid = uid;
    command.ns = "d";
    command.name = "w";
    command.revision = "rev1";
    wire::ApplyTuningT body;
    body.workspace = std::make_unique<wire::WorkspaceT>(tuning(1));
    body.workspace->tuning->output->image_push_secret = secret;
    body.workspace->queue = queue;
    if (is_paused) body.workspace->annotations.push_back(label("kairo.dev/paused", "true"));
    body.resources = std::make_unique<wire::ResourcesT>(ready(1));
    body.run_dir = std::make_unique<wire::RunDirT>(run_dir(1));
    if (since_ms_ago >= 0) body.since_ms = clock.now_ms() - since_ms_ago;
    command.body.Set(std::move(body));
    cluster.calls.clear();
    return effects.perform(command);
  }
  Json at(const cluster::Ref& ref) { return Json::parse(real.get(ref).value()); }
};
}  // namespace

TEST_CASE("launcher: template and Job are created; a repetition finds them") {
  Bench b;
  REQUIRE(b.apply().ok());
  CHECK(b.cluster.calls == "create create create create");  // volume, claim, Job, template
  const Json made = b.at(b.job);
  REQUIRE(b.apply("u1", -1).ok());  // a crash repeats it
  CHECK(b.cluster.calls == "create get apply get get get");
  CHECK(b.at(b.job)["metadata"]["uid"] == made["metadata"]["uid"]);
  CHECK(b.at(b.job)["spec"] == made["spec"]);
}
TEST_CASE("launcher: the binder has seen a new volume before its claim comes, and that the Job") {
  Bench b;
  b.cluster.has_binder = true;
  REQUIRE(b.apply().ok());
  CHECK(b.cluster.calls == "create get create create create");  // volume, claim, Job, template
  CHECK(b.cluster.created ==
        std::vector<std::string>{"PersistentVolume", "PersistentVolumeClaim", "Job", "ConfigMap"});
}
TEST_CASE("launcher: a volume that was made while the weights were on their way is not asked for") {
  Bench b;
  wire::MakeVolumeT body;
  body.resources = std::make_unique<wire::ResourcesT>(ready(1));
  body.run_dir = std::make_unique<wire::RunDirT>(run_dir(1, "rev1", wire::RunDirState::Fetching));
  body.run_dir->path.clear();
  wire::CommandT command;
  command.ns = "d";
  command.body.Set(std::move(body));
  REQUIRE(b.effects.perform(command).ok());
  CHECK(b.cluster.calls == "create create");  // volume, claim
  b.clock.advance(30'000);
  REQUIRE(b.apply().ok());
  CHECK(b.cluster.calls == "create create");  // Job, template
  CHECK(b.at({cluster::claims, "d", "kairo-runs-n1"})["spec"]["volumeName"] == "kairo-runs.d.n1");
}
TEST_CASE("launcher: a push Secret that lacks is named, unless it may read none") {
  Bench b;
  const Status named = b.apply("u1", 0, "push");
  REQUIRE_FALSE(named.ok());
  CHECK(named.error().what.starts_with(
      "Secret 'push' specified in 'output.imagePushSecret' not found in namespace 'd'"));
  launcher::Settings in_cluster;
  in_cluster.checks_secrets = false;
  Bench other(in_cluster);
  CHECK(other.apply("u1", 0, "push").ok());
  CHECK(other.cluster.calls == "create create create create");
}
TEST_CASE(
    "launcher: a template that was seen since the Workspace was known is not asked for again") {
  Bench b;
  REQUIRE(b.apply().ok());
  REQUIRE(b.real.remove(b.job, "").ok());
  b.clock.advance(1'000);
  REQUIRE(b.apply("u1", 1'500).ok());
  CHECK(b.cluster.calls == "create");
  REQUIRE(b.real.remove(b.job, "").ok());
  REQUIRE(b.real.remove(b.preset, "").ok());
  REQUIRE(b.apply("u1", 500).ok());               // known since: it may have gone before that
  CHECK(b.cluster.calls == "create get create");  // the volume was seen a second ago
  CHECK(b.at(b.preset)["kind"] == "ConfigMap");
}
TEST_CASE("launcher: an edited Job of its own is made right") {
  Bench b;
  REQUIRE(b.apply().ok());
  REQUIRE(b.real.patch({b.job, R"({"spec":{"suspend":true}})", ""}).ok());
  REQUIRE(b.apply().ok());
  CHECK(b.at(b.job)["spec"]["suspend"] == false);
}
TEST_CASE("launcher: a paused training's Job is suspended, and goes on when it is not") {
  Bench b;
  REQUIRE(b.apply().ok());
  REQUIRE(b.apply("u1", 0, "", "", true).ok());
  CHECK(b.at(b.job)["spec"]["suspend"] == true);
  REQUIRE(b.apply().ok());
  CHECK(b.at(b.job)["spec"]["suspend"] == false);
}
TEST_CASE("launcher: whether a Job in a queue is suspended is Kueue's to say") {
  Bench b;
  REQUIRE(b.apply("u1", 0, "", "team-a").ok());
  CHECK(b.at(b.job)["spec"]["suspend"] == true);
  REQUIRE(b.real.patch({b.job, R"({"spec":{"suspend":false,"parallelism":2}})", ""}).ok());
  REQUIRE(b.apply("u1", 0, "", "team-a").ok());
  CHECK(b.at(b.job)["spec"]["suspend"] == false);
  CHECK(b.at(b.job)["spec"]["parallelism"] == 1);
}
TEST_CASE("launcher: the volume of the runs is the Node object's; another node's must go first") {
  Bench b;
  REQUIRE(b.apply().ok());
  const cluster::Ref claim{cluster::claims, "d", "kairo-runs-n1"},
      volume{cluster::volumes, "", "kairo-runs.d.n1"};
  for (const cluster::Ref& ref : {claim, volume})
    CHECK(b.at(ref)["metadata"]["ownerReferences"][0]["uid"] == "uid-n1");
  CHECK(b.at(volume)["spec"]["claimRef"]["name"] == claim.name);
  CHECK(b.at(claim)["spec"]["volumeName"] == volume.name);

  REQUIRE(b.real.remove(claim, "").ok());  // with its namespace
  REQUIRE(b.real
              .patch({volume,
                      R"({"spec":{"claimRef":{"uid":"old"}},"status":{"phase":"Released"}})", ""})
              .ok());
  REQUIRE(b.real.patch({volume, R"({"status":{"phase":"Released"}})", "status"}).ok());
  REQUIRE(b.apply("u1", -1).ok());
  CHECK_FALSE(b.at(volume)["spec"]["claimRef"].contains("uid"));
  CHECK(b.at(claim)["kind"] == "PersistentVolumeClaim");

  REQUIRE(b.real
              .patch({volume,
                      R"({"metadata":{"ownerReferences":[{"apiVersion":"v1",)"
                      R"("kind":"Node","name":"n1","uid":"before"}]}})",
                      ""})
              .ok());
  const Status waits = b.apply("u1", -1);
  REQUIRE_FALSE(waits.ok());
  CHECK(waits.error().code == Code::unavailable);
  CHECK(waits.error().what ==
        "PersistentVolume kairo-runs.d.n1 is not of this node, or is being deleted; when it is "
        "gone, kairo makes its own");
}
TEST_CASE("launcher: another's Job and another's template stay as they are") {
  Bench b;
  REQUIRE(b.apply("a namesake").ok());
  Json mine = b.at(b.preset);
  mine["data"] = {{"training_config.yaml", "mine"}};
  REQUIRE(b.real.patch({b.preset, Json{{"data", mine["data"]}}.dump(), ""}).ok());
  const Json before = b.at(b.job);
  const Status refused = b.apply("u1", -1);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::unavailable);
  CHECK(refused.error().what ==
        "Job d/w belongs to another owner; remove it or rename the workspace");
  CHECK(b.at(b.job) == before);
  CHECK(b.at(b.preset)["data"] == mine["data"]);
}
TEST_CASE("launcher: a server that leaves image volumes out is named, with what to do") {
  Bench b;
  wire::ApplyInferenceT body;
  body.workspace = std::make_unique<wire::WorkspaceT>(serving(1));
  auto adapter = std::make_unique<wire::AdapterT>();
  adapter->source = std::make_unique<wire::DataSourceT>();
  adapter->source->name = "pip";
  adapter->source->image = "example.org/pip:1";
  body.workspace->inference->adapters.push_back(std::move(adapter));
  body.resources = std::make_unique<wire::ResourcesT>(ready(1));
  body.resources->image_volumes = true;
  body.run_dir = std::make_unique<wire::RunDirT>(run_dir(1));
  wire::CommandT command;
  command.uid = "u1";
  command.ns = "d";
  command.name = "w";
  command.body.Set(std::move(body));
  CHECK(b.effects.perform(command).ok());
  b.cluster.keeps = [](cluster::Apply sent) {  // as Kubernetes 1.34 does
    Json object = Json::parse(sent.json);
    if (sent.ref.kind == cluster::stateful_sets)
      object["spec"]["template"]["spec"]["volumes"].erase(1);
    sent.json = object.dump();
    return sent;
  };
  const Status left_out = b.effects.perform(command);
  REQUIRE_FALSE(left_out.ok());
  CHECK(left_out.error().code == Code::conflict);
  CHECK(left_out.error().what ==
        "the API server has left the image volumes of StatefulSet w out: its feature gate "
        "ImageVolume is off; switch it on, or set image-volumes (imageVolumes of the chart) to "
        "never");
}
