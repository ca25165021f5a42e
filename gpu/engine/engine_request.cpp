// gpu/engine/engine_request.cpp - threads, products and memory as options and machine have them.
#include "gpu/engine/engine_request.h"

#include <algorithm>

#include "gpu/engine/machine.h"

namespace kairo::gpu {
namespace {
int ranks_of(const EngineOptions& options) {
  return options.ranks == nullptr ? 1 : options.ranks->count();
}
}  // namespace

int threads_of(const EngineOptions& options) {
  if (options.threads > 0) return options.threads;
  return std::max(1, usable_cores() / ranks_of(options));
}

// On a CPU the widest product of a layer is timed.
ProductChoice products_of(const EngineOptions& options, const ModelConfig& config, int threads) {
  const std::int64_t tokens = std::max(options.tokens_per_step, options.longest_row);
  const LinearShape shape = shape_of(config, Group::gate_up);
  if (options.device != nullptr) {
    const Products products = options.type == Type::f32 ? Products::fp32 : Products::device;
    return {
        products, 0,
        "products: " + std::string(name_of(products)) + ", computed on " + options.device->name};
  }
  if (options.type == Type::f32) return fp32_products(tokens, shape, threads);
  if (options.products)
    return {*options.products, 0, "products: " + std::string(name_of(*options.products))};
  return choose_products(tokens, shape, threads, options.as_before.products);
}

MemoryRequest memory_request(const EngineOptions& options, Type type, int threads) {
  MemoryRequest out;
  out.method = options.method;
  out.tokens_per_step = options.tokens_per_step;
  out.longest_row = options.longest_row;
  out.threads = threads;
  out.as_before = options.as_before;
  out.keeps_best = options.keeps_best;
  out.data_bytes = options.data_bytes;
  out.in_bf16 = type == Type::bf16;
  out.limits = options.limits;
  out.ranks = ranks_of(options);
  const Device* device = options.device.get();
  out.on_device = device != nullptr;
  out.by_kernels = device != nullptr && device->by_kernels;
  out.by_flash = device != nullptr && device->by_flash;
  out.budget_bytes = options.budget_bytes;
  if (out.budget_bytes > 0) return out;
  const bool has_memory = device != nullptr && device->free_bytes > 0;
  out.budget_bytes = (has_memory ? device->free_bytes : available_bytes() / out.ranks) / 10 * 9;
  return out;
}
}  // namespace kairo::gpu
