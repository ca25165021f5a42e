// tests/sim/system.cpp - the agents wired as agents/serve_agent.cpp wires them, on memory and
// faults.
#include "tests/sim/system.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/launcher/effects.h"
#include "agents/node/effects.h"
#include "agents/provisioner/effects.h"
#include "agents/pusher/effects.h"
#include "agents/role.h"
#include "agents/watcher/effects.h"
#include "schemas/base/base64.h"

namespace kairo::sim {
namespace {
using Json = nlohmann::json;
using namespace std::chrono_literals;
constexpr const char* first_node = "machine";
constexpr const char* second_node = "n2";
constexpr std::int64_t resync_ms = 31 * 60 * 1000;  // of the watcher's sources, and a little
constexpr std::int64_t hour_ms = 3'600'000;
constexpr std::int64_t checkpoint_every_ms = 500;
constexpr std::int64_t retry_ms = 11 * 60 * 1000;

std::string no_check(const std::string&, const std::string&, const std::string&) {
  return {};
}

// Each seed likes to crash at one kind of effect: over a few seeds, at all of them.
std::string aim_of(std::uint64_t seed) {
  const auto& kinds = wire::EnumValuesCommandBody();
  return runtime::kind_of(kinds[1 + seed % (std::size(kinds) - 1)]);  // [0] is NONE
}
}  // namespace

System::System(std::uint64_t seed)
    : broker_(clock_),
      cluster_(clock_, "seed" + std::to_string(seed),
               [this](const cluster::Changes& changes) {
                 for (const auto& [row, value] : changes)
                   value ? void(etcd_[row] = *value) : void(etcd_.erase(row));
                 return ok();
               }),
      machines_(dice_),
      registry_(dice_),
      kubelet_(cluster_, machines_, dice_),
      user_(cluster_, dice_),
      meddler_(cluster_, dice_),
      witness_({cluster_, broker_, machines_, registry_, kubelet_, user_, meddler_}),
      applied_([this](const cluster::Apply& apply, const std::string& object) {
        witness_.applied(apply, object);
      }) {
  dice_.rng.seed(seed);
  dice_.rarity = 1 + static_cast<unsigned>(seed % 4);
  dice_.aim = aim_of(seed);
  stores_fail_ = dice_.below(2) == 0;
  is_meddled_with_ = dice_.below(3) == 0;
  is_backed_up_ = dice_.below(5) == 0;
  if (dice_.below(3) == 0) open_cloud();
  registry_.content_of = [this](const std::string& directory) -> std::string {
    for (const auto& [node, disk] : machines_.disks)
      if (const auto found = disk.adapters.find(directory);
          found != disk.adapters.end() && !machines_.is_lost(node))
        return found->second;
    return {};
  };
  is_wide_ = seed % 3 == 0;
  if (is_wide_) user_.wish_wide();
  show_node(first_node, true);
  const Json secret = {{"apiVersion", "v1"},
                       {"kind", "Secret"},
                       {"metadata", {{"name", "push"}, {"namespace", "default"}}},
                       {"data", {{".dockerconfigjson", base64_encode("{\"auths\":{}}")}}}};
  (void)cluster_.apply({{cluster::secrets, "default", "push"}, secret.dump(), "user", ""});
  add_roles(first_node);
  if (cloud_ || (!is_wide_ && dice_.below(3) != 0)) return;
  show_node(second_node, true);
  for (const char* name : {"node", "pusher"}) add_agent(name, second_node);
}

void System::add_agent(const std::string& name, const std::string& node) {
  agents_.push_back(std::make_unique<Agent>(name, node, clock_));
  if (dice_.fault(3)) {  // its machine's clock is hours off
    agents_.back()->clock.skew_ms =
        static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(6 * hour_ms))) -
        3 * hour_ms;
  }
  start(*agents_.back());
}

