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
         n(e.peak_bytes >> 20) + " MiB" +
         (e.on_device ? " on the device, at the least " + n(e.least_bytes >> 20) + " MiB\n" +
                            e.on_device->text()
                      : ", about " + n(std::llround(e.seconds)) + " s");
}
std::string estimate_json(const TuneJob& job, const TuneEstimate& e) {
  nlohmann::ordered_json out = {{"rows", job.rows.size()},   {"truncated", job.truncated},
                                {"dropped", job.dropped},    {"held_out", job.held_out.size()},
                                {"tokens", e.tokens},        {"trained_tokens", e.trained_tokens},
                                {"steps", e.steps},          {"evaluations", e.evaluations},
                                {"peak_bytes", e.peak_bytes}};
  if (!e.on_device) {
    out["seconds"] = e.seconds;
    return out.dump();
  }
  out["device"] = kind_of(job.device);
  out["least_bytes"] = e.least_bytes;
  out["microbatch_tokens"] = e.on_device->microbatch_tokens;
  out["kept_layers"] = e.on_device->kept_layers;
  out["cached_layers"] = e.on_device->cached_layers;
  for (const auto& item : e.on_device->items)
    out["memory"].push_back({{"what", item.what}, {"bytes", item.bytes}});
  return out.dump();
}
}  // namespace kairo::gpu
