// agents/local/apiserver/routes.cpp - path splitting, discovery, metav1.Status.
#include "agents/local/apiserver/routes.h"

#include <set>
#include <sstream>

#include "agents/cluster/json.h"
#include "agents/cluster/kinds.h"

namespace kairo::cluster {
namespace {
std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> out;
  std::istringstream in(path);
  for (std::string part; std::getline(in, part, '/');)
    if (!part.empty()) out.push_back(part);
  return out;
}
std::vector<Kind> served_kinds() {
  std::vector<Kind> out = all_kinds;
  Kind old = workspaces;
  old.version = "v1alpha1";
  out.push_back(old);
  return out;
}
std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
Json resource_list(const std::string& group, const std::string& version) {
  Json resources = Json::array();
  for (const Kind& kind : served_kinds()) {
    if (kind.group != group || kind.version != version) continue;
    Json entry = {{"name", kind.plural},
                  {"singularName", lower(kind.kind)},
                  {"namespaced", kind.namespaced},
                  {"kind", kind.kind},
                  {"verbs", {"create", "delete", "get", "list", "patch", "update", "watch"}}};
    for (const auto& [name, plural] : short_names)
      if (kind.plural == plural) entry["shortNames"].push_back(name);
    resources.push_back(std::move(entry));
  }
  if (resources.empty()) return nullptr;
  return {{"kind", "APIResourceList"},
          {"apiVersion", "v1"},
          {"groupVersion", group.empty() ? version : group + "/" + version},
          {"resources", resources}};
}
Json group_list() {
  Json groups = Json::array();
  std::set<std::string> seen;
  for (const Kind& kind : all_kinds) {
    if (kind.group.empty() || !seen.insert(kind.group).second) continue;
    Json versions = Json::array();
    for (const Kind& served : served_kinds())
      if (served.group == kind.group && served.plural == kind.plural)
        versions.push_back({{"groupVersion", api_version(served)}, {"version", served.version}});
    groups.push_back(
        {{"name", kind.group}, {"versions", versions}, {"preferredVersion", versions[0]}});
  }
  return {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", groups}};
}
}  // namespace

std::optional<Route> route_of(const std::string& path) {
  std::vector<std::string> parts = parts_of(path);
  if (parts.size() < 3 || (parts[0] != "api" && parts[0] != "apis")) return std::nullopt;
  const bool is_core = parts[0] == "api";
  Route out;
  out.kind.group = is_core ? "" : parts[1];
  out.kind.version = parts[is_core ? 1 : 2];
  parts.erase(parts.begin(), parts.begin() + (is_core ? 2 : 3));
  if (parts.size() >= 3 && parts[0] == "namespaces") {
    out.ns = parts[1];
    parts.erase(parts.begin(), parts.begin() + 2);
  }
  if (parts.empty() || parts.size() > 3) return std::nullopt;
  bool is_served = false;
  for (const Kind& kind : served_kinds()) {
    if (kind.group != out.kind.group || kind.version != out.kind.version || kind.plural != parts[0])
      continue;
    out.kind = kind;
    is_served = true;
  }
  if (!is_served || (!out.kind.namespaced && !out.ns.empty())) return std::nullopt;
  if (parts.size() > 1) out.name = parts[1];
  if (parts.size() > 2) out.subresource = parts[2];
  if (!out.name.empty() && out.kind.namespaced && out.ns.empty()) return std::nullopt;
  const bool is_log = out.subresource == "log" && out.kind.plural == pods.plural;
  if (!out.subresource.empty() && out.subresource != "status" && !is_log) return std::nullopt;
  return out;
}

std::string discovery(const std::string& path) {
  const std::vector<std::string> parts = parts_of(path);
  Json out;
  if (path == "/version")
    out = {{"major", "1"},
           {"minor", "34"},
           {"gitVersion", "v1.34.0+kairo-local"},
           {"platform", "linux"}};
  else if (path == "/api")
    out = {{"kind", "APIVersions"}, {"versions", {"v1"}}};
  else if (path == "/apis")
    out = group_list();
  else if (parts.size() == 2 && parts[0] == "api")
    out = resource_list("", parts[1]);
  else if (parts.size() == 3 && parts[0] == "apis")
    out = resource_list(parts[1], parts[2]);
  return out.is_null() ? "" : out.dump();
}

std::string status_json(int http_status, const std::string& reason, const std::string& message,
                        const Route* route) {
  Json out = {{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", Json::object()},
              {"status", "Failure"}, {"message", message}, {"reason", reason},
              {"code", http_status}};
  if (route != nullptr)
    out["details"] = {
        {"name", route->name}, {"group", route->kind.group}, {"kind", route->kind.plural}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Answer answer_of(const Error& error) {
  const auto has = [&](const char* words) { return error.what.find(words) != std::string::npos; };
  switch (error.code) {
    case Code::invalid:
      if (has("Request entity too large")) return {413, "RequestEntityTooLarge"};
      if (has(" is invalid: ")) return {422, "Invalid"};
      return {400, "BadRequest"};
    case Code::not_found:
      return {404, "NotFound"};
    case Code::expired:
      return {410, "Expired"};
    case Code::conflict:
      return {409, has("already exists") ? "AlreadyExists" : "Conflict"};
    case Code::unavailable:
    case Code::pending:
      return {503, "ServiceUnavailable"};
    case Code::corrupt:
      return {500, "InternalError"};
  }
  return {500, "InternalError"};
}
}  // namespace kairo::cluster
