// agents/serve_agent.cpp - chooses the implementations of an agent's ports and starts it.
#include "agents/serve_agent.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/launcher/decide.h"
#include "agents/launcher/effects.h"
#include "agents/node/decide.h"
#include "agents/node/effects.h"
#include "agents/node/local_run_dirs.h"
#include "agents/provisioner/decide.h"
#include "agents/pusher/decide.h"
#include "agents/pusher/effects.h"
#include "agents/pusher/registry_uploader.h"
#include "agents/runtime/complaint.h"
#include "agents/runtime/service.h"
#include "agents/watcher/admit_config.h"
#include "agents/watcher/decide.h"
#include "agents/watcher/effects.h"
#include "agents/watcher/sources.h"
#include "schemas/base/log.h"
#include "state/rocks_store.h"

namespace kairo {
namespace {
using wire::FactBody;

struct NoEffects final : runtime::Effects {  // the provisioner of local mode only speaks
  Status perform(const wire::CommandT&) override { return Error{Code::invalid, "no such effect"}; }
};

// Everything of one process; members are in the order of their dependencies.
struct Parts {
  const AgentConfig& config;
  const SystemClock clock{};
  std::unique_ptr<cluster::KubeCluster> cluster;
  std::unique_ptr<bus::Bus> bus;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<node::RunDirs> run_dirs;
  std::unique_ptr<pusher::Uploader> uploader;
  std::unique_ptr<runtime::Effects> effects;
  std::unique_ptr<runtime::Relay> relay;
  std::unique_ptr<runtime::Loop> loop;
  std::vector<std::unique_ptr<watcher::Source>> sources;
  runtime::ServiceOptions options;

  explicit Parts(const AgentConfig& c) : config(c) {}
  void observe(wire::FactT fact) { loop->observe(std::move(fact), true); }
};

// decide() of the node agent knows its node by configuration; the runtime takes a plain function.
std::string& own_node() {
  static std::string name;
  return name;
}
runtime::Decision decide_node(const wire::RecordT& record, const runtime::View& view) {
  return node::decide(record, view, own_node());
}

void pause(std::int64_t ms, const std::atomic<bool>& stop) {
  for (; ms > 0 && !stop; ms -= 20) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

void follow(Parts& p, watcher::Source& source, const std::atomic<bool>& stop) {
  runtime::Complaint complaint;
  while (!stop) {
    const Status done = source.step(1'000, p.clock.now_ms());
    const bool is_due = complaint.is_due(!done.ok(), p.clock.monotonic_ms());
    if (done.ok()) continue;
    if (is_due) log::warn("watch failed", {{"error", done.error().what}});
    pause(200, stop);
  }
}

void wire_watcher(Parts& p) {
  p.effects = std::make_unique<watcher::WatcherEffects>(*p.cluster, *p.bus, p.clock);
  for (const auto& kind : {cluster::workspaces, cluster::jobs, cluster::pods,
                           cluster::stateful_sets, cluster::nodes}) {
    p.sources.push_back(std::make_unique<watcher::Source>(*p.cluster, *p.bus, *p.store, kind));
    auto* source = p.sources.back().get();
    p.options.sensors.push_back(
        [&p, source](const std::atomic<bool>& stop) { follow(p, *source, stop); });
  }
}

// Says on the Node object which models lie here; again when a folder appears or goes.
void tell_models(Parts& p, const std::atomic<bool>& stop) {
  std::string told = "?";
  while (!stop) {
    std::string models;
    for (const std::string& name : node::models_in(p.config.models_dir))
      models += (models.empty() ? "" : ",") + name;
    if (models != told) {
      const nlohmann::json patch = {
          {"apiVersion", "v1"},
          {"kind", "Node"},
          {"metadata", {{"name", p.config.node}, {"annotations", {{"kairo.dev/models", models}}}}}};
      const auto applied =
          p.cluster->apply({{cluster::nodes, "", p.config.node}, patch.dump(), "kairo-node", ""});
      if (applied.ok()) told = models;
    }
    pause(told == models ? 5'000 : 200, stop);
  }
}

void wire_node(Parts& p) {
  own_node() = p.config.node;
  p.run_dirs = node::make_run_dirs(p.config.runs_dir, p.config.models_dir);
  const auto observe = [&p](wire::FactT fact) { p.observe(std::move(fact)); };
  p.effects = std::make_unique<node::NodeEffects>(*p.run_dirs, observe);
  p.options.sensors.push_back([&p, observe](const std::atomic<bool>& stop) {
    for (node::ProgressSensor sensor(*p.run_dirs, observe); !stop; pause(250, stop)) sensor.look();
  });
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) { tell_models(p, stop); });
}

runtime::Loop::Deps deps(Parts& p, const std::atomic<bool>& stop) {
  const std::string& agent = p.config.agent;
  const auto with = [&](runtime::Decide decide, std::set<FactBody> own) {
    return runtime::Loop::Deps{agent, *p.bus, *p.store, *p.relay, p.clock, decide, std::move(own)};
  };
  if (agent == "watcher") {
    wire_watcher(p);
    return with(watcher::decide, {});
  }
  if (agent == "launcher") {
    launcher::Settings settings;
    settings.listen = p.config.is_local ? "127.0.0.1" : "0.0.0.0";
    settings.allow_loopback = p.config.is_local;
    p.effects = std::make_unique<launcher::LauncherEffects>(
        *p.cluster, settings, watcher::check_training_config,
        [&p](wire::FactT fact) { p.observe(std::move(fact)); });
    return with(launcher::decide, {FactBody::Run});
  }
  if (agent == "node") {
    wire_node(p);
    return with(decide_node, {FactBody::RunDir, FactBody::Training, FactBody::Artifact});
  }
  if (agent == "pusher") {
    pusher::RegistryOptions options;
    options.stop = &stop;
    p.uploader = std::make_unique<pusher::RegistryUploader>(*p.store, options);
    p.effects = std::make_unique<pusher::PusherEffects>(
        *p.cluster, *p.uploader, p.clock, [&p](wire::FactT fact) { p.observe(std::move(fact)); });
    return with(pusher::decide, {FactBody::Push});
  }
  p.effects = std::make_unique<NoEffects>();
  return with(provisioner::decide, {FactBody::Resources});
}

// The relay needs the effects, which `deps` chooses; the loop needs the relay: hence the
// indirection.
struct LateEffects final : runtime::Effects {
  explicit LateEffects(Parts& parts) : p(parts) {}
  Status perform(const wire::CommandT& command) override { return p.effects->perform(command); }
  Parts& p;
};
}  // namespace

Status serve_agent(const AgentConfig& config, const std::atomic<bool>& stop) {
  Parts p(config);
  p.cluster = std::make_unique<cluster::KubeCluster>(config.cluster);
  p.bus = TRY(bus::open_nats_bus(config.bus));
  p.store = TRY(state::open_rocks_store(config.state_dir));
  LateEffects effects(p);
  p.relay = std::make_unique<runtime::Relay>(
      runtime::Relay::Deps{*p.bus, effects, p.clock,
                           [&p](wire::FactT fact) { p.loop->observe(std::move(fact), false); }});
  p.loop = std::make_unique<runtime::Loop>(deps(p, stop));
  p.options.agent = config.agent;
  p.options.port_file = config.port_file;
  log::info("agent starts", {{"agent", config.agent},
                             {"cluster", config.cluster.base_url},
                             {"bus", config.bus.url},
                             {"state", config.state_dir}});
  return runtime::serve(*p.loop, *p.relay, p.options, stop);
}
}  // namespace kairo
