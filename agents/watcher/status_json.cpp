// agents/watcher/status_json.cpp - field by field, in KAITO's names.
#include "agents/watcher/status_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "agents/bus/bus.h"
#include "schemas/base/clock.h"
#include "schemas/base/digest.h"

namespace kairo::watcher {
namespace {
using Ordered = nlohmann::ordered_json;
using Json = nlohmann::json;  // keys sorted

constexpr std::size_t conditions_max = 64;  // of somebody else's

double rounded(double value, double digits) {  // short numbers for people; JSON has no NaN
  const double factor = std::pow(10, digits);
  return std::isfinite(value) ? std::round(value * factor) / factor : 0;
}
// Messages quote what others wrote (a server's words, a file's name): never an exception over them.
std::string text_of(const Ordered& json) {
  return json.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}
Ordered status_of(const wire::StatusT& status) {
  Ordered out;
  out["state"] = status.state;
  out["targetNodeCount"] = status.target_nodes;
  out["workerNodes"] = status.nodes;
  Ordered conditions = Ordered::array();
  for (const auto& c : status.conditions)
    conditions.push_back({{"type", c->type},
                          {"status", c->value},
                          {"reason", c->reason},
                          {"message", c->message},
                          {"observedGeneration", c->generation},
                          {"lastTransitionTime", rfc3339(c->changed_at_ms)}});
  out["conditions"] = std::move(conditions);
  if (const auto* t = status.tuning.get()) {
    Ordered& tuning = out["tuning"];
    tuning = {{"phase", t->phase}, {"step", t->step}, {"totalSteps", t->total_steps}};
    tuning["epoch"] = rounded(t->epoch, 2);
    tuning["loss"] = rounded(t->loss, 4);
    tuning["tokensPerSecond"] = rounded(t->tokens_per_second, 1);
    if (t->eta_seconds >= 0) tuning["etaSeconds"] = t->eta_seconds;
    if (t->attempt > 0) tuning["attempt"] = t->attempt;
    if (t->resumed_from > 0) tuning["resumedFromStep"] = t->resumed_from;
    if (!t->checkpoint.empty()) tuning["checkpoint"] = t->checkpoint;
    for (const auto& [key, count] : {std::pair{"rows", t->rows},
                                     {"heldOutRows", t->held_out_rows},
                                     {"droppedRows", t->dropped_rows},
                                     {"truncatedRows", t->truncated_rows}})
      if (count > 0) tuning[key] = count;
    if (t->eval_loss > 0) {
      tuning["evalStep"] = t->eval_step;
      tuning["evalLoss"] = rounded(t->eval_loss, 4);
    }
    if (t->best_eval_loss > 0) {
      tuning["bestStep"] = t->best_step;
      tuning["bestEvalLoss"] = rounded(t->best_eval_loss, 4);
    }
    if (!t->device.empty()) tuning["device"] = t->device;
    if (!t->self_test.empty()) tuning["selfTest"] = t->self_test;
  }
  if (const auto* a = status.artifact.get())
    out["artifact"] = {{"image", a->image}, {"digest", a->digest}, {"sizeBytes", a->size_bytes}};
  if (!status.address.empty()) out["address"] = status.address;
  for (const auto& a : status.adapters) {
    Ordered adapter = {{"name", a->name}, {"state", a->state}};
    if (!a->digest.empty()) adapter["digest"] = a->digest;
    if (!a->image.empty()) adapter["image"] = a->image;
    if (a->since_ms > 0) adapter["since"] = rfc3339(a->since_ms);
    if (!a->message.empty()) adapter["message"] = a->message;
    out["adapters"].push_back(std::move(adapter));
  }
  return out;
}
// As the API server gives it back: keys in any order, 1.0 as 1.
Json canonical(const Json& value) {
  if (value.is_number()) return std::to_string(value.get<double>());
  if (!value.is_structured()) return value;
  Json out = value.is_array() ? Json::array() : Json::object();
  for (const auto& [key, member] : value.items()) {
    if (value.is_array())
      out.push_back(canonical(member));
    else if (!member.is_null())
      out[key] = canonical(member);
  }
  return out;
}
std::string hash_of(const Json& status) {
  Json ours = Json::object();
  for (const char* key : {"state", "targetNodeCount", "workerNodes", "conditions", "tuning",
                          "artifact", "address", "adapters"})
    if (status.is_object() && status.contains(key)) ours[key] = status[key];
  return sha256_hex(canonical(ours).dump(-1, ' ', false, Json::error_handler_t::replace));
}
}  // namespace

std::string status_patch(const wire::StatusT& status) {
  Ordered out = status_of(status);
  const auto take_away = [](Ordered& from, std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (!from.contains(key)) from[key] = nullptr;
  };
  take_away(out, {"tuning", "artifact", "address", "adapters"});
  if (out["tuning"].is_object())
    take_away(out["tuning"], {"etaSeconds", "attempt", "resumedFromStep", "checkpoint", "rows",
                              "heldOutRows", "droppedRows", "truncatedRows", "evalStep", "evalLoss",
                              "bestStep", "bestEvalLoss", "device", "selfTest"});
  return text_of({{"status", std::move(out)}});
}

std::string status_hash(const wire::StatusT& status) {
  return hash_of(Json::parse(text_of(status_of(status))));
}
wire::StatusSeenT status_seen(const Json& object) {
  static const Json nothing = Json::object();
  const bool has_status = object.is_object() && object.contains("status");
  const Json& status = has_status ? object["status"] : nothing;
  wire::StatusSeenT out;
  out.hash = hash_of(status);
  const auto text = [](const Json& from, const char* key) {
    const auto found = from.find(key);
    return found != from.end() && found->is_string() ? found->get<std::string>() : "";
  };
  if (!status.is_object()) return out;
  out.state = text(status, "state");
  const Json conditions = status.value("conditions", Json::array());
  for (const Json& c : conditions) {
    if (!c.is_object() || out.conditions.size() == conditions_max) continue;
    auto condition = std::make_unique<wire::ConditionT>();
    condition->type = text(c, "type");
    condition->value = text(c, "status");
    if (const auto g = c.find("observedGeneration"); g != c.end() && g->is_number_unsigned())
      condition->generation = g->get<std::uint64_t>();
    condition->changed_at_ms = parse_rfc3339(text(c, "lastTransitionTime"));
    out.conditions.push_back(std::move(condition));
  }
  return out;
}

std::string status_event(const wire::CommandT& command, std::int64_t now_ms) {
  const auto& status = command.body.AsAnnounceStatus()->status;
  Ordered data = {{"namespace", command.ns}, {"name", command.name}, {"uid", command.uid}};
  if (status) data["status"] = status_of(*status);
  const Ordered event = {
      {"specversion", "1.0"},
      {"type", status ? "dev.kairo.workspace.status.v1" : "dev.kairo.workspace.deleted.v1"},
      {"source", "/namespaces/" + command.ns + "/workspaces/" + command.name},
      {"subject", command.ns + "/" + command.name},
      {"id", command.uid + "/" + sha256_hex(text_of(data)).substr(0, 16)},
      {"time", rfc3339(now_ms)},
      {"datacontenttype", "application/json"},
      {"data", data}};
  return text_of(event);
}

std::string status_subject(const std::string& ns, const std::string& name) {
  return "kairo.status." + bus::token(ns) + "." + bus::token(name);
}
}  // namespace kairo::watcher
