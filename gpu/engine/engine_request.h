// gpu/engine/engine_request.h - what an engine's options come to on this machine.
#pragma once
#include "gpu/engine/engine.h"

namespace kairo::gpu {
int threads_of(const EngineOptions& options);
// Whose products the options come to: on a CPU they are timed for that (products.h).
ProductChoice products_of(const EngineOptions& options, const ModelConfig& config, int threads);
// What memory is planned for, computing in that type. Of a budget that is not given: nine tenths of
// what the device has free, or the machine, of which each rank has its share.
MemoryRequest memory_request(const EngineOptions& options, Type type, int threads);
}  // namespace kairo::gpu
