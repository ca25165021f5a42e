// agents/web/shown.h - objects, facts and curves as the JSON that the page reads
// (agents/web/page/types.ts). Pure.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "schemas/curve_generated.h"
#include "schemas/run_generated.h"

namespace kairo::web {
// A Workspace without what nobody watches (managedFields, pod templates) or nobody may see
// (passwords and tokens in its data set's addresses).
nlohmann::json shown_workspace(const nlohmann::json& object);
std::string progress_json(const wire::ProgressT& progress);
// Its columns have one length, as schemas/curve.fbs says: of others nothing is shown.
bool is_even(const wire::CurveT& curve);
std::string curve_json(const wire::CurveT& curve);
std::string spark_json(const wire::CurveT& curve);  // at most 32 means, evenly
// Of core/v1's Events about one Workspace: newest first, the same words once.
nlohmann::json shown_events(const std::vector<std::string>& events);
// A Node: ready, and for how long it has not been heard of.
nlohmann::json shown_node(const nlohmann::json& node, std::int64_t now_ms);
// One way to others: since when nothing was heard.
struct Hop {
  bool ok = false;
  std::int64_t heard_ms = 0;  // monotonic
  std::string error;
};
std::string tick_json(std::int64_t at_ms, std::int64_t mono_ms, const Hop& api, const Hop& bus,
                      const nlohmann::json& nodes);
}  // namespace kairo::web
