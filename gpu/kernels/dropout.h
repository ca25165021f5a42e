// gpu/kernels/dropout.h - inverted dropout whose mask is a function of where a value stands, so
// that nothing is stored and no order of work changes it (Srivastava et al., JMLR 15, 2014).
#pragma once
#include <cstdint>

namespace kairo::gpu {
// What the mask of a run depends on, but for the token, the module and the feature.
struct DropoutStep {
  std::uint64_t seed = 0;
  std::int64_t step = 0;  // optimizer steps finished
};
// One of a token: row counts within the step's rows, position within the row.
std::uint64_t dropout_token_key(const DropoutStep& step, std::int64_t row, std::int64_t position);
// One module's masks. keys: (T), of the tokens. module: its number within the model.
struct DropoutMask {
  const std::uint64_t* keys;
  std::int64_t module;
  double p;  // share that is dropped, in [0, 1), in steps of 2^-32
};
// Whether feature i of the token stays: a hash of (i, module, key) is at least p 2^32.
bool dropout_keeps(const DropoutMask& mask, std::uint64_t key, std::int64_t i);
// out = x / (1 - p) where the feature stays, else x * 0. (T, C), rows of ld floats; no aliasing.
void dropout_cpu(float* out, std::int64_t ld_out, const float* x, std::int64_t ld_x,
                 const DropoutMask& mask, std::int64_t T, std::int64_t C);
void dropout_bf16_cpu(std::uint16_t* out, std::int64_t ld_out, const std::uint16_t* x,
                      std::int64_t ld_x, const DropoutMask& mask, std::int64_t T, std::int64_t C);
// sum += x / (1 - p) where the feature stays: the gradient.
void dropout_add_cpu(float* sum, std::int64_t ld_sum, const float* x, std::int64_t ld_x,
                     const DropoutMask& mask, std::int64_t T, std::int64_t C);
}  // namespace kairo::gpu
