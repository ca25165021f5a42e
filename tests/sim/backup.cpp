// tests/sim/backup.cpp - the cluster's etcd is put back from a backup: objects and versions go
// back, machines, registry, bus and the agents' stores do not.
#include "tests/sim/system.h"

namespace kairo::sim {
void System::back_up() {
  backup_ = Backup{etcd_, kubelet_.memory(), user_.memory()};
  dice_.journal.note("etcd", "backed up");
}

void System::put_back() {
  if (!backup_) return;
  const Status done = cluster_.put_back({backup_->etcd.begin(), backup_->etcd.end()},
                                        "restored" + std::to_string(++put_back_));
  if (!done.ok()) wrong_ = "etcd: " + done.error().what;
  etcd_ = backup_->etcd;
  kubelet_.put_back(backup_->kubelet);
  user_.put_back(backup_->user);
  witness_.put_back();
  for (auto& agent : agents_) agent->seen.objects.clear();  // nobody has a right to newer ones
  for (const auto& [name, ready] : std::map(nodes_)) {      // kubelets tell of their nodes
    nodes_.erase(name);
    show_node(name, ready);
    if (machines_.illnesses > 0) tell_gpus(name);
  }
  dice_.journal.note("etcd", "put back");
}
}  // namespace kairo::sim
