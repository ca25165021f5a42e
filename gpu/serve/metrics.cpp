// gpu/serve/metrics.cpp
#include "gpu/serve/metrics.h"

#include <set>

namespace kairo::gpu {
namespace {
const std::set<std::string>& known_paths() {
  static const std::set<std::string> paths{
      "/chat",   "/v1/chat/completions", "/v1/completions", "/v1/models", "/health", "/metrics",
      "/version"};
  return paths;
}
void add(std::string& out, const std::string& name, const char* type, const char* help,
         std::uint64_t value) {
  out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + name + " " +
         std::to_string(value) + "\n";
}
}  // namespace

void Metrics::count(const std::string& path, int status) {
  const std::string name = known_paths().contains(path) ? path : "other";
  const std::scoped_lock lock(mutex_);
  ++requests_[{name, status}];
}

std::string Metrics::text(const SchedulerCounts& c) const {
  std::string out;
  add(out, "kairo_serve_prompt_tokens_total", "counter", "Prompt tokens computed.",
      c.prompt_tokens);
  add(out, "kairo_serve_prefix_cache_hits_total", "counter",
      "Prompt tokens not computed: another request's were there.", c.cached_tokens);
  add(out, "kairo_serve_prefix_cache_queries_total", "counter",
      "Prompt tokens that were looked for.", c.queried_tokens);
  add(out, "kairo_serve_answer_tokens_total", "counter", "Tokens generated.", c.answer_tokens);
  add(out, "kairo_serve_batches_total", "counter", "Batches computed.", c.rounds);
  add(out, "kairo_serve_running", "gauge", "Sequences in the batch.",
      static_cast<std::uint64_t>(c.running));
  add(out, "kairo_serve_waiting", "gauge", "Requests that wait for a slot.",
      static_cast<std::uint64_t>(c.waiting));
  out +=
      "# HELP kairo_serve_requests_total Requests answered.\n"
      "# TYPE kairo_serve_requests_total counter\n";
  const std::scoped_lock lock(mutex_);
  for (const auto& [key, times] : requests_)
    out += "kairo_serve_requests_total{path=\"" + key.first + "\",status=\"" +
           std::to_string(key.second) + "\"} " + std::to_string(times) + "\n";
  return out;
}
}  // namespace kairo::gpu