void System::show_node(const std::string& name, bool ready) {
  if (const auto known = nodes_.find(name); known != nodes_.end() && known->second == ready) return;
  nodes_[name] = ready;
  const Json ready_now = {{"type", "Ready"}, {"status", ready ? "True" : "False"}};
  Json node = {{"apiVersion", "v1"},
               {"kind", "Node"},
               {"metadata",
                {{"name", name},
                 {"labels", {{"kairo.dev/local", "true"}}},
                 {"annotations", {{"kairo.dev/models", "smollm2-135m-instruct"}}}}},
               {"status",
                {{"allocatable", {{"cpu", "2"}, {"memory", "16Gi"}}},
                 {"conditions", Json::array({ready_now})}}}};
  if (is_wide_) {  // machines with GPUs: two of them hold a model that one does not
    node["metadata"]["labels"] = {{"nvidia.com/gpu.memory", "81920"}, {"app", "wide"}};
    node["metadata"]["annotations"]["kairo.dev/models"] =
        "smollm2-135m-instruct,llama-3.3-70b-instruct";
    node["status"]["allocatable"]["nvidia.com/gpu"] = "2";
  }
  for (const char* part : {"", "status"})
    (void)cluster_.apply({{cluster::nodes, "", name}, node.dump(), "kubelet", part});
  dice_.journal.note("node " + name, ready ? "ready" : "not ready");
  tell_witness_of_nodes();
}

void System::tell_witness_of_nodes() {
  const auto is_ready = [this](const auto& row) {
    return row.second && !machines_.ill.contains(row.first);
  };
  witness_.nodes_are(std::any_of(nodes_.begin(), nodes_.end(), is_ready),
                     std::all_of(nodes_.begin(), nodes_.end(), is_ready));
}

void System::start(Agent& agent) {
  agent.sources.clear();
  agent.loop.reset();
  agent.relay.reset();
  agent.effects.reset();
  agent.sensed.clear();
  start_lease(agent);
  agent.store = std::make_unique<FaultyStore>(agent.disk, dice_);
  agent.raw_bus = std::make_unique<bus::MemoryBus>(broker_);
  agent.bus = std::make_unique<FaultyBus>(*agent.raw_bus, dice_);
  agent.workspaces = std::make_unique<watcher::Workspaces>();
  agent.cluster = std::make_unique<FaultyCluster>(cluster_, dice_, agent.seen, applied_);
  const auto observe = [&agent](wire::FactT fact) { agent.loop->observe(std::move(fact), true); };
  const auto observe_alone = [&agent](wire::FactT fact) {
    agent.loop->observe(std::move(fact), false);
  };
  if (agent.name == "node" || agent.name == "pusher")
    agent.checkpoints =
        std::make_unique<CheckpointsModel>(shelf_, machines_.disk(agent.node), dice_);
  std::unique_ptr<runtime::Effects> effects = std::make_unique<provisioner::ProvisionerEffects>(
      *agent.cluster, terms_, no_check, observe_alone);
  if (agent.name == "watcher")
    effects = std::make_unique<watcher::WatcherEffects>(*agent.cluster, *agent.bus,
                                                        *agent.workspaces, agent.clock);
  else if (agent.name == "launcher")
    effects = std::make_unique<launcher::LauncherEffects>(*agent.cluster, agent.clock,
                                                          launcher::Settings{}, no_check, observe);
  else if (agent.name == "node") {
    agent.weights = std::make_unique<WeightsModel>(dice_, observe, agent.node);
    agent.adapters = std::make_unique<AdaptersModel>(
        AdaptersModel::World{machines_.disk(agent.node), registry_, kubelet_, dice_}, observe,
        agent.node);
    effects = std::make_unique<node::NodeEffects>(machines_.disk(agent.node), *agent.cluster,
                                                  observe, agent.node, agent.weights.get(),
                                                  agent.checkpoints.get(), agent.adapters.get());
  } else if (agent.name == "pusher")
    effects = std::make_unique<pusher::PusherEffects>(*agent.cluster, registry_, agent.clock,
                                                      observe, agent.node, agent.checkpoints.get());
  agent.effects = std::make_unique<FaultyEffects>(std::move(effects), dice_);
  agent.relay = std::make_unique<runtime::Relay>(runtime::Relay::Deps{
      *agent.bus, *agent.effects, agent.clock, observe_alone, agent.tenure.get()});
  agent.loop = std::make_unique<runtime::Loop>(
      runtime::Loop::Deps{agent.name, *agent.bus, *agent.store, *agent.relay, agent.clock,
                          role_of(agent.name, terms_, checkpoint_every_ms), agent.node,
                          [&agent] {
                            return std::all_of(agent.sources.begin(), agent.sources.end(),
                                               [](const auto& s) { return s->has_listed(); });
                          },
                          nullptr, agent.tenure.get()});
  const Status started = agent.loop->start();
  if (!started.ok() && wrong_.empty()) wrong_ = agent.name + ": " + started.error().what;
  if (agent.name != "watcher") return;
  const bool uses_pools = terms_.mode == provisioner::Mode::karpenter;
  for (const cluster::Selection& selection : watcher::followed(cloud_ != nullptr, uses_pools))
    agent.sources.push_back(std::make_unique<watcher::Source>(
        watcher::Source::Deps{
            *agent.cluster, *agent.bus, *agent.workspaces,
            [&agent](wire::FactBody body) { return agent.loop->last_facts(body); }, observe_alone,
            agent.tenure.get(), [&agent] { return agent.loop->is_acting(); }},
        selection));
}

