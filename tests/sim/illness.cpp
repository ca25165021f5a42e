// tests/sim/illness.cpp - nodes that are lost and come back, and those whose GPUs fall ill: what
// runs there makes no step until they are well again.
#include "agents/cluster/kinds.h"
#include "tests/sim/json_at.h"
#include "tests/sim/system.h"

namespace kairo::sim {
using Json = nlohmann::json;

void System::turn(const std::string& name, bool ill) {
  if (!is_wide_ || !nodes_.contains(name) || machines_.ill.contains(name) == ill) return;
  if (ill) ++machines_.illnesses;
  ill ? void(machines_.ill.insert(name)) : void(machines_.ill.erase(name));
  tell_gpus(name);
  dice_.journal.note("GPUs of " + name, ill ? "ill" : "well");
  tell_witness_of_nodes();
}
// As its agent does, until the Node shows it.
void System::tell_gpus(const std::string& name) {
  const bool ill = machines_.ill.contains(name);
  const Json gpu = {{"uuid", "GPU-" + name}, {"trouble", ill ? "Xid 79 (lost): restart" : ""}};
  const Json word = {{"driver", "580.1"}, {"trouble", ""}, {"gpus", Json::array({gpu})}};
  const Json node = {
      {"apiVersion", "v1"},
      {"kind", "Node"},
      {"metadata", {{"name", name}, {"annotations", {{"kairo.dev/gpus", word.dump()}}}}}};
  (void)cluster_.apply({{cluster::nodes, "", name}, node.dump(), "kairo-gpus", ""});
}

// The machine and all that runs on it; at times its disk too.
void System::lose_node(const std::string& name) {
  backup_.reset();  // its Node object is of another machine by now
  (void)cluster_.remove({cluster::nodes, "", name}, "");
  nodes_.erase(name);
  machines_.ill.erase(name);  // another machine comes
  tell_witness_of_nodes();
  machines_.lost.insert(name);
  kubelet_.lose(name);
  ++machines_.losses;
  if (dice_.below(2) == 0) machines_.disk(name).wipe();
  dice_.journal.note("node " + name, "lost");
}
// Its agents' stores lie on its disk.
void System::bring_back(std::string name) {  // by value: it is taken out of the set of lost ones
  machines_.lost.erase(name);
  show_node(name, true);
  const bool is_new = machines_.disk(name).dirs.empty();
  for (auto& agent : agents_)
    if (agent->node == name && (agent->name == "node" || agent->name == "pusher"))
      is_new ? restart_with(*agent, {}) : start(*agent);
}
}  // namespace kairo::sim
