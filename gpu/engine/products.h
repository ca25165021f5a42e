// gpu/engine/products.h - who multiplies bf16 matrices on this CPU, if anybody does so faster than
// fp32 ones are multiplied.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
enum class Products : std::uint8_t {
  fp32,    // of fp32 factors, by MKL: bf16 does not pay here
  mkl,     // MKL's gemm_bf16bf16f32
  onednn,  // oneDNN through libtorch; results are rounded to bf16 before they are added
  device,  // of bf16 factors, by another device than the CPU
};
std::string_view name_of(
    Products p);  // "fp32", "bf16 by MKL", "bf16 by oneDNN", "bf16 by the device"
std::optional<Products> products_named(std::string_view name);

// Whether they may be called at all: without the CPU's bf16 instructions MKL emulates them slowly,
// and oneDNN was seen not to end. The libraries' switches that limit instructions count.
bool is_possible(Products p);

struct ProductChoice {
  Products products = Products::fp32;
  double flops_per_second = 0;  // of it, on the shapes that were timed; 0: nothing was timed
  std::string text;             // for the log: each candidate's speed
};
// Times the possible candidates on products like a layer's of T tokens, there and back: about two
// tenths of a second; shapes of tiny models are taken larger. One core's processor time decides,
// and bf16 must be well ahead of fp32, and oneDNN of MKL, so that the same machine chooses the same
// each time, however busy it is. kept: of the attempt that is gone on from; chosen if it is
// possible.
ProductChoice choose_products(std::int64_t tokens, LinearShape shape, int threads,
                              std::string_view kept = "");
// The speed of fp32 products alone, measured likewise.
ProductChoice fp32_products(std::int64_t tokens, LinearShape shape, int threads);
// Seconds of y = x w^T and of dx = dy w for that many rows, as they are, on average over some time.
double seconds_there_and_back(Products p, std::int64_t tokens, LinearShape shape);
}  // namespace kairo::gpu
