// agents/gateway/chat_route.cpp - looks through the Workspaces.
#include "agents/gateway/chat_route.h"

#include <algorithm>
#include <set>
#include <utility>

#include "agents/gateway/job_view.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::gateway {
namespace {
constexpr std::size_t by_image_max = 10;  // of a Workspace's spec: KAITO's rule
constexpr std::size_t adapters_max = 32;  // that are loaded into a server while it runs

const Json& member(const Json& object, const char* path) {
  static const Json null;
  const Json::json_pointer at(path);
  return object.contains(at) ? object.at(at) : null;
}
std::string string_at(const Json& object, const char* path) {
  const Json& value = member(object, path);
  return value.is_string() ? value.get<std::string>() : "";
}
bool is_job(const Json& workspace) {
  return string_at(workspace, "/metadata/labels/kairo.dev~1openai") == "job";
}
bool is_leaving(const Json& workspace) {
  return !string_at(workspace, "/metadata/deletionTimestamp").empty();
}
// Ready, and what is ready is what the object says now.
bool is_ready(const Json& workspace) {
  for (const Json& c : member(workspace, "/status/conditions"))
    if (string_at(c, "/type") == "InferenceReady")
      return string_at(c, "/status") == "True" &&
             member(c, "/observedGeneration") == member(workspace, "/metadata/generation");
  return false;
}
std::string address_of(const Json& workspace, bool in_cluster) {
  if (!in_cluster) return string_at(workspace, "/status/address");
  return string_at(workspace, "/metadata/name") + "." +
         string_at(workspace, "/metadata/namespace") + ":80";
}
// The tunings whose adapters the server loads when they have succeeded.
std::vector<std::string> named_in(const Json& workspace) {
  std::vector<std::string> out;
  std::string name;
  for (const char c : string_at(workspace, "/metadata/annotations/kairo.dev~1adapters-from") + ",")
    if (c != ',' && c != ' ')
      name += c;
    else if (!name.empty())
      out.push_back(std::exchange(name, ""));
  return out;
}
bool names(const Json& workspace, const std::string& tuning) {
  const auto all = named_in(workspace);
  return std::find(all.begin(), all.end(), tuning) != all.end();
}
// What its status says of one of them.
const Json& told_of(const Json& workspace, const std::string& tuning) {
  static const Json nothing;
  for (const Json& adapter : member(workspace, "/status/adapters"))
    if (string_at(adapter, "/name") == tuning) return adapter;
  return nothing;
}
bool is_refused(const Json& workspace, const std::string& tuning) {
  return string_at(told_of(workspace, tuning), "/state") == "Refused";
}
// The best of what is there: one that answers before one that will.
template <class Holds>
Route best(const Workspaces& workspaces, bool in_cluster, const Holds& name_in) {
  Route out = Unknown{};
  for (const auto& [name, workspace] : workspaces) {
    if (!workspace.contains("inference") || is_leaving(workspace)) continue;
    const std::string there = name_in(workspace);
    if (there.empty()) continue;
    const std::string address = address_of(workspace, in_cluster);
    const bool comes = names(workspace, there) && !is_refused(workspace, there);
    const Json& told = told_of(workspace, there);
    const bool answers = !comes || !string_at(told, "/digest").empty();
    if (is_ready(workspace) && !address.empty() && answers) return Served{name, address, there};
    std::string why = waits_for(workspace);
    if (why.empty() && comes) why = string_at(told, "/message");
    if (std::holds_alternative<Unknown>(out)) out = Awaited{name, why};
  }
  return out;
}
// Adapters that the gateway's own server of a preset has; those of models that are gone are left
// out.
std::vector<std::string> held_by(const Workspaces& workspaces, const std::string& preset) {
  std::vector<std::string> out;
  const auto found = workspaces.find(server_name(preset));
  if (found == workspaces.end()) return out;
  std::vector<std::string> jobs = named_in(found->second);
  for (const Json& adapter : member(found->second, "/inference/adapters"))
    jobs.push_back(string_at(adapter, "/source/name"));
  for (const std::string& job : jobs) {
    const auto workspace = workspaces.find(job);
    if (workspace != workspaces.end() && has_model(workspace->second)) out.push_back(job);
  }
  return out;
}
Route tuned_route(const Json& job, const Workspaces& workspaces, bool in_cluster) {
  const std::string image = string_at(job, "/tuning/output/image");
  const std::string id = string_at(job, "/metadata/name");
  const Route there = best(workspaces, in_cluster, [&](const Json& workspace) {
    for (const Json& adapter : member(workspace, "/inference/adapters"))
      if (string_at(adapter, "/source/image") == image) return string_at(adapter, "/source/name");
    return names(workspace, id) && !is_refused(workspace, id) ? id : std::string();
  });
  if (!std::holds_alternative<Unknown>(there)) return there;
  const std::string preset = string_at(job, "/tuning/preset/name");
  Wanted wanted{preset, held_by(workspaces, preset)};
  std::erase(wanted.job_ids, id);
  wanted.job_ids.push_back(id);
  const auto server = workspaces.find(server_name(preset));
  wanted.by_image =
      server != workspaces.end() &&
      (is_refused(server->second, id) || !member(server->second, "/inference/adapters").empty());
  // The one that came first goes.
  while (wanted.job_ids.size() > (wanted.by_image ? by_image_max : adapters_max))
    wanted.job_ids.erase(wanted.job_ids.begin());
  return wanted;
}
bool is_name_of(const Json& job, const std::string& model) {
  const std::string name = model_name(job);
  return model == name ||
         (model.starts_with(name + ":ckpt-step-") &&
          model.substr(name.size() + 11) ==
              std::to_string(member(job, "/status/tuning/totalSteps").is_number()
                                 ? member(job, "/status/tuning/totalSteps").get<std::int64_t>()
                                 : -1));
}
}  // namespace

