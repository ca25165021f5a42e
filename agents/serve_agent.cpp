// agents/serve_agent.cpp - chooses the implementations of an agent's ports and starts it.
#include "agents/serve_agent.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "agents/admission/admit_config.h"
#include "agents/cluster/kinds.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/kube_lease.h"
#include "agents/launcher/effects.h"
#include "agents/node/adapter_keeper.h"
#include "agents/node/curves.h"
#include "agents/node/effects.h"
#include "agents/node/fetches.h"
#include "agents/node/gpu/gpu_teller.h"
#include "agents/node/gpu/nvml.h"
#include "agents/node/hub_token.h"
#include "agents/node/local_run_dirs.h"
#include "agents/node/models_note.h"
#include "agents/node/registry_checkpoints.h"
#include "agents/node/weights_said.h"
#include "agents/provisioner/effects.h"
#include "agents/pusher/checkpoint_pushes.h"
#include "agents/pusher/effects.h"
#include "agents/pusher/registry_uploader.h"
#include "agents/role.h"
#include "agents/runtime/complaint.h"
#include "agents/runtime/file_lease.h"
#include "agents/runtime/service.h"
#include "agents/runtime/start_pages.h"
#include "agents/watcher/effects.h"
#include "agents/watcher/sources.h"
#include "schemas/base/log.h"
#include "state/rocks_store.h"

namespace kairo {
namespace {
// Effects that wait for the API server, which answers many at a time.
constexpr int api_workers = 16;

// Everything of one process; members are in the order of their dependencies.
struct Parts {
  const AgentConfig& config;
  const SystemClock clock{};
  runtime::Vitals vitals{clock};
  std::unique_ptr<cluster::KubeCluster> cluster;
  std::unique_ptr<bus::Bus> bus;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<node::RunDirs> run_dirs;
  std::unique_ptr<node::ModelCache> models;
  std::unique_ptr<node::Fetches> fetches;
  std::unique_ptr<node::Checkpoints> checkpoints;
  std::unique_ptr<node::RunDirs> served_dirs;  // of the keeper
  std::unique_ptr<node::AdapterKeeper> adapters;
  std::unique_ptr<node::GpuTeller> gpus;
  std::unique_ptr<node::ProgressSensor> progress;
  std::unique_ptr<pusher::Uploader> uploader;
  std::unique_ptr<pusher::CheckpointPushes> checkpoint_pushes;
  watcher::Workspaces workspaces;
  std::unique_ptr<runtime::Effects> effects;
  std::unique_ptr<runtime::Lease> lease;
  std::unique_ptr<runtime::Tenure> tenure;
  std::unique_ptr<runtime::Relay> relay;
  std::unique_ptr<runtime::Loop> loop;
  std::vector<std::unique_ptr<watcher::Source>> sources;
  runtime::ServiceOptions options;

