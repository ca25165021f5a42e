// gpu/aten/flash_ops.h - attention in bf16 by libtorch's flash kernels, which use a GPU's tensor
// cores; everything else, and what they do not take, is another device's.
#pragma once
#include <memory>
#include <string>

#include "gpu/engine/forward_ops.h"

namespace kairo::gpu {
// Taken: qkv in bf16 with heads side by side, of whole eights up to 256 values, scores without a
// bound. Where a kernel refuses - there is none for this device, say - both calls are the other
// device's from then on. device: as make_aten_ops, of `base`, too.
std::unique_ptr<ForwardOps> make_flash_ops(std::unique_ptr<Ops> base, const std::string& device);
}  // namespace kairo::gpu