bool System::step(Agent& agent, Part part) {
  const bool is_of_node = agent.name == "node" || agent.name == "pusher";
  if (is_of_node && machines_.is_lost(agent.node)) return false;
  try {
    if (part == Part::sensor) {
      if (agent.name == "node") sense(agent);
      return false;
    }
    if (part == Part::sources) {
      const Doing doing(dice_, "source");
      bool has_more = false;
      for (const auto& source : agent.sources) {
        const bool had_more = source->has_more();
        (void)source->step(0, agent.clock.now_ms());
        has_more = has_more || had_more != source->has_more();
      }
      return has_more;
    }
    if (part == Part::relay) {
      const Doing doing(dice_, "relay");
      const bool may_act = !agent.tenure || agent.tenure->term() != 0;
      const bool is_done = agent.relay->step();
      if (is_done && !may_act && wrong_.empty())
        wrong_ = agent.name + ": an effect without a lease";
      return is_done;
    }
    const Doing doing(dice_, "loop");
    const std::uint64_t before = agent.loop->facts();
    (void)agent.loop->step(0ms);
    return agent.loop->facts() != before;
  } catch (const Crash&) {
    // The machine has died with it, not only the process.
    if (dice_.below(4) == 0) agent.disk.lose_power();
    restart(agent);
    return true;
  }
}

bool System::everybody() {
  bool busy = false;
  for (auto& agent : agents_) {
    for (const Part part : {Part::sources, Part::sensor, Part::loop})
      busy = step(*agent, part) || busy;
    while (agent->relay->due_in_ms() == 0 && step(*agent, Part::relay)) busy = true;
    busy = step(*agent, Part::loop) || busy;
  }
  busy = (cloud_ && cloud_->step()) || busy;
  return kubelet_.step() || busy;
}

void System::restart_with(Agent& agent, const state::Rows& rows) {
  agent.disk.wipe();
  state::Batch batch;
  for (const auto& [key, value] : rows) batch.put(key, value);
  (void)agent.disk.commit(batch);
  dice_.journal.note(rows.empty() ? "lost store" : "older store", agent.name);
  restart(agent);
}

