// gpu/serve/metrics.cpp
#include "gpu/serve/metrics.h"

#include <algorithm>
#include <set>

namespace kairo::gpu {
namespace {
const std::set<std::string>& known_paths() {
  static const std::set<std::string> paths{
      "/chat",    "/v1/chat/completions",  "/v1/completions",         "/v1/models", "/health",
      "/metrics", "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/version"};
  return paths;
}
void add(std::string& out, const std::string& name, const char* type, const char* help,
         std::uint64_t value) {
  out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + name + " " +
         std::to_string(value) + "\n";
}
// A value of one series, with its own type: readers take one without for 0.
std::string series(const std::string& name, const char* type, const char* help,
                   const std::string& labels, const std::string& value) {
  return "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + name + "{" +
         labels + "} " + value + "\n";
}
std::string escaped(const std::string& label) {
  std::string out;
  for (const char c : label) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}
// Of those that are loaded still.
std::string names_of(std::span<const int> adapters, std::span<const ServedModel> models) {
  std::string out;
  for (const int adapter : adapters)
    if (const auto at = std::ranges::find(models, adapter, &ServedModel::adapter);
        at != models.end())
      out += (out.empty() ? "" : ",") + escaped(at->name);
  return out;
}
}  // namespace

std::string Metrics::vllm_text(const SchedulerCounts& c, const Timings& timings,
                               std::span<const ServedModel> models, const ServedRoom& room,
                               std::int64_t unix_s) {
  const std::string labels = "model_name=\"" + escaped(models.front().name) + "\",engine=\"0\"";
  const auto one = [&](const char* name, const char* type, const char* help, std::uint64_t value) {
    return series(std::string("vllm:") + name, type, help, labels, std::to_string(value));
  };
  std::string out = one("num_requests_running", "gauge", "Requests that are being answered.",
                        static_cast<std::uint64_t>(c.running));
  out += one("num_requests_waiting", "gauge", "Requests that wait for a slot.",
             static_cast<std::uint64_t>(c.waiting));
  out += series("vllm:kv_cache_usage_perc", "gauge", "Of the slots' room, 0 to 1.", labels,
                std::to_string(c.kv_usage));
  out += one("prompt_tokens_total", "counter", "Prompt tokens computed.", c.prompt_tokens);
  out += one("generation_tokens_total", "counter", "Tokens generated.", c.answer_tokens);
  out += one("prefix_cache_queries_total", "counter", "Prompt tokens that were looked for.",
             c.queried_tokens);
  out +=
      one("prefix_cache_hits_total", "counter", "Prompt tokens that were there.", c.cached_tokens);
  out += series("vllm:cache_config_info", "gauge", "A block is one request's room.",
                labels + ",block_size=\"" + std::to_string(room.context) + "\",num_gpu_blocks=\"" +
                    std::to_string(room.slots) + "\"",
                "1");
  out += series("vllm:lora_requests_info", "gauge", "Adapters in use; when that was seen.",
                "max_lora=\"" + std::to_string(models.size() - 1) + "\",running_lora_adapters=\"" +
                    names_of(c.running_adapters, models) + "\",waiting_lora_adapters=\"" +
                    names_of(c.waiting_adapters, models) + "\"",
                std::to_string(unix_s));
  return out + timings.text(labels);
}

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
