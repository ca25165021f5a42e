// agents/watcher/translate.h - Kubernetes JSON -> fact. Pure.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "agents/cluster/cluster.h"
#include "schemas/base/result.h"
#include "schemas/fact_generated.h"

namespace kairo::watcher {
// A Workspace (v1beta1 or v1alpha1), Job, Pod, StatefulSet, Service, ConfigMap or Node. `exists` is
// false when the watch said that it is gone. Whose it is says the controller among its owner
// references, not a label or an annotation, which anybody may write: the fact has that Workspace's
// uid and name. A pod's controller is the Job or StatefulSet of its Workspace, which the pod names.
// A ConfigMap (a template) is everybody's in its namespace: the fact has no uid and no name.
// not_found: an object that is no business of ours. invalid: JSON that is not such an object; the
// message names the field.
Result<wire::FactT> translate(const cluster::Kind& kind, const nlohmann::json& object, bool exists);
}  // namespace kairo::watcher
