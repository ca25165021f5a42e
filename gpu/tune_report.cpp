// gpu/tune_report.cpp
#include "gpu/tune_report.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace kairo::gpu {
std::string estimate_text(const TuneJob& job, const TuneEstimate& e) {
  const auto n = [](auto count) { return std::to_string(count); };
  std::string apart;  // what is not simply trained on
  for (const auto& [count, what] : {std::pair{job.truncated, " truncated"},
                                    {job.dropped, " more without a target dropped"},
                                    {job.held_out.size(), " more held out"}})
    if (count > 0) apart += (apart.empty() ? " (" : ", ") + n(count) + what;
  return n(job.rows.size()) + " rows" + apart + (apart.empty() ? "" : ")") + ", " + n(e.steps) +
         " steps" + (e.evaluations > 0 ? ", " + n(e.evaluations) + " evaluations" : "") + ", " +
         n(e.tokens) + " tokens (" + n(e.trained_tokens) + " trained), peak " +
         n(e.peak_bytes >> 20) + " MiB, about " + n(std::llround(e.seconds)) + " s";
}
std::string estimate_json(const TuneJob& job, const TuneEstimate& e) {
  const nlohmann::ordered_json out = {
      {"rows", job.rows.size()},    {"truncated", job.truncated},
      {"dropped", job.dropped},     {"held_out", job.held_out.size()},
      {"tokens", e.tokens},         {"trained_tokens", e.trained_tokens},
      {"steps", e.steps},           {"evaluations", e.evaluations},
      {"peak_bytes", e.peak_bytes}, {"seconds", e.seconds}};
  return out.dump();
}
}  // namespace kairo::gpu
