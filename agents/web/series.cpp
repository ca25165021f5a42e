// agents/web/series.cpp - a family of series at a time: their lines stand together.
#include "agents/web/series.h"

#include <nlohmann/json.hpp>

#include "schemas/base/clock.h"

namespace kairo::web {
namespace {
using Json = nlohmann::json;
constexpr std::int64_t after_its_end_ms = 10 * 60'000;

std::string word(const Json& object, const char* pointer) {
  const Json::json_pointer at(pointer);
  return object.contains(at) && object[at].is_string() ? object[at].get<std::string>() : "";
}
std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return "\"" + out + "\"";
}
std::string label(const char* name, const std::string& value) {
  return std::string(",") + name + "=" + quoted(value);
}
// What it waits for: the first condition that is not so, and is not merely on its way.
std::string waits_for(const Json& w) {
  const Json::json_pointer at("/status/conditions");
  if (!w.contains(at)) return {};
  for (const char* type : {"ResourceReady", "JobStarted", "InferenceReady", "WorkspaceSucceeded"})
    for (const Json& c : w[at])
      if (c.value("type", "") == type && c.value("status", "") == "False" &&
          c.value("reason", "") != "workspacePending")
        return c.value("reason", "");
  return {};
}
bool is_long_over(const Json& w, std::int64_t now_ms) {
  const std::string state = word(w, "/status/state");
  if (state != "Succeeded" && state != "Failed") return false;
  const Json::json_pointer at("/status/conditions");
  if (!w.contains(at)) return false;
  for (const Json& c : w[at])
    if (c.value("type", "") == "WorkspaceSucceeded")
      return now_ms - parse_rfc3339(c.value("lastTransitionTime", "")) > after_its_end_ms;
  return false;
}

class Families {
 public:
  void add(const char* name, const std::string& labels, double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.10g", value);
    lines_[name] += std::string(name) + "{" + labels + "} " + text + "\n";
  }
  std::string text() const {
    struct Family {
      const char *name, *type, *help;
    };
    static constexpr Family all[] = {
        {"kairo_workspace_info", "gauge", "1 for each Workspace."},
        {"kairo_workspace_state", "gauge", "1 for the state that it is in."},
        {"kairo_workspace_waiting", "gauge", "1 while it waits, by the reason of its condition."},
        {"kairo_tuning_step", "gauge", "Optimizer steps that are done."},
        {"kairo_tuning_planned_steps", "gauge", "Optimizer steps in all."},
        {"kairo_tuning_loss", "gauge", "Mean loss of the last step."},
        {"kairo_tuning_tokens_total", "counter", "Tokens that were trained on."},
        {"kairo_tuning_tokens_per_second", "gauge", "Of the last steps."},
        {"kairo_tuning_eta_seconds", "gauge", "To the end of training."},
        {"kairo_tuning_last_progress_timestamp_seconds", "gauge", "Unix time of the last step."}};
    std::string out;
    for (const Family& f : all)
      if (const auto lines = lines_.find(f.name); lines != lines_.end())
        out += std::string("# HELP ") + f.name + " " + f.help + "\n# TYPE " + f.name + " " +
               f.type + "\n" + lines->second;
    return out;
  }

 private:
  std::map<std::string, std::string> lines_;
};
}  // namespace

std::string series_of(const std::string& workspaces,
                      const std::map<std::string, std::string>& progress, std::int64_t now_ms) {
  Families out;
  const Json all = Json::parse(workspaces, nullptr, false);
  if (!all.is_array()) return {};
  for (const Json& w : all) {
    const std::string of = "namespace=" + quoted(word(w, "/metadata/namespace")) +
                           label("name", word(w, "/metadata/name"));
    const bool serves = w.contains("inference");
    out.add(
        "kairo_workspace_info",
        of + label("preset", word(w, serves ? "/inference/preset/name" : "/tuning/preset/name")) +
            label("method", serves ? "inference" : word(w, "/tuning/method")),
        1);
    if (const std::string state = word(w, "/status/state"); !state.empty())
      out.add("kairo_workspace_state", of + label("state", state), 1);
    if (const std::string why = waits_for(w); !why.empty())
      out.add("kairo_workspace_waiting", of + label("reason", why), 1);
    const auto found = progress.find(word(w, "/metadata/uid"));
    if (found == progress.end() || is_long_over(w, now_ms)) continue;
    const Json p = Json::parse(found->second, nullptr, false);
    const auto number = [&](const char* key) {
      return p.is_object() && p.contains(key) && p[key].is_number() ? p[key].get<double>() : 0;
    };
    if (number("total_steps") <= 0) continue;
    out.add("kairo_tuning_step", of, number("step"));
    out.add("kairo_tuning_planned_steps", of, number("total_steps"));
    if (number("step") > 0) out.add("kairo_tuning_loss", of, number("loss"));
    out.add("kairo_tuning_tokens_total", of, number("tokens"));
    out.add("kairo_tuning_tokens_per_second", of, number("tokens_per_second"));
    if (number("eta_ms") >= 0) out.add("kairo_tuning_eta_seconds", of, number("eta_ms") / 1000);
    out.add("kairo_tuning_last_progress_timestamp_seconds", of, number("at_ms") / 1000);
  }
  return out.text();
}
}  // namespace kairo::web
