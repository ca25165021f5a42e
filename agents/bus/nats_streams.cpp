// agents/bus/nats_streams.cpp - what the broker keeps, and for how long. In JSON, the API's own
// form: settings that are newer than the client library pass through unharmed.
#include "agents/bus/nats_streams.h"

#include <nats/nats.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "agents/bus/bus.h"

namespace kairo::bus {
namespace {
using Json = nlohmann::json;
constexpr std::int64_t second_ns = 1'000'000'000, day_ns = 24 * 3600 * second_ns;
constexpr std::int64_t answer_ms = 5'000;

struct Stream {
  std::string name, subjects;
  std::int64_t per_subject;
  int replicas;                // 0 = nobody said
  std::int64_t bytes_max = 0;  // the oldest go beyond; 0 = the broker's own bounds
};
// What kairo relies on, in NATS' words.
Json settings_of(const Stream& stream) {
  Json out{{"subjects", {stream.subjects}},
           {"retention", "limits"},
           {"storage", "file"},
           {"discard", "old"},
           {"max_msgs", -1},
           {"max_consumers", -1},
           {"max_msgs_per_subject", stream.per_subject},
           {"max_age", 30 * day_ns},
           {"max_msg_size", message_bytes_max},
           {"duplicate_window", duplicate_window.count() * 1'000'000},
           {"no_ack", false},
           {"sealed", false}};
  if (stream.replicas > 0) out["num_replicas"] = stream.replicas;
  if (stream.bytes_max > 0) out["max_bytes"] = stream.bytes_max;
  return out;
}

struct Refusal {
  std::int64_t code = 0;  // JetStream's
  std::string words;
};
// The reply; `refusal` tells why JetStream did not do it.
Result<Json> ask(natsConnection* connection, const std::string& subject, const Json& body,
                 Refusal& refusal) {
  natsMsg* reply = nullptr;
  const std::string text = body.is_null() ? "" : body.dump();
  const natsStatus s = natsConnection_Request(&reply, connection, subject.c_str(), text.data(),
                                              static_cast<int>(text.size()), answer_ms);
  if (s != NATS_OK) return nats_failure(subject, s);
  const char* data = natsMsg_GetData(reply);
  Json out = Json::parse(data, data + natsMsg_GetDataLength(reply), nullptr, false);
  natsMsg_Destroy(reply);
  if (!out.is_object()) return Error{Code::unavailable, "bus: " + subject + ": no JSON object"};
  refusal = {};
  if (const auto error = out.find("error"); error != out.end() && error->is_object())
    refusal = {error->value("err_code", error->value("code", std::int64_t{1})),
               error->value("description", "")};
  return out;
}

struct Difference {
  std::string setting;
  Json has, needs;
};
std::vector<Difference> differences(const Json& has, const Json& needs) {
  std::vector<Difference> out;
  for (const auto& [setting, value] : needs.items()) {
    const Json missing = value.is_boolean() ? Json(false) : Json();  // false is left out
    Json old = has.contains(setting) ? has[setting] : missing;
    if (old != value) out.push_back({setting, std::move(old), value});
  }
  return out;
}
std::string remedy(const std::string& stream) {
  return "remove the stream (nats stream rm " + stream + "), and kairo makes it anew";
}

// All at once; else one by one until none is accepted any more, so that the rest can be named.
Status change(natsConnection* connection, const Stream& stream, const Json& has) {
  std::vector<Difference> left = differences(has, settings_of(stream));
  if (left.empty()) return ok();
  const std::string update = "$JS.API.STREAM.UPDATE." + stream.name;
  Json config = has;
  Refusal refusal;
  config.update(settings_of(stream));
  TRY(ask(connection, update, config, refusal));
  if (refusal.code == 0) return ok();
  config = has;
  std::string refused;
  for (bool is_progress = true; is_progress && !left.empty();) {
    is_progress = false;
    refused.clear();
    std::vector<Difference> still;
    for (Difference& d : left) {
      Json with = config;
      with[d.setting] = d.needs;
      TRY(ask(connection, update, with, refusal));
      is_progress = is_progress || refusal.code == 0;
      if (refusal.code == 0) {
        config = std::move(with);
        continue;
      }
      refused += (refused.empty() ? "" : "; ") + d.setting + " is " + d.has.dump() +
                 ", kairo needs " + d.needs.dump() + " (NATS: " + refusal.words + ")";
      still.push_back(std::move(d));
    }
    left = std::move(still);
  }
  if (left.empty()) return ok();
  return Error{Code::unavailable,
               "bus: stream " + stream.name + ": " + refused + "; " + remedy(stream.name)};
}

Status create(natsConnection* connection, const Stream& stream) {
  Json config = settings_of(stream);
  config["name"] = stream.name;
  Refusal refusal;
  TRY(ask(connection, "$JS.API.STREAM.CREATE." + stream.name, config, refusal));
  if (refusal.code == 0) return ok();
  constexpr std::int64_t subjects_overlap = 10065;
  return Error{Code::unavailable,
               "bus: stream " + stream.name + " with subjects " + stream.subjects +
                   " cannot be made: " + refusal.words +
                   (refusal.code == subjects_overlap
                        ? "; remove the stream that has them, or give this cluster a name"
                        : "")};
}

// Until every process kept its own place, each agent had a consumer here. Nobody reads them.
Status drop_old_consumers(natsConnection* connection, const std::string& stream) {
  Refusal none_there;
  for (const char* agent : {"watcher", "provisioner", "launcher", "node", "pusher"})
    TRY(ask(connection, "$JS.API.CONSUMER.DELETE." + stream + "." + agent, {}, none_there));
  return ok();
}

Status prepare(natsConnection* connection, const Stream& stream) {
  Refusal refusal;
  const Json info = TRY(ask(connection, "$JS.API.STREAM.INFO." + stream.name, {}, refusal));
  constexpr std::int64_t no_such_stream = 10059;
  if (refusal.code == no_such_stream) return create(connection, stream);
  if (refusal.code != 0 || !info.contains("config"))
    return Error{Code::unavailable, "bus: stream " + stream.name + ": " + refusal.words};
  return change(connection, stream, info["config"]);
}
}  // namespace

Error nats_failure(const std::string& what, int status) {
  const char* detail = nats_GetLastError(nullptr);
  return {Code::unavailable, "bus: " + what + ": " +
                                 natsStatus_GetText(static_cast<natsStatus>(status)) +
                                 (detail != nullptr ? std::string(" ") + detail : "")};
}

Status prepare_streams(__natsConnection* connection, const Names& names, int replicas) {
  constexpr std::int64_t curves_max = 256 << 20;
  const Stream streams[] = {
      {names.facts(), names.subject("kairo.facts.>"), 1, replicas},
      {names.status(), names.subject("kairo.status.>"), 1, replicas},
      {names.dead(), names.subject("kairo.dead.>"), 1000, replicas},
      {names.curves(), names.subject("kairo.curves.>"), 1, replicas, curves_max}};
  for (const Stream& stream : streams) TRY(prepare(connection, stream));
  return drop_old_consumers(connection, names.facts());
}
}  // namespace kairo::bus
