// tests/sim/replicas.cpp - the agents of the cluster, some of them twice; their leases.
#include <algorithm>

#include "tests/sim/system.h"

namespace kairo::sim {
namespace {
constexpr const char* roles[] = {"watcher", "provisioner", "launcher", "node", "pusher"};
constexpr std::size_t cluster_roles = 3;  // the first ones; their replicas follow after all roles
}  // namespace

void System::add_roles(const std::string& node) {
  // Whoever takes over has no store; that the bus loses something then too is not promised.
  has_replicas_ = stores_fail_ && dice_.below(4) != 0;
  const bool is_lock = dice_.below(2) == 0;
  for (std::size_t i = 0; stores_fail_ && i < cluster_roles; ++i)
    leases_[roles[i]].is_lock = is_lock;
  dice_.journal.note(has_replicas_ ? "replicas" : "no replicas",
                     is_lock ? "with locks" : "with Lease objects");
  for (const char* role : roles) add_agent(role, node);
  for (std::size_t i = 0; has_replicas_ && i < cluster_roles; ++i) add_agent(roles[i], node);
}

void System::start_lease(Agent& agent) {
  agent.tenure.reset();
  agent.lease.reset();
  const auto lease = leases_.find(agent.name);
  if (lease == leases_.end()) return;
  if (dice_.fault(2))  // the others are quicker
    for (const auto& other : agents_)
      if (other->name == agent.name && other->tenure) (void)other->tenure->tend();
  agent.lease = std::make_unique<LeaseModel>(lease->second, ++processes_, agent.clock, dice_);
  agent.tenure = std::make_unique<runtime::Tenure>(*agent.lease, agent.clock);
  (void)agent.tenure->tend();
}

void System::restart(Agent& agent) {
  witness_.restarted(agent.name);
  start(agent);
}

// Of a role with replicas more often the one that acts.
Agent& System::pick(std::size_t role) {
  Agent& first = *agents_[role];
  if (!has_replicas_ || role >= cluster_roles) return first;
  Agent& second = *agents_[std::size(roles) + role];
  return second.loop->is_acting() == (dice_.below(4) != 0) ? second : first;
}
Agent& System::somebody() {
  const std::size_t replicas = has_replicas_ ? cluster_roles : 0;
  const std::size_t one = dice_.below(agents_.size() - replicas);
  return one < std::size(roles) ? pick(one) : *agents_[one + replicas];
}

void System::pass(std::int64_t ms) {
  for (; ms > 0; ms -= runtime::lease_renew_ms) {
    clock_.advance(std::min(ms, runtime::lease_renew_ms));
    for (const auto& agent : agents_) {
      if (!agent->tenure || dice_.fault(6)) continue;  // one that is paused renews nothing
      (void)agent->tenure->tend();
      if (agent->tenure->is_lost()) restart(*agent);
    }
  }
}
}  // namespace kairo::sim