  explicit Parts(const AgentConfig& c) : config(c) {}
  void observe(wire::FactT fact) { loop->observe(std::move(fact), true); }
};

void pause(std::int64_t ms, const std::atomic<bool>& stop) {
  for (; ms > 0 && !stop; ms -= 20) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

// A watch says at least every second whether it is alive. Who stands by looks more often whether it
// is to act.
void follow(Parts& p, watcher::Source& source, const std::atomic<bool>& stop) {
  constexpr std::int64_t silent_ms_max = 30'000;
  const std::string vital = "watch " + source.selection().kind.plural;
  runtime::Complaint complaint;
  p.vitals.expect(vital, silent_ms_max);
  while (!stop) {
    const std::int64_t wait_ms = p.tenure->term() == 0 ? 50 : 1'000;
    const Status done = source.step(wait_ms, p.clock.now_ms());
    p.vitals.report(vital, done);
    const bool is_due = complaint.is_due(!done.ok(), p.clock.monotonic_ms());
    if (done.ok()) continue;
    if (is_due) log::warn("watch failed", {{"error", done.error().what}});
    pause(200, stop);
  }
}

// Of all sources; none when there is nothing to follow.
std::function<bool()> all(const Parts& p, bool (watcher::Source::*are)() const) {
  if (p.sources.empty()) return nullptr;
  return [&p, are] {
    return std::all_of(p.sources.begin(), p.sources.end(),
                       [are](const auto& source) { return (source.get()->*are)(); });
  };
}

// Unique for each process, and says where it runs.
std::string holder_of(const AgentConfig& config) {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/uuid"), id);
  return config.node + "_" + id;
}
Status wire_lease(Parts& p) {
  const AgentConfig& config = p.config;
  if (config.lease_ns.empty())
    p.lease = TRY(runtime::open_file_lease(config.lease_file));
  else
    p.lease = make_kube_lease(*p.cluster, p.clock,
                              {config.lease_ns, config.lease_name, holder_of(config)});
  p.tenure = std::make_unique<runtime::Tenure>(*p.lease, p.clock);
  return ok();
}

void wire_watcher(Parts& p) {
  p.effects = std::make_unique<watcher::WatcherEffects>(*p.cluster, *p.bus, p.workspaces, p.clock);
  const watcher::Source::Deps deps{
      *p.cluster,
      *p.bus,
      p.workspaces,
      [&p](wire::FactBody body) { return p.loop->last_facts(body); },
      [&p](wire::FactT fact) { p.loop->observe(std::move(fact), false); },
      p.tenure.get(),
      [&p] { return p.loop->is_acting(); }};
  const provisioner::Mode mode = p.config.terms.mode;
  const bool buys = mode != provisioner::Mode::own;
  const bool uses_pools = mode == provisioner::Mode::karpenter;
  for (const cluster::Selection& selection : watcher::followed(buys, uses_pools)) {
    p.sources.push_back(std::make_unique<watcher::Source>(deps, selection));
    auto* source = p.sources.back().get();
    p.options.sensors.push_back(
        [&p, source](const std::atomic<bool>& stop) { follow(p, *source, stop); });
  }
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ",") + word;
  return out;
}
// Says on the Node object which models lie here, whenever it does not show that.
void tell_models(Parts& p, const std::atomic<bool>& stop) {
  node::ModelsNote note;
  for (; !stop; pause(1'000, stop)) {
    const auto node = p.loop->node(p.config.node);
    if (!node || p.tenure->term() == 0) continue;
    const std::vector<std::string> models = node::models_in(p.config.models.folder);
    const std::vector<std::string> sources = p.models->sources();
    std::vector<std::uint64_t> bytes;
    std::vector<std::string> sizes;
    for (const std::string& model : models) {
      bytes.push_back(node::weights_bytes(p.config.models.folder + "/" + model));
      sizes.push_back(model + "=" + std::to_string(bytes.back()));
    }
    if (!note.is_due(models, bytes, sources, *node, p.clock.now_ms())) continue;
    const nlohmann::json patch = {{"apiVersion", "v1"},
                                  {"kind", "Node"},
                                  {"metadata",
                                   {{"name", p.config.node},
                                    {"uid", node->uid},
                                    {"annotations",
                                     {{"kairo.dev/models", joined(models)},
                                      {"kairo.dev/model-bytes", joined(sizes)},
                                      {"kairo.dev/model-sources", joined(sources)}}}}}};
    const auto applied =
        p.cluster->apply({{cluster::nodes, "", p.config.node}, patch.dump(), "kairo-node", ""});
    if (applied.ok()) note = {models, sources, bytes, node->version, p.clock.now_ms()};
  }
}

// The presets of the runs on this node.
std::set<std::string> presets_in_use(const AgentConfig& config) {
  std::set<std::string> out;
  const auto runs = node::make_run_dirs(config.runs_dir, config.models.folder)->list();
  if (!runs.ok()) return out;
  for (const node::RunKey& run : runs.value()) out.insert(run.preset);
  return out;
}
void wire_models(Parts& p) {
  constexpr int at_once = 2;  // a small model does not wait for a large one
  p.models = std::make_unique<node::ModelCache>(p.config.models, p.clock);
  node::Fetches::Deps deps{*p.models,
                           p.clock,
                           [&p](wire::FactT fact) { p.observe(std::move(fact)); },
                           p.config.node,
                           [&p](const std::string& ns, const std::string& secret) {
                             return node::hub_token(*p.cluster, ns, secret);
                           },
                           [&p](const std::string& ns, const std::string& secret) {
                             return node::pull_config(*p.cluster, ns, secret);
                           },
                           p.config.hub_token_file,
                           [&p] { return presets_in_use(p.config); },
                           [&p](const std::string& ns) {
                             return p.run_dirs->volume({"", ns, "", "", ""});
                           }};
  p.fetches = std::make_unique<node::Fetches>(std::move(deps));
  for (int i = 0; i < at_once; ++i)
    p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
      for (; !stop; pause(200, stop))
        if (p.tenure->term() != 0) (void)p.fetches->step();
    });
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
    while (!stop) pause(1'000, stop);
    p.fetches->stop();
  });
}
Status wire_gpus(Parts& p) {
  static const SystemClock lasting;  // threads that hang in a driver may outlive the parts
  node::GpuWatchSettings settings;
  settings.clock = &lasting;
  settings.count = [] { return node::gpus_on_bus(); };
  settings.open = [path = p.config.nvml] { return node::open_nvml(path); };
  if (p.config.kernel_log != "none") settings.kernel_log = p.config.kernel_log;
  if (!p.config.xid_table.empty()) {
    std::ifstream in(p.config.xid_table);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    if (!in.is_open())
      return Error{Code::invalid, "xid-table: " + p.config.xid_table + " cannot be read"};
    TRY(node::amend(settings.xids, text));
  }
  p.gpus = std::make_unique<node::GpuTeller>(std::move(settings), *p.cluster, p.config.node);
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
    for (; !stop; pause(500, stop))
      if (const auto node = p.loop->node(p.config.node); node && p.tenure->term() != 0)
        p.gpus->tell(*node, p.clock.now_ms());
  });
  return ok();
}
// Two at a time: a registry that is slow holds up one server.
void wire_adapters(Parts& p) {
  constexpr int at_once = 2;
  p.served_dirs = node::make_run_dirs(p.config.runs_dir, p.config.models.folder);
  p.adapters = std::make_unique<node::AdapterKeeper>(node::AdapterKeeper::Deps{
      *p.served_dirs, p.clock, [&p](wire::FactT fact) { p.observe(std::move(fact)); },
      p.config.node,
      [&p](const std::string& ns, const std::string& secret) {
        return node::pull_config(*p.cluster, ns, secret, "output.imagePushSecret");
      }});
  for (int i = 0; i < at_once; ++i)
    p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
      for (; !stop; pause(50, stop))
        while (!stop && p.tenure->term() != 0 && p.adapters->step()) continue;
    });
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
    for (; !stop; pause(1'000, stop))
      if (p.tenure->term() != 0) p.adapters->look();
    p.adapters->stop();
  });
}
// For whoever watches a run: what becomes of it does not hang on them, so they need no outbox.
void tell_curves(Parts& p, const std::atomic<bool>& stop) {
  node::CurveSensor sensor(*p.run_dirs, p.clock, [&p](const std::string& to, const std::string& b) {
    return p.bus->publish({to, "", b});
  });
  for (; !stop; pause(1'000, stop)) {
    if (p.tenure->term() == 0) continue;
    const auto incarnation = p.bus->incarnation();
    if (incarnation.ok()) sensor.look(incarnation.value());
  }
}
Status wire_node(Parts& p) {
  if (p.config.nvml != "none") TRY(wire_gpus(p));
  p.run_dirs = node::make_run_dirs(p.config.runs_dir, p.config.models.folder);
  wire_models(p);
  const auto observe = [&p](wire::FactT fact) { p.observe(std::move(fact)); };
  p.checkpoints = std::make_unique<node::RegistryCheckpoints>(
      [&p](const std::string& ns, const std::string& secret) {
        return node::pull_config(*p.cluster, ns, secret);
      },
      transfer::RegistryOptions{});
  wire_adapters(p);
  p.effects =
      std::make_unique<node::NodeEffects>(*p.run_dirs, *p.cluster, observe, p.config.node,
                                          p.fetches.get(), p.checkpoints.get(), p.adapters.get());
  node::Utilization utilization;
  if (p.gpus) utilization = [&p](const std::string& gpu) { return p.gpus->utilization(gpu); };
  p.progress = std::make_unique<node::ProgressSensor>(
      *p.run_dirs, observe, p.config.node, p.clock, utilization,
      [&p] { return p.loop->last_facts(wire::FactBody::Training); });
  p.options.more_metrics = [&p] {
    return (p.gpus ? p.gpus->metrics() : std::string()) + p.progress->metrics();
  };
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
    while (!stop && p.tenure->term() == 0) pause(20, stop);
    for (; !stop; pause(250, stop)) p.progress->look();
  });
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) { tell_models(p, stop); });
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) { tell_curves(p, stop); });
  return ok();
}

