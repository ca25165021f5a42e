// gpu/kernels/swiglu.h - the gated activation silu(gate) * up, forward and backward.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// gate_up: (T, 2C) dense, gate first. out: (T, C) with row stride ld_out. Bound: bytes and exp.
void swiglu_cpu(float* out, std::int64_t ld_out, const float* gate_up, std::int64_t T,
                std::int64_t C);
// Replaces gate_up (T, 2C) by its gradient for dout (T, C; row stride ld_dout).
void swiglu_backward_cpu(float* gate_up, const float* dout, std::int64_t ld_dout, std::int64_t T,
                         std::int64_t C);
// In bf16 (bf16.h). gate_up first takes the values of `from` (T, 2C; null: it has them); what is
// computed is computed of the rounded ones, in fp32.
void swiglu_bf16_cpu(std::uint16_t* out, std::int64_t ld_out, std::uint16_t* gate_up,
                     const float* from, std::int64_t T, std::int64_t C);
void swiglu_backward_bf16_cpu(std::uint16_t* gate_up, const float* dout, std::int64_t ld_dout,
                              std::int64_t T, std::int64_t C);
}  // namespace kairo::gpu
