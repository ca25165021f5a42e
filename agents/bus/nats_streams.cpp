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
  natsStatus s = js_AddStream(nullptr, context, &config, nullptr, &code);
  if (s != NATS_OK && code == JSStreamNameExistErr)  // of an earlier version, other settings
    s = js_UpdateStream(nullptr, context, &config, nullptr, &code);
  if (s == NATS_OK) return ok();
  return nats_failure(std::string("stream ") + stream.name + " with kairo's settings", s);
}
}  // namespace

Error nats_failure(const std::string& what, int status) {
  const char* detail = nats_GetLastError(nullptr);
  return {Code::unavailable, "bus: " + what + ": " +
                                 natsStatus_GetText(static_cast<natsStatus>(status)) +
                                 (detail != nullptr ? std::string(" ") + detail : "")};
}

Status prepare_streams(__jsCtx* context) {
  constexpr std::int64_t day = 24 * 3600;
  const Stream streams[] = {
      {facts_stream, {facts_subjects}, 1, 30 * day},
      {"KAIRO_STATUS", {"kairo.status.>"}, 1, 30 * day},
      {"KAIRO_DEAD", {"kairo.dead.>"}, 1000, 30 * day},
  };
  for (const Stream& stream : streams) TRY(add_stream(context, stream));
  return ok();
}
}  // namespace kairo::bus
