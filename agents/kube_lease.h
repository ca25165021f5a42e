// agents/kube_lease.h - the lease as a coordination.k8s.io/v1 Lease object: of several processes on
// several machines one acts.
#pragma once
#include <memory>
#include <string>

#include "agents/cluster/cluster.h"
#include "agents/runtime/lease.h"

namespace kairo {
struct KubeLeaseOptions {
  std::string ns, name;  // "kairo-system", "kairo-launcher"
  std::string holder;    // unique for each process: a pod's may come back under its name
};
// spec.leaseTransitions is the term. Each write names the resourceVersion that it rests on, so of
// two that take it one has it. Times that others wrote are not looked at: a lease is free when it
// has not changed for lease_ms by one's own clock.
std::unique_ptr<runtime::Lease> make_kube_lease(cluster::Cluster& cluster, const Clock& clock,
                                                KubeLeaseOptions options);
}  // namespace kairo
