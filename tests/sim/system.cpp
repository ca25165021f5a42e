// tests/sim/system.cpp - the agents wired as main.cpp wires them, on memory and faults.
#include "tests/sim/system.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/launcher/decide.h"
#include "agents/launcher/effects.h"
#include "agents/node/decide.h"
#include "agents/node/effects.h"
#include "agents/provisioner/decide.h"
#include "agents/pusher/decide.h"
#include "agents/pusher/effects.h"
#include "agents/watcher/decide.h"
#include "agents/watcher/effects.h"
#include "schemas/base/base64.h"
#include "schemas/base/digest.h"

namespace kairo::sim {
namespace {
using Json = nlohmann::json;
using namespace std::chrono_literals;
constexpr const char* node_name = "machine";

struct NoEffects final : runtime::Effects {  // the provisioner of local mode only speaks
  Status perform(const wire::CommandT&) override { return Error{Code::invalid, "no such effect"}; }
};
runtime::Decision node_decide(const wire::RecordT& record, const runtime::View& view) {
  return node::decide(record, view, node_name);
}
std::string no_check(const std::string&, const std::string&, const std::string&) {
  return {};
}

struct Kit {
  runtime::Decide decide;
  std::set<wire::FactBody> own;
};
Kit kit_of(const std::string& name) {
  using wire::FactBody;
  if (name == "watcher") return {watcher::decide, {}};
  if (name == "provisioner") return {provisioner::decide, {FactBody::Resources}};
  if (name == "launcher") return {launcher::decide, {FactBody::Run}};
  if (name == "node")
    return {node_decide, {FactBody::RunDir, FactBody::Training, FactBody::Artifact}};
  return {pusher::decide, {FactBody::Push}};
}

std::string workspace_json(const std::string& name, int edition) {
  return Json{
      {"apiVersion", "kaito.sh/v1beta1"},
      {"kind", "Workspace"},
      {"metadata", {{"name", name}, {"namespace", "default"}}},
      {"resource", {{"labelSelector", {{"matchLabels", {{"app", name}}}}}}},
      {"tuning",
       {{"preset", {{"name", "smollm2-135m-instruct"}}},
        {"method", "lora"},
        {"input", {{"urls", {"http://example.com/" + std::to_string(edition)}}}},
        {"output", {{"image", "registry.example/" + name + ":1"}, {"imagePushSecret", "push"}}}}}}
      .dump();
}
}  // namespace

System::System(std::uint64_t seed)
    : dice_{std::mt19937_64(seed)},
      broker_(clock_, 5000ms),
      cluster_(clock_, "seed" + std::to_string(seed)),
      disk_(dice_),
      registry_(dice_),
      kubelet_(cluster_, disk_, dice_) {
  const Json node = {{"apiVersion", "v1"},
                     {"kind", "Node"},
                     {"metadata",
                      {{"name", node_name},
                       {"labels", {{"kairo.dev/local", "true"}}},
                       {"annotations", {{"kairo.dev/models", "smollm2-135m-instruct"}}}}},
                     {"status",
                      {{"allocatable", {{"cpu", "2"}, {"memory", "16Gi"}}},
                       {"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})}}}};
  for (const char* part : {"", "status"})
    (void)cluster_.apply({{cluster::nodes, "", node_name}, node.dump(), "kubelet", part});
  const Json secret = {{"apiVersion", "v1"},
                       {"kind", "Secret"},
                       {"metadata", {{"name", "push"}, {"namespace", "default"}}},
                       {"data", {{".dockerconfigjson", base64_encode("{\"auths\":{}}")}}}};
  (void)cluster_.apply({{cluster::secrets, "default", "push"}, secret.dump(), "user", ""});
  for (const char* name : {"watcher", "provisioner", "launcher", "node", "pusher"}) {
    agents_.push_back(std::make_unique<Agent>());
    agents_.back()->name = name;
    start(*agents_.back());
  }
}

void System::start(Agent& agent) {
  agent.sources.clear();
  agent.loop.reset();
  agent.relay.reset();
  agent.effects.reset();
  agent.store = std::make_unique<FaultyStore>(agent.disk, dice_);
  agent.raw_bus = std::make_unique<bus::MemoryBus>(broker_, agent.name);
  agent.bus = std::make_unique<FaultyBus>(*agent.raw_bus, dice_);
  agent.cluster = std::make_unique<FaultyCluster>(cluster_, dice_);
  const auto observe = [&agent](wire::FactT fact) { agent.loop->observe(std::move(fact), true); };
  if (agent.name == "watcher")
    agent.effects = std::make_unique<watcher::WatcherEffects>(*agent.cluster, *agent.bus, clock_);
  else if (agent.name == "launcher")
    agent.effects = std::make_unique<launcher::LauncherEffects>(
        *agent.cluster, launcher::Settings{}, no_check, observe);
  else if (agent.name == "node")
    agent.effects = std::make_unique<node::NodeEffects>(disk_, observe);
  else if (agent.name == "pusher")
    agent.effects =
        std::make_unique<pusher::PusherEffects>(*agent.cluster, registry_, clock_, observe);
  else
    agent.effects = std::make_unique<NoEffects>();
  agent.relay = std::make_unique<runtime::Relay>(runtime::Relay::Deps{
      *agent.bus, *agent.effects, clock_,
      [&agent](wire::FactT fact) { agent.loop->observe(std::move(fact), false); }});
  const Kit kit = kit_of(agent.name);
  agent.loop = std::make_unique<runtime::Loop>(runtime::Loop::Deps{
      agent.name, *agent.bus, *agent.store, *agent.relay, clock_, kit.decide, kit.own});
  const Status started = agent.loop->start();
  if (!started.ok() && wrong_.empty()) wrong_ = agent.name + ": " + started.error().what;
  if (agent.name != "watcher") return;
  for (const auto& kind : {cluster::workspaces, cluster::jobs, cluster::nodes}) {
    agent.sources.push_back(
        std::make_unique<watcher::Source>(*agent.cluster, *agent.bus, *agent.store, kind));
  }
}

// true: something was done.
bool System::step(Agent& agent, std::uint64_t what) {
  try {
    if (what < agent.sources.size()) {
      (void)agent.sources[what]->step(0, clock_.now_ms());
      return false;
    }
    if (what % 2 == 0) return agent.relay->step();
    const std::uint64_t before = agent.loop->facts();
    (void)agent.loop->step(0ms);
    return agent.loop->facts() != before;
  } catch (const Crash&) {
    ++crashes;
    start(agent);
    return true;
  }
}

void System::apply(const std::string& name, int edition) {
  const auto applied = cluster_.apply(
      {{cluster::workspaces, "default", name}, workspace_json(name, edition), "user", ""});
  if (!applied.ok() && applied.error().code != Code::conflict && wrong_.empty())
    wrong_ = "apply: " + applied.error().what;
  // What is applied to an object that is leaving leaves with it, as in Kubernetes.
  const bool leaving =
      applied.ok() && Json::parse(applied.value())["metadata"].contains("deletionTimestamp");
  if (applied.ok()) editions_[name] = leaving ? -1 : edition;
}
void System::remove(const std::string& name) {
  editions_[name] = -1;
  (void)cluster_.remove({cluster::workspaces, "default", name}, "");
}

void System::act() {
  ++steps;
  const std::uint64_t what = dice_.below(100);
  if (what < 70)
    step(*agents_[dice_.below(agents_.size())], dice_.below(7));
  else if (what < 80)
    step(*agents_[0], dice_.below(3));
  else if (what < 88)
    kubelet_.step();
  else if (what < 97)
    clock_.advance(static_cast<std::int64_t>(dice_.below(400)));
  else if (what == 97 && !dice_.healed)
    clock_.jump(static_cast<std::int64_t>(dice_.below(20'000)) - 10'000);
  else if (what == 98 && dice_.fault(4))
    broker_.lose_tail(1 + dice_.below(3));
  else if (what == 99 && dice_.fault(20))
    broker_.wipe();
  check_status();
}

// A Workspace that has succeeded does not go back while its wish stays the same.
void System::check_status() {
  if (steps % 16 != 0) return;
  const auto listing = cluster_.list({cluster::workspaces, "default", ""});
  if (!listing.ok()) return;
  for (const std::string& object : listing.value().items) {
    const Json w = Json::parse(object);
    const std::string key = w["metadata"]["uid"].get<std::string>() + "/" +
                            std::to_string(w["metadata"].value("generation", 0));
    const bool done = w.contains("status") && w["status"].value("state", "") == "Succeeded" &&
                      w["status"]["conditions"][0].value("observedGeneration", 0) ==
                          w["metadata"].value("generation", 0);
    if (shown_[key] == 1 && !done && !w["metadata"].contains("deletionTimestamp") && wrong_.empty())
      wrong_ = "status went back: " + key;
    if (done) shown_[key] = 1;
  }
}

void System::heal() {
  dice_.healed = true;
  int quiet = 0;
  for (int round = 0; round < 3000 && quiet < 12; ++round) {
    bool busy = false;
    for (auto& agent : agents_)
      for (std::uint64_t what = 0; what < 3 + agent->sources.size(); ++what)
        busy = step(*agent, what) || busy;
    kubelet_.step();
    check_status();
    clock_.advance(500);  // also past backoffs, ack waits and timers
    quiet = busy ? 0 : quiet + 1;
  }
}

std::string System::verdict() {
  if (!wrong_.empty()) return wrong_;
  if (!kubelet_.wrong.empty()) return kubelet_.wrong;
  for (const auto& [directory, times] : registry_.uploads)
    if (times > 1) return "uploaded twice: " + directory;
  for (const auto& [name, edition] : editions_) {
    const auto object = cluster_.get({cluster::workspaces, "default", name});
    const auto job = cluster_.get({cluster::jobs, "default", name});
    if (edition < 0) {
      if (object.ok()) return name + " was deleted and is still there: " + object.value();
      if (job.ok()) return name + " was deleted and its Job is still there";
      continue;
    }
    if (!object.ok()) return name + " is missing";
    const Json w = Json::parse(object.value());
    const Json status = w.contains("status") ? w["status"] : Json::object();
    const std::string state = status.value("state", "");
    if (state != "Succeeded" && state != "Failed")
      return name + " ended in state '" + state + "': " + status.dump();
    if (status["conditions"][0].value("observedGeneration", 0) !=
        w["metadata"].value("generation", 0))
      return name + ": status is of an older generation";
    if (state == "Succeeded") {
      const std::string image = "registry.example/" + name + ":1";
      if (!registry_.images.contains(image)) return name + ": no image";
      const std::string uid = w["metadata"]["uid"];
      if (!registry_.images[image].starts_with(uid)) return name + ": another Workspace's image";
      if (status["artifact"].value("digest", "") != "sha256:" + registry_.images[image])
        return name + ": status names another image";
    }
  }
  std::size_t alive = 0;
  for (const auto& [name, edition] : editions_) alive += edition >= 0;
  if (disk_.dirs.size() > alive) return "run directories were left behind";
  return {};
}

std::string System::trace() {
  Sha256 hash;
  for (const auto& message : broker_.stored("")) hash.update(message.subject + message.bytes);
  hash.update(std::to_string(cluster_.version()) + " " + std::to_string(crashes));
  return hash.hex();
}
}  // namespace kairo::sim
