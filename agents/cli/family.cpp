// agents/cli/family.cpp - follows owner references downwards.
#include "agents/cli/family.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"

namespace kairo::cli {
namespace {
using Json = nlohmann::json;
}

Family::Family(cluster::Cluster& cluster, std::string ns, const std::string& uid)
    : cluster_(cluster), ns_(std::move(ns)), members_{uid} {
  look();
}

bool Family::is_about(const std::string& event) {
  const Json json = Json::parse(event, nullptr, false);
  if (!json.is_object() || !json.contains("involvedObject")) return false;
  const std::string uid = json["involvedObject"].value("uid", "");
  if (members_.contains(uid) || strangers_.contains(uid)) return members_.contains(uid);
  look();
  if (!members_.contains(uid)) strangers_.insert(uid);
  return members_.contains(uid);
}

void Family::look() {
  // Owners before what they own.
  for (const auto& kind :
       {cluster::jobs, cluster::stateful_sets, cluster::services, cluster::pods, cluster::claims}) {
    const auto listing = cluster_.list({kind, ns_, ""});
    if (!listing.ok()) continue;
    for (const std::string& item : listing.value().items) {
      const Json object = Json::parse(item, nullptr, false);
      const Json owners = object["metadata"].value("ownerReferences", Json::array());
      for (const Json& owner : owners)
        if (members_.contains(owner.value("uid", "")))
          members_.insert(object["metadata"].value("uid", ""));
    }
  }
}
}  // namespace kairo::cli
