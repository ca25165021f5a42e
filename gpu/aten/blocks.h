// gpu/aten/blocks.h - GGUF's quantised blocks as tensors of numbers.
#pragma once
#include <ATen/core/Tensor.h>

#include "gpu/formats/stored.h"

namespace kairo::gpu::aten {
// bytes: (rows, bytes of a row's blocks); gives (rows, cols) in fp32: the values of
// dequantise_blocks, to the bit. Takes about a dozen times the bytes of the values in between.
at::Tensor block_values(Stored kind, const at::Tensor& bytes);
}  // namespace kairo::gpu::aten
