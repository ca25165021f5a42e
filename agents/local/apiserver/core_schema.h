// agents/local/apiserver/core_schema.h - the types of Kubernetes' own objects, as far as kairo
// stores them. Pure. Private to apiserver/.
#pragma once
#include "agents/cluster/cluster.h"
#include "agents/cluster/json.h"

namespace kairo::cluster {
const Json& volume_source_rule();  // configMap, persistentVolumeClaim, ...: one of them
// invalid: a field of the wrong type, metadata of custom resources included.
Status check_core_types(const Kind& kind, const Json& object);
}  // namespace kairo::cluster
