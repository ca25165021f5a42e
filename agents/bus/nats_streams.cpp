// agents/bus/nats_streams.cpp - what the broker keeps, and for how long.
#include "agents/bus/nats_streams.h"

#include <nats/nats.h>

namespace kairo::bus {
namespace {
constexpr std::int64_t second_ns = 1'000'000'000;

struct Stream {
  const char* name;
  std::vector<const char*> subjects;
  std::int64_t per_subject;
  std::int64_t age_seconds;
};

Status add_stream(jsCtx* context, const Stream& stream) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  auto subjects = stream.subjects;
  config.Name = stream.name;
  config.Subjects = subjects.data();
  config.SubjectsLen = static_cast<int>(subjects.size());
  config.Storage = js_FileStorage;
  config.Retention = js_LimitsPolicy;
  config.MaxMsgsPerSubject = stream.per_subject;
  config.MaxAge = stream.age_seconds * second_ns;
  config.MaxMsgSize = static_cast<std::int32_t>(message_bytes_max);
  config.Duplicates = duplicate_window.count() * 1'000'000;
  jsErrCode code{};
  const natsStatus status = js_AddStream(nullptr, context, &config, nullptr, &code);
  if (status == NATS_OK || code == JSStreamNameExistErr) return ok();
  return Error{Code::unavailable, std::string("create stream ") + stream.name + ": " +
                                      natsStatus_GetText(status) + " " +
                                      nats_GetLastError(nullptr)};
}

Status add_consumer(jsCtx* context, const std::string& name, std::chrono::milliseconds ack_wait) {
  jsConsumerConfig config;
  jsConsumerConfig_Init(&config);
  config.Durable = name.c_str();
  config.DeliverPolicy = js_DeliverLastPerSubject;
  config.AckPolicy = js_AckExplicit;
  config.AckWait = ack_wait.count() * 1'000'000;
  config.MaxDeliver = -1;  // at a finite limit 2.9 can block the consumer
  config.FilterSubject = "kairo.facts.>";
  config.MaxAckPending = kept_unacked;
  jsErrCode code{};
  const natsStatus status = js_AddConsumer(nullptr, context, facts_stream, &config, nullptr, &code);
  if (status == NATS_OK || code == JSConsumerNameExistErr || code == JSConsumerExistingActiveErr)
    return ok();
  return Error{Code::unavailable, "create consumer " + name + ": " + natsStatus_GetText(status) +
                                      " " + nats_GetLastError(nullptr)};
}
}  // namespace

Status prepare_streams(__jsCtx* context, const NatsOptions& options) {
  constexpr std::int64_t day = 24 * 3600;
  const Stream streams[] = {
      {facts_stream, {"kairo.facts.>"}, 1, day},
      {"KAIRO_STATUS", {"kairo.status.>"}, 1, 30 * day},
      {"KAIRO_DEAD", {"kairo.dead.>"}, 1000, 30 * day},
  };
  for (const Stream& stream : streams) TRY(add_stream(context, stream));
  for (const std::string& name : options.consumers)
    TRY(add_consumer(context, name, options.ack_wait));
  return ok();
}
}  // namespace kairo::bus