void System::act() {
  const std::uint64_t what = dice_.below(200);
  Agent& agent = somebody();
  if (what < 130) {  // whoever has an effect due is likely to perform it
    const bool is_due = agent.relay->due_in_ms() == 0 && dice_.below(3) != 0;
    step(agent, is_due ? Part::relay : Part::loop);
  } else if (what < 160) {
    step(pick(0), Part::sources);
  } else if (what < 165) {
    for (auto& each : agents_) step(*each, Part::sensor);
  } else if (what < 180) {
    cloud_&& dice_.below(2) == 0 ? cloud_acts(dice_.below(24)) : void(kubelet_.step());
  } else if (what < 188) {
    pass(static_cast<std::int64_t>(dice_.below(1'000)));
  } else if (what == 193) {  // somebody sets the wall clock: seconds, or hours
    const std::int64_t far = dice_.fault(2) ? 50 * hour_ms : 10'000;
    clock_.jump(static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(2 * far))) - far);
  } else if (what == 194 && !stores_fail_ && dice_.fault(4)) {
    // What the watcher said, has not kept itself yet, and the bus loses is not promised when it
    // dies then (ARCHITECTURE, the row of what two lose at a time): it reads its own words first.
    for (int i = 0; i < 4; ++i) step(pick(0), Part::loop);
    broker_.lose_tail(1 + dice_.below(3));
  } else if (what == 195 && !stores_fail_ && dice_.fault(20)) {
    broker_.wipe();
  } else if (what == 192 && stores_fail_ && dice_.fault(3)) {
    restart_with(agent, {});
  } else if (what == 191 && stores_fail_ && dice_.fault(3)) {
    restart_with(agent, agent.backup);
  } else if (what == 190) {
    agent.backup = agent.disk.scan("", "", 1'000'000).value();
  } else if (what == 196 && dice_.fault(4)) {
    const std::string name = dice_.below(2) == 0 ? first_node : second_node;
    if (const auto node = nodes_.find(name); node != nodes_.end()) show_node(name, !node->second);
  } else if (what == 199 && is_wide_ && dice_.below(4) == 0) {
    const std::string name = dice_.below(2) == 0 ? first_node : second_node;
    turn(name, !machines_.ill.contains(name));
  } else if (what == 188 && is_backed_up_ && dice_.below(2) == 0) {
    dice_.below(3) == 0 ? put_back() : back_up();
  } else if (what == 188 && nodes_.size() > 1 && dice_.fault(2)) {
    lose_node(dice_.below(2) == 0 ? first_node : second_node);
  } else if (what == 188 && !cloud_ && !machines_.lost.empty() && dice_.fault(2)) {
    bring_back(*machines_.lost.begin());
  } else if (what == 197 && dice_.fault(3)) {
    meddler_.delete_workload();
  } else if (what == 189 && is_meddled_with_) {
    meddler_.act();
  } else if (what > 197) {
    user_.act();
  }
}

void System::heal() {
  dice_.healed = true;
  meddler_.let_go();
  if (!cloud_ && !machines_.lost.empty() && dice_.below(2) == 0)
    bring_back(*machines_.lost.begin());
  if (dice_.below(8) != 0)
    for (const auto& [name, ready] : std::map(nodes_)) show_node(name, true);
  if (is_wide_ && dice_.below(8) != 0)
    for (const std::string& name : std::set(machines_.ill)) turn(name, false);
  settle();
  if (cloud_) pass(retry_ms);  // of what could not be had
  if (cloud_) settle();
  if (put_back_ == 0) return;
  pass(resync_ms);  // versions that have caught up before anybody looked hide that they went back
  settle();
}
// Time passes as long as somebody has something to do; then three quarters of a minute more:
// backoffs and timers.
void System::settle() {
  for (int round = 0, quiet = 0; round < 1'000 && quiet < 15; ++round) {
    const bool busy = everybody();
    pass(busy ? 500 : 3'000);
    quiet = busy ? 0 : quiet + 1;
  }
}

// What a user sees: every object, down to its version.
std::string System::after_losing_all() {
  const auto look = [&] {
    std::map<std::string, std::string> out;
    for (const auto& kind : {cluster::workspaces, cluster::jobs, cluster::stateful_sets,
                             cluster::services, cluster::config_maps, cluster::controller_revisions,
                             cluster::pods, cluster::node_pools, cluster::node_claims})
      for (const std::string& object : cluster_.list({kind, "", ""}).value().items)
        out[kind.kind + " " + Json::parse(object)["metadata"].value("name", "")] = object;
    return out;
  };
  const auto before = look();
  for (auto& agent : agents_) restart_with(*agent, {});
  settle();
  const auto after = look();
  for (const auto& [name, object] : before)
    if (!after.contains(name)) return "with empty stores, this went: " + object;
  for (const auto& [name, object] : after) {
    const auto known = before.find(name);
    if (known == before.end()) return "with empty stores, something was made: " + object;
    if (known->second != object)
      return "with empty stores, something changed: " + known->second + " -> " + object;
  }
  return {};
}

std::string System::live(int acts) {
  user_.apply("a");
  for (int i = 0; i < acts; ++i) act();
  heal();
  const auto verdict = [&] {
    const std::string said = wrong_.empty() ? witness_.verdict() : wrong_;
    return said.empty() ? what_is_paid_for() : said;
  };
  if (std::string wrong = verdict(); !wrong.empty()) return wrong;
  if (dice_.below(4) != 0) return {};
  if (std::string wrong = after_losing_all(); !wrong.empty()) return wrong;
  return verdict();
}
}  // namespace kairo::sim
