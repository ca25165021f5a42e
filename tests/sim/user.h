// tests/sim/user.h - a person at the keyboard: applies, edits in the middle, deletes, applies again
// under the same name; tunings and servers, good wishes and such that must end in an explanation.
#pragma once
#include <map>
#include <string>

#include "agents/local/apiserver/memory_cluster.h"
#include "tests/sim/dice.h"

namespace kairo::sim {
enum class Want {
  none,            // deleted
  adapter,         // a tuning that can succeed
  bad_data,        // its trainer refuses the data: Failed
  missing_secret,  // waits with DependencyNotFound
  forbidden,       // the registry refuses: PushRefused
  unsupported,     // refused with figures, nothing started
  server,
  wide  // a server on two nodes; waits, with figures, while they are not there or not free
};
struct Wish {
  Want want = Want::none;
  std::string uid, revision, urls, image;
};

class User {
 public:
  struct Memory {
    std::map<std::string, Wish> wishes;
    std::map<std::string, std::string> roles;  // "tune", "serve", ...: what it was made as
  };
  User(cluster::MemoryCluster& cluster, Dice& dice) : cluster_(cluster), dice_(dice) {}
  // Some servers are wide; all nodes have one label.
  void wish_wide() { is_wide_ = true; }
  // What is applied is a tuning that can succeed.
  void wish_plain() { is_plain_ = true; }
  void act();
  void apply(const std::string& name);
  const std::map<std::string, Wish>& wishes() const { return memory_.wishes; }
  const Memory& memory() const { return memory_; }
  void put_back(const Memory& memory);  // with the cluster: what was wished for then is the wish
  // How often this revision of this Workspace has become the wish: "uid/revision".
  unsigned times(const std::string& key) const;
  bool came_back(const std::string& uid) const;  // to a wish that it had had before
  std::string wrong;

 private:
  void remove(const std::string& name);
  cluster::MemoryCluster& cluster_;
  Dice& dice_;
  Memory memory_;
  bool is_wide_ = false, is_plain_ = false;
  std::map<std::string, unsigned> times_;
};
}  // namespace kairo::sim
