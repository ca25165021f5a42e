// tests/cluster/real_cluster.h - one real API server for the test program, with kairo's
// definitions.
#pragma once
#include "tests/cluster/kube_api.h"

namespace kairo::test {
// Started at the first call: deploy/crds and deploy/admission applied and in
// force, the namespace kairo-system.
// Null where there is none: the test has said SKIP.
KubeApi* real_cluster();
cluster::KubeConfig real_config();  // once it is there
}  // namespace kairo::test
