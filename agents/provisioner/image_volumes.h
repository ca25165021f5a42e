// agents/provisioner/image_volumes.h - whether a node mounts images as volumes. Pure.
#pragma once
#include "schemas/fact_generated.h"

namespace kairo::provisioner {
// Kubernetes' ImageVolume, on without being asked for: kubelet 1.35, with which comes an API server
// that is no older; subPath by containerd 2.1 or CRI-O 1.33. false: too old, or not known.
bool has_image_volumes(const wire::NodeT& node);
}  // namespace kairo::provisioner
