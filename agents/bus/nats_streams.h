// agents/bus/nats_streams.h - the streams, created by the admin connection.
#pragma once
#include "agents/bus/nats_bus.h"
#include "schemas/base/result.h"

struct __jsCtx;  // nats.c's jsCtx

namespace kairo::bus {
constexpr const char *facts_stream = "KAIRO_FACTS", *facts_subjects = "kairo.facts.>";
// unavailable: what was tried, and the client library's words. status: a natsStatus.
Error nats_failure(const std::string& what, int status);
// Idempotent: creates what is missing, gives what is there the settings of this version.
Status prepare_streams(__jsCtx* context);
}  // namespace kairo::bus
