// agents/cluster/kinds.h - the resources that kairo touches, by name.
#pragma once
#include <utility>
#include <vector>

#include "agents/cluster/cluster.h"

namespace kairo::cluster {
inline const Kind workspaces{"kaito.sh", "v1beta1", "workspaces", "Workspace", true};
inline const Kind jobs{"batch", "v1", "jobs", "Job", true};
inline const Kind stateful_sets{"apps", "v1", "statefulsets", "StatefulSet", true};
inline const Kind controller_revisions{"apps", "v1", "controllerrevisions", "ControllerRevision",
                                       true};
inline const Kind pods{"", "v1", "pods", "Pod", true};
inline const Kind services{"", "v1", "services", "Service", true};
inline const Kind config_maps{"", "v1", "configmaps", "ConfigMap", true};
inline const Kind secrets{"", "v1", "secrets", "Secret", true};
inline const Kind events{"", "v1", "events", "Event", true};
inline const Kind nodes{"", "v1", "nodes", "Node", false};
inline const Kind volumes{"", "v1", "persistentvolumes", "PersistentVolume", false};
inline const Kind claims{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true};
inline const Kind node_claims{"karpenter.sh", "v1", "nodeclaims", "NodeClaim", false};
inline const Kind node_pools{"karpenter.sh", "v1", "nodepools", "NodePool", false};
inline const Kind leases{"coordination.k8s.io", "v1", "leases", "Lease", true};
inline const std::vector<Kind> all_kinds{
    workspaces,  jobs,       stateful_sets, controller_revisions,
    pods,        services,   config_maps,   secrets,
    events,      nodes,      volumes,       claims,
    node_claims, node_pools, leases};
// Short name, plural. KAITO's own are wk and wks; ws is ours.
inline const std::vector<std::pair<const char*, const char*>> short_names{
    {"wk", "workspaces"},
    {"wks", "workspaces"},
    {"ws", "workspaces"},
    {"po", "pods"},
    {"svc", "services"},
    {"cm", "configmaps"},
    {"sts", "statefulsets"},
    {"no", "nodes"},
    {"ev", "events"},
    {"pv", "persistentvolumes"},
    {"pvc", "persistentvolumeclaims"}};
}  // namespace kairo::cluster