Route route_of(const std::string& model, const Workspaces& workspaces, bool in_cluster) {
  if (model.starts_with("ft:")) {
    for (const auto& [name, workspace] : workspaces)
      if (is_job(workspace) && has_model(workspace) && is_name_of(workspace, model))
        return tuned_route(workspace, workspaces, in_cluster);
    return Unknown{};
  }
  if (const auto* preset = catalogue::find_preset(model)) {
    const Route there = best(workspaces, in_cluster, [&](const Json& workspace) {
      const std::string held = string_at(workspace, "/inference/preset/name");
      return held == preset->name ? held : std::string();
    });
    if (!std::holds_alternative<Unknown>(there)) return there;
    return Wanted{preset->name, {}};
  }
  if (model.empty() || model.starts_with("ftjob-")) return Unknown{};
  return best(workspaces, in_cluster, [&](const Json& workspace) {
    for (const Json& adapter : member(workspace, "/inference/adapters"))
      if (string_at(adapter, "/source/name") == model) return model;
    return names(workspace, model) && !is_refused(workspace, model) ? model : std::string();
  });
}

std::vector<Json> models_of(const Workspaces& workspaces) {
  std::vector<Json> out;
  std::set<std::string> names;
  const auto add = [&](const std::string& name, std::int64_t created, const char* owner) {
    if (!name.empty() && names.insert(name).second) out.push_back(model_json(name, created, owner));
  };
  for (const auto& [name, workspace] : workspaces)
    if (is_job(workspace) && has_model(workspace))
      add(model_name(workspace), created_s(workspace), "org-kairo");
  std::stable_sort(out.begin(), out.end(), [](const Json& a, const Json& b) {
    return a["created"].get<std::int64_t>() > b["created"].get<std::int64_t>();
  });
  for (const auto& [name, workspace] : workspaces) {
    if (!workspace.contains("inference")) continue;
    add(string_at(workspace, "/inference/preset/name"), created_s(workspace), "system");
    for (const Json& adapter : member(workspace, "/inference/adapters"))
      if (const std::string held = string_at(adapter, "/source/name"); !held.starts_with("ftjob-"))
        add(held, created_s(workspace), "org-kairo");
    for (const std::string& held : named_in(workspace))
      if (!held.starts_with("ftjob-") && !string_at(told_of(workspace, held), "/digest").empty())
        add(held, created_s(workspace), "org-kairo");
  }
  for (const auto& preset : catalogue::presets())
    if (preset.is_tunable) add(preset.name, 0, "system");
  return out;
}

// Within a JSON text's strings every quote is escaped, so these bytes are a member and its value.
std::string renamed(std::string text, const std::string& there, const std::string& here) {
  const std::string wanted = Json(here).dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const char* begin : {"\"model\":", "\"model\": "}) {
    const std::string found = begin + Json(there).dump();
    for (std::size_t at = 0; (at = text.find(found, at)) != std::string::npos;) {
      text.replace(at, found.size(), begin + wanted);
      at += std::string(begin).size() + wanted.size();
    }
  }
  return text;
}
}  // namespace kairo::gateway
