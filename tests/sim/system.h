// tests/sim/system.h - all agents in one process on memory, driven by one seed.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agents/node/stall.h"
#include "agents/provisioner/terms.h"
#include "agents/runtime/loop.h"
#include "agents/watcher/sources.h"
#include "state/memory_store.h"
#include "tests/sim/adapters.h"
#include "tests/sim/checkpoints.h"
#include "tests/sim/cloud.h"
#include "tests/sim/faults.h"
#include "tests/sim/lease_model.h"
#include "tests/sim/meddler.h"
#include "tests/sim/witness.h"
#include "tests/support/fake_clock.h"

namespace kairo::sim {
struct Agent {  // one process; dies and comes back
  Agent(std::string n, std::string on, const Clock& right)
      : name(std::move(n)), node(std::move(on)), clock(right) {}
  std::string name, node;
  test::SkewedClock clock;
  state::MemoryStore disk;
  state::Rows backup;  // the disk as it was once
  Seen seen;
  std::unique_ptr<FaultyStore> store;
  std::unique_ptr<bus::MemoryBus> raw_bus;
  std::unique_ptr<FaultyBus> bus;
  std::unique_ptr<FaultyCluster> cluster;
  std::unique_ptr<watcher::Workspaces> workspaces;  // the watcher's
  std::unique_ptr<WeightsModel> weights;            // the node agent's
  std::unique_ptr<CheckpointsModel> checkpoints;    // the node agent's, the pusher's
  std::unique_ptr<AdaptersModel> adapters;          // the node agent's
  std::unique_ptr<runtime::Effects> effects;
  std::unique_ptr<LeaseModel> lease;  // null: there is one of its node
  std::unique_ptr<runtime::Tenure> tenure;
  std::unique_ptr<runtime::Relay> relay;
  std::unique_ptr<runtime::Loop> loop;
  std::vector<std::unique_ptr<watcher::Source>> sources;  // the watcher only
  struct Sensed {
    wire::ProgressT progress;
    node::StallWatch stall;
  };
  std::map<std::string, Sensed> sensed;  // the node agent only: by run, what was said
};

class System {
 public:
  explicit System(std::uint64_t seed);
  // One life: `acts` random things happen, then no more faults, until nothing changes. What broke,
  // or "".
  std::string live(int acts);
  // A training whose node is lost with its disk when a checkpoint is safe: what broke, or "".
  std::string live_through_a_lost_disk();
  // A training each process of which hangs, while the node's agent dies now and then: the same.
  std::string live_through_hangs();
  const std::map<std::string, std::uint64_t>& crashes() const { return dice_.crashes; }
  std::string trace() const { return dice_.journal.digest(); }  // equal seeds, equal traces

 private:
  enum class Part { loop, relay, sources, sensor };
  void start(Agent& agent);
  void start_lease(Agent& agent);
  void restart(Agent& agent);
  Agent& pick(std::size_t role);
  Agent& somebody();
  bool step(Agent& agent, Part part);  // true: something was done
  void sense(Agent& agent);
  bool everybody();
  void pass(std::int64_t ms);  // time, and with it the leases
  void act();
  void show_node(const std::string& node, bool ready);
  void tell_witness_of_nodes();
  void turn(const std::string& node, bool ill);  // its GPUs
  void tell_gpus(const std::string& node);
  void lose_node(const std::string& node);
  void bring_back(std::string node);
  void add_roles(const std::string& node);
  void add_agent(const std::string& name, const std::string& node);
  std::string after_losing_all();
  void restart_with(Agent& agent, const state::Rows& rows);  // its disk is lost, or an older one
  void back_up();                                            // etcd, with what belongs to it
  void put_back();                                           // versions go back
  void heal();
  void settle();
  void open_cloud();
  void cloud_acts(std::uint64_t what);
  std::string what_is_paid_for();

  Dice dice_;
  test::FakeClock clock_;
  bus::MemoryBroker broker_;
  cluster::MemoryCluster cluster_;
  Machines machines_;
  RegistryModel registry_;
  CheckpointShelf shelf_;
  KubeletModel kubelet_;
  User user_;
  Meddler meddler_;
  Witness witness_;
  Applied applied_;
  std::map<std::string, bool> nodes_;  // those that are there -> ready
  std::map<std::string, std::string> etcd_;
  struct Backup {
    std::map<std::string, std::string> etcd;
    KubeletModel::Memory kubelet;
    User::Memory user;
  };
  std::optional<Backup> backup_;
  unsigned put_back_ = 0;
  // In one life either the agents lose stores or the bus does: each makes good the other.
  bool stores_fail_ = false;
  bool is_meddled_with_ = false;       // one life in three
  bool is_backed_up_ = false;          // the cluster's etcd, which is put back: one life in five
  bool is_wide_ = false;               // some models need two nodes: one life in three
  provisioner::Terms terms_;           // one life in three buys its nodes
  std::unique_ptr<CloudModel> cloud_;  // null: they are there
  bool has_replicas_ = false;          // of the agents that act for the whole cluster
  std::map<std::string, LeaseTable> leases_;
  std::uint64_t processes_ = 0;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::string wrong_;
};
}  // namespace kairo::sim
