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
  }
  if (const auto* a = status.artifact.get())
    out["artifact"] = {{"image", a->image}, {"digest", a->digest}, {"sizeBytes", a->size_bytes}};
  if (!status.address.empty()) out["address"] = status.address;
  return out;
}
}  // namespace

std::string status_object(const wire::CommandT& command) {
  const Ordered object = {
      {"apiVersion", "kaito.sh/v1beta1"},
      {"kind", "Workspace"},
      {"metadata", {{"name", command.name}, {"namespace", command.ns}, {"uid", command.uid}}},
      {"status", status_of(*command.body.AsPatchStatus()->status)}};
  return text_of(object);
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