void wire_checkpoint_pushes(Parts& p) {
  p.checkpoint_pushes =
      std::make_unique<pusher::CheckpointPushes>(*p.store, transfer::RegistryOptions{});
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
    constexpr int less = 10;             // of a processor than whoever trains beside it
    setpriority(PRIO_PROCESS, 0, less);  // of this thread, on Linux
    for (; !stop; pause(200, stop))
      if (p.tenure->term() != 0) (void)p.checkpoint_pushes->step();
  });
  p.options.sensors.push_back([&p](const std::atomic<bool>& stop) {
    while (!stop) pause(1'000, stop);
    p.checkpoint_pushes->stop_all();
  });
}

Status wire_effects(Parts& p, const std::atomic<bool>& stop) {
  const std::string& agent = p.config.agent;
  const auto observe = [&p](wire::FactT fact) { p.observe(std::move(fact)); };
  if (agent == "watcher" || agent == "launcher" || agent == "provisioner")
    p.options.workers = api_workers;
  if (agent == "watcher") {
    wire_watcher(p);
  } else if (agent == "launcher") {
    launcher::Settings settings;
    settings.listen = p.config.is_local ? "127.0.0.1" : "0.0.0.0";
    settings.allow_loopback = settings.checks_secrets = p.config.is_local;
    settings.gateway = p.config.gateway;
    if (!p.config.image.empty()) settings.image = p.config.image;
    if (!p.config.engine_image.empty()) settings.engine_image = p.config.engine_image;
    if (!p.config.cuda_engine_image.empty())
      settings.cuda_engine_image = p.config.cuda_engine_image;
    if (!p.config.vllm_image.empty()) settings.vllm_image = p.config.vllm_image;
    if (p.config.image_volumes == "never") settings.image_volumes = launcher::ImageVolumes::never;
    if (p.config.image_volumes == "always") settings.image_volumes = launcher::ImageVolumes::always;
    p.effects = std::make_unique<launcher::LauncherEffects>(
        *p.cluster, p.clock, settings, admission::check_training_config, observe);
  } else if (agent == "node") {
    TRY(wire_node(p));
  } else if (agent == "pusher") {
    transfer::RegistryOptions options;
    options.stop = &stop;
    p.uploader = std::make_unique<pusher::RegistryUploader>(*p.store, options);
    wire_checkpoint_pushes(p);
    p.effects = std::make_unique<pusher::PusherEffects>(*p.cluster, *p.uploader, p.clock, observe,
                                                        p.config.node, p.checkpoint_pushes.get());
  } else {
    p.effects = std::make_unique<provisioner::ProvisionerEffects>(
        *p.cluster, p.config.terms, admission::check_training_config,
        [&p](wire::FactT fact) { p.loop->observe(std::move(fact), false); });
  }
  return ok();
}

