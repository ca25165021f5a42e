// agents/web/shown.cpp - field by field.
#include "agents/web/shown.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "agents/cli/printers.h"
#include "agents/transfer/url.h"
#include "schemas/base/clock.h"

namespace kairo::web {
namespace {
using Json = nlohmann::json;
constexpr std::size_t spark_points = 32, events_max = 200;

std::string text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
// Six digits are more than a picture shows.
Json number(float value) {
  if (!std::isfinite(value)) return nullptr;
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", static_cast<double>(value));
  return std::strtod(digits, nullptr);
}
Json numbers(const std::vector<float>& values) {
  Json out = Json::array();
  for (const float v : values) out.push_back(number(v));
  return out;
}
}  // namespace

Json shown_workspace(const Json& object) {
  Json out = object;
  if (!out.is_object()) return Json::object();
  if (const auto meta = out.find("metadata"); meta != out.end() && meta->is_object())
    for (const char* key : {"managedFields", "annotations", "finalizers", "resourceVersion"})
      meta->erase(key);
  if (const auto inference = out.find("inference");
      inference != out.end() && inference->is_object())
    inference->erase("template");
  // A data set's address may hold a password or a token.
  if (const Json::json_pointer urls("/tuning/input/urls"); out.contains(urls))
    for (Json& url : out[urls])
      if (url.is_string()) url = transfer::redacted_text(url.get<std::string>());
  out.erase("apiVersion");
  out.erase("kind");
  return out;
}

std::string progress_json(const wire::ProgressT& p) {
  return text({{"phase", wire::EnumNameRunPhase(p.phase)},
               {"step", p.step},
               {"total_steps", p.total_steps},
               {"loss", number(p.loss)},
               {"learning_rate", number(p.learning_rate)},
               {"grad_norm", number(p.grad_norm)},
               {"tokens", p.tokens},
               {"tokens_per_second", number(p.tokens_per_second)},
               {"eta_ms", p.eta_ms},
               {"rss_bytes", p.rss_bytes},
               {"at_ms", p.at_ms},
               {"attempt", p.attempt},
               {"resumed_from", p.resumed_from}});
}

bool is_even(const wire::CurveT& c) {
  const std::size_t n = c.last.size();
  const auto has_n = [n](const auto&... columns) { return ((columns.size() == n) && ...); };
  return has_n(c.first, c.min, c.mean, c.max, c.learning_rate, c.grad_norm, c.tokens_per_second,
               c.tokens, c.at_ms);
}

std::string curve_json(const wire::CurveT& c) {
  Json out = {{"first", c.first},
              {"last", c.last},
              {"min", numbers(c.min)},
              {"mean", numbers(c.mean)},
              {"max", numbers(c.max)},
              {"lr", numbers(c.learning_rate)},
              {"grad_norm", numbers(c.grad_norm)},
              {"tokens_per_second", numbers(c.tokens_per_second)},
              {"tokens", c.tokens},
              {"at_ms", c.at_ms},
              {"attempts", Json::array()},
              {"eval", Json::array()}};
  for (const auto& a : c.attempts)
    out["attempts"].push_back({{"attempt", a->attempt}, {"from_step", a->from_step}});
  for (const auto& e : c.evals) out["eval"].push_back({e->step, number(e->loss)});
  return text(out);
}

std::string spark_json(const wire::CurveT& curve) {
  Json out = Json::array();
  const std::size_t n = curve.mean.size(), points = std::min(n, spark_points);
  for (std::size_t i = 0; i < points; ++i)
    out.push_back(number(curve.mean[points < 2 ? 0 : i * (n - 1) / (points - 1)]));
  return text(out);
}

Json shown_events(const std::vector<std::string>& events) {
  Json out = Json::array();
  for (const std::string& event : events) {
    const Json e = Json::parse(event, nullptr, false);
    if (!e.is_object()) continue;
    const auto word = [&](const char* at) {
      const Json::json_pointer to(at);
      return e.contains(to) && e[to].is_string() ? e[to].get<std::string>() : std::string();
    };
    const std::string object = word("/involvedObject/kind") + "/" + word("/involvedObject/name");
    Json one = {{"type", word("/type")},       {"reason", word("/reason")},
                {"message", word("/message")}, {"object", object},
                {"at", cli::last_seen(event)}, {"count", cli::times_seen(event)}};
    const auto same = std::find_if(out.begin(), out.end(), [&](const Json& known) {
      return known["message"] == one["message"] && known["reason"] == one["reason"] &&
             known["object"] == one["object"];
    });
    if (same == out.end()) {
      out.push_back(std::move(one));
      continue;
    }
    (*same)["count"] = (*same)["count"].get<int>() + one["count"].get<int>();
    if ((*same)["at"].get<std::string>() < one["at"].get<std::string>()) (*same)["at"] = one["at"];
  }
  std::stable_sort(out.begin(), out.end(), [](const Json& a, const Json& b) {
    return a["at"].get<std::string>() > b["at"].get<std::string>();
  });
  if (out.size() > events_max) out.erase(out.begin() + events_max, out.end());
  return out;
}

Json shown_node(const Json& node, std::int64_t now_ms) {
  Json out = {{"name", node.value(Json::json_pointer("/metadata/name"), "")},
              {"ready", false},
              {"silent_ms", -1}};
  const Json::json_pointer at("/status/conditions");
  if (!node.contains(at)) return out;
  for (const Json& c : node[at]) {
    if (!c.is_object() || c.value("type", "") != "Ready") continue;
    out["ready"] = c.value("status", "") == "True";
    out["silent_ms"] = 0;
    if (c.value("status", "") != "Unknown") continue;  // its kubelet says so itself
    const std::string beat = c.contains("lastHeartbeatTime") && c["lastHeartbeatTime"].is_string()
                                 ? c["lastHeartbeatTime"].get<std::string>()
                                 : c.value("lastTransitionTime", "");
    const std::int64_t heard = parse_rfc3339(beat);
    out["silent_ms"] = heard < 0 ? -1 : std::max<std::int64_t>(0, now_ms - heard);
  }
  return out;
}

std::string tick_json(std::int64_t at_ms, std::int64_t mono_ms, const Hop& api, const Hop& bus,
                      const Json& nodes) {
  const auto hop = [&](const Hop& h) {
    return Json{{"ok", h.ok},
                {"age_ms", std::max<std::int64_t>(0, mono_ms - h.heard_ms)},
                {"error", h.error}};
  };
  return text({{"at", at_ms}, {"api", hop(api)}, {"bus", hop(bus)}, {"nodes", nodes}});
}
}  // namespace kairo::web
