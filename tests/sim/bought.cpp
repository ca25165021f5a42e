// tests/sim/bought.cpp - lives in which nodes are bought: the cloud's machines and their agents.
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "tests/sim/json_at.h"
#include "tests/sim/system.h"

namespace kairo::sim {
void System::open_cloud() {
  terms_.mode = dice_.below(2) == 0 ? provisioner::Mode::node_claims : provisioner::Mode::karpenter;
  terms_.node_class = {"kaito.sh", "KaitoNodeClass", "default"};
  terms_.release_after_ms = dice_.below(2) == 0 ? 0 : -1;
  is_backed_up_ = false;  // what a provider makes of claims that come back is its own matter
  const auto boot = [this](const std::string& node) {
    for (const char* role : {"node", "pusher"}) add_agent(role, node);
    dice_.journal.note("machine " + node, "boots");
  };
  const auto end = [this](const std::string& node) {
    machines_.lost.insert(node);
    kubelet_.lose(node);
    machines_.disk(node).wipe();
  };
  cloud_ = std::make_unique<CloudModel>(cluster_, dice_, CloudModel::Machines{boot, end});
}

void System::cloud_acts(std::uint64_t what) {
  if (what == 0) {
    ++machines_.losses;
    cloud_->take_a_spot_machine();
  } else if (what == 1 && terms_.mode == provisioner::Mode::node_claims) {
    cloud_->ask_as_kaito(dice_.below(2) == 0 ? "a" : "b");
  } else if (what == 1 && is_meddled_with_) {
    ++machines_.losses;
    cloud_->scale_a_pool();
  } else {
    (void)cloud_->step();
  }
}

// When all is quiet: nothing is paid for that nobody needs, and for nobody twice.
std::string System::what_is_paid_for() {
  if (!cloud_) return {};
  if (!cloud_->wrong.empty()) return cloud_->wrong;
  for (const auto& [name, wish] : user_.wishes()) {
    const std::string left = cloud_->left_of(name);
    if (wish.want == Want::none && !left.empty())
      return name + " was deleted, and is paid for: " + left;
    const std::size_t needed = wish.want == Want::wide ? 2 : 1;
    if (cloud_->machines_of(name) > needed) return name + " has more machines than it needs";
    const auto object = cluster_.get({cluster::workspaces, "default", name});
    if (!object.ok()) continue;
    const auto w = nlohmann::json::parse(object.value());
    const bool is_over = at(w, "/status/state") == "Succeeded";
    if (is_over && terms_.release_after_ms == 0 && !left.empty())
      return name + " has succeeded, and is paid for: " + left + w["status"].dump();
  }
  return {};
}
}  // namespace kairo::sim
