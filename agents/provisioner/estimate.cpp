// agents/provisioner/estimate.cpp - weights + adapter and moments + activations + the program.
#include "agents/provisioner/estimate.h"

#include <cmath>
#include <cstdio>

namespace kairo::provisioner {
namespace {
constexpr double gib_bytes = 1073741824.0;
// NF4 with double quantisation: half a byte a weight, and 8 + 32/256 bits a block of 64 weights.
constexpr double nf4_bytes = 0.5 + (1.0 + 4.0 / 256) / 64;

struct Parts {
  double weights, adapter, activations, program;
  Need need(const char* kind) const {
    const double sum = weights + adapter + activations + program;
    char text[160];
    std::snprintf(text, sizeof text,
                  "%s %.1f GiB, adapter and moments %.1f, activations %.1f, program %.1f", kind,
                  weights / gib_bytes, adapter / gib_bytes, activations / gib_bytes,
                  program / gib_bytes);
    return {static_cast<std::int64_t>(sum), text};
  }
};
}  // namespace

bool is_native(const std::string& architecture) {
  return architecture == "LlamaForCausalLM";
}

Need tuning_need(const catalogue::Preset& preset, const std::string& method, bool on_cpu) {
  const double parameters = static_cast<double>(preset.parameters);
  const double wide = on_cpu ? 4 : 2;
  Parts parts{};
  // The embedding stays wide; a quarter of a small model, little of a large one.
  const double embedding = std::min(0.25 * parameters, 0.6e9);
  parts.weights = method == "qlora" ? (parameters - embedding) * nf4_bytes + embedding * wide
                                    : parameters * wide;
  // r 16 on all linear layers: 3.6 %; master, m, v, g, and what a checkpoint is written from.
  parts.adapter = 0.036 * parameters * (16 + 12);
  // A step's tokens through one layer group that is kept, in proportion to the model's width.
  parts.activations = std::sqrt(parameters) * 2048 * 16 * wide;
  parts.program = on_cpu ? 0.4 * gib_bytes : 1.5 * gib_bytes;
  return parts.need(method == "qlora" ? "NF4 weights" : "weights");
}

Need serving_need(const catalogue::Preset& preset, std::size_t adapters, bool on_cpu) {
  const double parameters = static_cast<double>(preset.parameters);
  Parts parts{};
  parts.weights = parameters * (on_cpu ? 4 : 2);
  parts.adapter = static_cast<double>(adapters) * 0.036 * parameters * 4;
  parts.activations = std::sqrt(parameters) * 8192 * (on_cpu ? 8 : 4);  // KV cache
  parts.program = on_cpu ? 0.4 * gib_bytes : 1.5 * gib_bytes;
  return parts.need("weights");
}

namespace {
// For weights, on each of n GPUs that share the cache: KAITO's estimate.
double vllm_room(const catalogue::Preset& preset, std::int64_t gpu_memory_bytes, std::uint32_t n) {
  constexpr double utilization = 0.84, overhead = 2.3 * gib_bytes, spread = 1.05, tokens = 2048;
  const double cache = std::sqrt(static_cast<double>(preset.parameters)) * tokens * 4;
  return (static_cast<double>(gpu_memory_bytes) * utilization - overhead - cache / n) / spread;
}
double vllm_weights(const catalogue::Preset& preset) {
  constexpr double expansion = 1.02;
  return preset.weights_gib * gib_bytes * expansion;
}
}  // namespace

std::uint32_t vllm_gpus(const catalogue::Preset& preset, std::int64_t gpu_memory_bytes,
                        std::uint32_t gpus) {
  for (std::uint32_t n = 1; n <= gpus; n *= 2)
    if (vllm_weights(preset) / n <= vllm_room(preset, gpu_memory_bytes, n)) return n;
  return 0;
}
std::uint32_t vllm_nodes(const catalogue::Preset& preset, std::int64_t gpu_memory_bytes,
                         std::uint32_t gpus) {
  const double room = gpus == 0 ? 0 : vllm_room(preset, gpu_memory_bytes, gpus);
  if (room <= 0) return 0;
  const double least = std::floor(vllm_weights(preset) / room) + 1;
  return static_cast<std::uint32_t>(std::ceil(least / gpus));
}

std::string gib(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / gib_bytes);
  return text;
}
}  // namespace kairo::provisioner
