// agents/web/objects.cpp - each answer is what `kairo describe`, `events` and `logs` show.
#include "agents/web/objects.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/cli/family.h"
#include "agents/cluster/kinds.h"
#include "agents/web/shown.h"

namespace kairo::web {
namespace {
using Json = nlohmann::json;
constexpr std::size_t piece_max = 256 * 1024;

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
Result<Json> workspace(cluster::Cluster& cluster, const Which& which) {
  const auto found = cluster.get({cluster::workspaces, which.ns, which.name});
  if (!found.ok()) return found.error();
  return Json::parse(found.value(), nullptr, false);
}
std::string word(const Json& object, const char* pointer) {
  const Json::json_pointer at(pointer);
  return object.contains(at) && object[at].is_string() ? object[at].get<std::string>() : "";
}
std::vector<std::string> containers_of(const Json& pod) {
  std::vector<std::string> out;
  for (const char* list : {"/spec/initContainers", "/spec/containers"})
    if (const Json::json_pointer at(list); pod.contains(at))
      for (const Json& c : pod[at]) out.push_back(word(c, "/name"));
  return out;
}
}  // namespace

Result<std::string> object_of(cluster::Cluster& cluster, const Which& which) {
  Json object = TRY(workspace(cluster, which));
  object["metadata"].erase("managedFields");
  return dumped(object);
}
Result<std::string> uid_of(cluster::Cluster& cluster, const Which& which) {
  return word(TRY(workspace(cluster, which)), "/metadata/uid");
}

Result<std::string> events_of(cluster::Cluster& cluster, const Which& which) {
  const std::string uid = TRY(uid_of(cluster, which));
  const auto listing = TRY(cluster.list({cluster::events, which.ns, ""}));
  cli::Family family(cluster, which.ns, uid);
  std::vector<std::string> about;
  for (const std::string& event : listing.items)
    if (family.is_about(event)) about.push_back(event);
  return dumped({{"items", shown_events(about)}});
}

Result<std::string> log_of(cluster::Cluster& cluster, const Which& which, const LogPlace& place) {
  const auto listing =
      TRY(cluster.list({cluster::pods, which.ns, "kaito.sh/workspace=" + which.name}));
  Json newest;
  for (const std::string& item : listing.items) {
    Json pod = Json::parse(item, nullptr, false);
    const auto born = [](const Json& p) { return word(p, "/metadata/creationTimestamp"); };
    if (newest.is_null() || born(pod) >= born(newest)) newest = std::move(pod);
  }
  if (newest.is_null())
    return Error{Code::not_found, "It has no pod (yet, or any more), and so no log."};
  const std::string name = word(newest, "/metadata/name");
  const std::vector<std::string> containers = containers_of(newest);
  std::string container = word(newest, "/spec/containers/0/name");
  if (std::find(containers.begin(), containers.end(), place.container) != containers.end())
    container = place.container;
  const bool goes_on = place.pod == name && place.container == container;
  const std::uint64_t offset = goes_on ? place.offset : 0;
  std::string text = TRY(cluster.log({cluster::pods, which.ns, name}, container, offset));
  std::uint64_t end = offset + text.size();
  if (text.size() > piece_max) {  // what follows is asked for next
    text.resize(piece_max);
    end = offset + piece_max;
  }
  return dumped({{"pod", name},
                 {"container", container},
                 {"containers", containers},
                 {"text", text},
                 {"offset", end}});
}

Result<std::string> server_of(cluster::Cluster& cluster, const Which& which, bool is_local) {
  const Json object = TRY(workspace(cluster, which));
  if (!object.contains("inference"))
    return Error{Code::invalid, which.name + " tunes a model and serves none"};
  if (word(object, "/status/state") != "Ready")
    return Error{Code::unavailable, which.name + " is not ready"};
  if (!is_local) return "http://" + which.name + "." + which.ns + ".svc:80";
  const Json service =
      Json::parse(TRY(cluster.get({cluster::services, which.ns, which.name})), nullptr, false);
  const std::string address = word(service, "/metadata/annotations/kairo.dev~1local-address");
  if (address.empty()) return Error{Code::unavailable, which.name + " has no address yet"};
  return "http://" + address;
}
}  // namespace kairo::web
