// agents/bus/nats_streams.h - the streams, looked after by the admin connection.
#pragma once
#include "agents/bus/names.h"
#include "schemas/base/result.h"

struct __natsConnection;  // nats.c's natsConnection

namespace kairo::bus {
// unavailable: what was tried, and the client library's words. status: a natsStatus.
Error nats_failure(const std::string& what, int status);
// Idempotent: creates what is missing and gives what is there the settings that kairo relies on;
// an administrator's others (replicas, placement, bytes) stay. Consumers of earlier versions go.
// unavailable, with stream, setting, both values and the remedy: NATS cannot change it.
// replicas: of each, kept too; 0 = as they are.
Status prepare_streams(__natsConnection* connection, const Names& names, int replicas);
}  // namespace kairo::bus