Status serve(const AgentConfig& config, const std::atomic<bool>& stop) {
  Parts p(config);
  cluster::KubeConfig reached = config.cluster;
  reached.stop = &stop;
  p.cluster = std::make_unique<cluster::KubeCluster>(std::move(reached));
  p.bus = TRY(bus::open_nats_bus(config.bus));
  p.store = TRY(state::open_rocks_store(config.state_dir));
  TRY(wire_lease(p));
  TRY(wire_effects(p, stop));
  p.relay = std::make_unique<runtime::Relay>(runtime::Relay::Deps{
      *p.bus, *p.effects, p.clock,
      [&p](wire::FactT fact) { p.loop->observe(std::move(fact), false); }, p.tenure.get()});
  p.loop = std::make_unique<runtime::Loop>(
      runtime::Loop::Deps{config.agent, *p.bus, *p.store, *p.relay, p.clock,
                          role_of(config.agent, config.terms, config.checkpoint_every_ms),
                          config.node, all(p, &watcher::Source::has_listed), &p.vitals,
                          p.tenure.get(), all(p, &watcher::Source::is_warm)});
  p.options.agent = config.agent;
  p.options.vitals = &p.vitals;
  p.options.tenure = p.tenure.get();
  p.options.health_host = config.health_host;
  p.options.health_port = config.health_port;
  p.options.port_file = config.port_file;
  return runtime::serve(*p.loop, *p.relay, p.options, stop);
}
}  // namespace

// A damaged store is worth as much as none: the bus makes an empty one good.
Status serve_agent(const AgentConfig& config, const std::atomic<bool>& stop) {
  runtime::share_one_heap();
  const Status done = serve(config, stop);
  if (done.ok() || done.error().code != Code::corrupt || stop) return done;
  const std::string kept = TRY(state::put_store_aside(config.state_dir));
  log::error("the store is damaged: it is put aside, and all is read from the bus",
             {{"error", done.error().what}, {"kept", kept}});
  return serve(config, stop);
}

Status serve_page(const Result<Settled>& read, const std::atomic<bool>& stop) {
  const Settled settled = TRY(read);
  log::start("web", settled["log"]);
  return web::serve_web(TRY(web_config(settled)), stop);
}
}  // namespace kairo
