// agents/web/series.h - Prometheus series of each Workspace. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace kairo::web {
// workspaces: a JSON array as Feed has it; progress: by uid, as progress_json(). Text format 0.0.4.
// No uid and no run is a label; of a tuning that is over the gauges go after ten minutes, so that
// no last loss is shown for ever.
std::string series_of(const std::string& workspaces,
                      const std::map<std::string, std::string>& progress, std::int64_t now_ms);
}  // namespace kairo::web
