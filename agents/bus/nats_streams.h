// agents/bus/nats_streams.h - the streams and durable consumers, created by the admin connection.
#pragma once
#include "agents/bus/nats_bus.h"
#include "schemas/base/result.h"

struct __jsCtx;  // nats.c's jsCtx

namespace kairo::bus {
constexpr const char* facts_stream = "KAIRO_FACTS";
// Idempotent: creates what is missing, leaves what is there.
Status prepare_streams(__jsCtx* context, const NatsOptions& options);
}  // namespace kairo::bus
