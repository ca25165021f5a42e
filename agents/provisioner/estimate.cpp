// agents/provisioner/estimate.cpp - the trainer's plan where the model's sizes are known; else
// weights + adapter and moments + activations + the program.
#include "agents/provisioner/estimate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <tuple>
#include <utility>

#include "gpu/formats/model_config.h"
#include "gpu/plan/memory_plan.h"

namespace kairo::provisioner {
namespace {
constexpr double gib_bytes = 1073741824.0;
// NF4 with double quantisation: half a byte a weight, and 8 + 32/256 bits a block of 64 weights.
constexpr double nf4_bytes = 0.5 + (1.0 + 4.0 / 256) / 64;

struct Parts {
  double weights, adapter, activations, program;
  Need need(const char* kind, const char* beside = "program") const {
    const double sum = weights + adapter + activations + program;
    char text[160];
    std::snprintf(text, sizeof text,
                  "%s %.1f GiB, adapter and moments %.1f, activations %.1f, %s %.1f", kind,
                  weights / gib_bytes, adapter / gib_bytes, activations / gib_bytes, beside,
                  program / gib_bytes);
    return {static_cast<std::int64_t>(sum), text};
  }
};
}  // namespace

namespace {
// What is not known before the data set is there: rank 16 on all linear modules, rows of 2,048
// tokens, a machine's usual threads.
constexpr std::int64_t rank = 16, row_tokens = 2048;
constexpr int threads = 16;

// A run on a GPU plans with nine tenths of what is free of its memory once a process has opened it;
// both lie in "program and reserve", which is never less than the first of these.
constexpr double gpu_program_bytes = 1.5 * gib_bytes, gpu_opened_bytes = 0.5 * gib_bytes;

// The trainer's own plan, with everything given up that can be: in fp32 on a CPU; on a GPU in bf16,
// with kairo's kernels and flash attention.
Need planned(const gpu::ModelConfig& config, gpu::Method method, bool on_cpu) {
  const gpu::LoraLayout lora =
      gpu::lay_out(config, rank, 1, [](std::int64_t, gpu::Module) { return true; });
  gpu::MemoryRequest request;
  request.method = method;
  request.tokens_per_step = request.longest_row = row_tokens;
  request.threads = threads;
  request.on_device = request.in_bf16 = request.by_kernels = request.by_flash = !on_cpu;
  const gpu::MemoryPlan plan = gpu::smallest_plan(config, lora, request);
  const auto bytes = [&plan](gpu::MemoryPlan::Part part) {
    return static_cast<double>(plan.bytes_of(part));
  };
  using Part = gpu::MemoryPlan::Part;
  return Parts{bytes(Part::weights), bytes(Part::adapter), bytes(Part::activations),
               on_cpu ? bytes(Part::program)
                      : std::max(gpu_program_bytes, bytes(Part::program) + gpu_opened_bytes +
                                                        static_cast<double>(plan.peak_bytes()) / 9)}
      .need(method == gpu::Method::qlora ? "NF4 weights" : "weights",
            on_cpu ? "program" : "program and reserve");
}
// By preset, method and whether on a CPU, of the presets whose sizes the catalogue has.
const std::map<std::tuple<std::string, std::string, bool>, Need>& all_planned() {
  static const auto plans = [] {
    std::map<std::tuple<std::string, std::string, bool>, Need> out;
    for (const catalogue::Preset& preset : catalogue::presets()) {
      if (preset.config.empty()) continue;
      const auto config = gpu::parse_model_config(preset.config, preset.name);
      if (!config.ok()) continue;
      for (const bool on_cpu : {false, true}) {
        out[{preset.name, "lora", on_cpu}] = planned(config.value(), gpu::Method::lora, on_cpu);
        out[{preset.name, "qlora", on_cpu}] = planned(config.value(), gpu::Method::qlora, on_cpu);
      }
    }
    return out;
  }();
  return plans;
}
}  // namespace

bool is_native(const catalogue::Preset& preset) {
  return preset.quantization.empty() && gpu::is_computed(preset.architecture);
}
std::string why_not_native(const catalogue::Preset& preset) {
  if (gpu::is_computed(preset.architecture))
    return "unquantised weights: these are " + preset.quantization;
  return "an engine for its family: kairo's own has " + gpu::computed_families();
}

Need tuning_need(const catalogue::Preset& preset, const std::string& method, bool on_cpu) {
  if (const auto found = all_planned().find({preset.name, method, on_cpu});
      found != all_planned().end())
    return found->second;
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
  parts.program = on_cpu ? 0.4 * gib_bytes : gpu_program_bytes;
  return parts.need(method == "qlora" ? "NF4 weights" : "weights");
}

Need serving_need(const catalogue::Preset& preset, std::size_t adapters, bool on_cpu,
                  std::int64_t stored_bytes) {
  const double parameters = static_cast<double>(preset.parameters);
  Parts parts{};
  parts.weights = parameters * (on_cpu ? 4 : 2);
  if (stored_bytes > 0) parts.weights = static_cast<double>(stored_bytes);
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
