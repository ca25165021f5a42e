// gpu/model/lora_layout.h - which modules are adapted, and where each matrix lies in one flat
// buffer.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
// One adapted module's place. Offsets count floats in the flat parameter buffer.
//   a: (rank, in) at a_offset   b: (out, rank) at b_offset   both row-major, dense.
struct LoraModule {
  std::int64_t layer;
  Module module;
  std::string path;
  std::int64_t rank, in, out, a_offset, b_offset;
};
// One group of a layer. The A matrices of its adapted modules are stacked: (rank_total, in) at
// a_offset.
struct LoraGroup {
  struct Part {  // one adapted module: its rows of the group's output, its columns of the rank, its
                 // B
    std::int64_t out_begin, out, rank_begin, b_offset;
    Module module;
  };
  std::int64_t in = 0, out = 0, rank_total = 0, a_offset = 0;
  // Row stride of the group's inputs and weights, [in | rank_total | padding]: a multiple of 16
  // floats, the same in every layer.
  std::int64_t stride = 0;
  std::vector<Part> parts;  // adapted modules only
};
struct LoraLayout {
  std::int64_t rank = 0, parameters = 0;
  double scale = 0;                              // alpha / rank, or alpha / sqrt(rank)
  double dropout = 0;                            // share of an adapter's inputs, in training
  std::vector<LoraModule> modules;               // in the order of the forward pass
  std::vector<std::array<LoraGroup, 4>> groups;  // [layer][group]
  // The first group of the forward pass that is adapted: gradients stop there.
  std::int64_t lowest_layer = 0;
  Group lowest_group = Group::qkv;
};
std::int64_t widest_in(const LoraLayout& layout);  // of all groups
// Which modules are adapted: (layer, module).
using IsAdapted = std::function<bool(std::int64_t, Module)>;
LoraLayout lay_out(const ModelConfig& config, std::int64_t rank, double scale,
                   const IsAdapted& is_adapted);
// The path of the last adapted module, in the order of the forward pass, of whose values one is not
// finite: where a gradient went wrong first. "": all are.
std::string last_not_finite(const LoraLayout& layout, std::span<const float> values);
// The start of training, reproducible everywhere: B = 0 and A uniform in +-1/sqrt(in), as peft does
// with init_lora_weights = true, but from a counter: value i of a module's A is
//   u = splitmix64(fnv1a64(path) ^ seed, i) >> 40;  (2 u / 2^24 - 1) / sqrt(in).
// gaussian: A normal with deviation 1 / rank, as peft's, by Box and Muller's rule from the pair
// (2 i, 2 i + 1) of the same generator.
enum class LoraInit : std::uint8_t { uniform, gaussian };
void initialise_lora(std::span<float> parameters, const LoraLayout& layout, std::uint64_t seed,
                     LoraInit init = LoraInit::uniform);
}  // namespace kairo::gpu
