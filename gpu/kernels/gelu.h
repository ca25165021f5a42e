// gpu/kernels/gelu.h - GELU alone and as a gate, forward and backward.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// geglu: gelu(gate) * up with tanh's approximation of GELU. gate_up: (T, 2C) dense, gate first.
// out: (T, C) with row stride ld_out. Bound: bytes and exp.
void geglu_cpu(float* out, std::int64_t ld_out, const float* gate_up, std::int64_t T,
               std::int64_t C);
// Replaces gate_up (T, 2C) by its gradient for dout (T, C; row stride ld_dout).
void geglu_backward_cpu(float* gate_up, const float* dout, std::int64_t ld_dout, std::int64_t T,
                        std::int64_t C);
// gelu: x Phi(x), exactly. x: (T, C) dense. out, dout as above; backward replaces x.
void gelu_cpu(float* out, std::int64_t ld_out, const float* x, std::int64_t T, std::int64_t C);
void gelu_backward_cpu(float* x, const float* dout, std::int64_t ld_dout, std::int64_t T,
                       std::int64_t C);
}  // namespace kairo::gpu
