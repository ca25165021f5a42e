// agents/watcher/translate.h - Kubernetes JSON -> fact. Pure.
#pragma once
#include <string>

#include "agents/cluster/cluster.h"
#include "schemas/base/result.h"
#include "schemas/fact_generated.h"

namespace kairo::watcher {
// A Workspace (v1beta1 or v1alpha1), Job, Pod, StatefulSet or Node. `exists` is false when the
// watch said that it is gone. not_found: an object that is no business of ours (no Workspace behind
// it). invalid: JSON that is not such an object; the message names the field.
Result<wire::FactT> translate(const cluster::Kind& kind, const std::string& json, bool exists);
}  // namespace kairo::watcher
