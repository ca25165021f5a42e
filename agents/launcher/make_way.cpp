// agents/launcher/make_way.cpp - a server on several nodes is not changed in place: what it was
// goes first.
//
// Its claims name the volumes of its nodes, and all of its processes begin together. So another
// wish (revision or nodes) waits until the StatefulSet, its claims and its volumes have gone.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/launcher/effects.h"
#include "agents/launcher/spread_volume.h"
#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
using Read = nlohmann::json;

Read at(const Read& object, const char* pointer) {
  const Read::json_pointer where(pointer);
  return object.contains(where) ? object[where] : Read();
}
Error not_yet(const cluster::Ref& ref) {
  return {Code::pending, ref.kind.kind + " " + ref.name + " is still ending"};
}
bool is_as_wished(const Read& set, const wire::ApplyInferenceT& apply) {
  return at(set, "/metadata/annotations/kairo.dev~1revision") == apply.workspace->revision &&
         at(set, "/metadata/annotations/kairo.dev~1place") ==
             runtime::joined(apply.resources->places);
}
bool was_on_several(const Read& set) {
  const Read place = at(set, "/metadata/annotations/kairo.dev~1place");
  return place.is_string() && place.get<std::string>().find(',') != std::string::npos;
}
}  // namespace

Status LauncherEffects::make_way(const wire::CommandT& command) {
  const wire::ApplyInferenceT& apply = *command.body.AsApplyInference();
  const cluster::Ref ref{cluster::stateful_sets, command.ns, command.name};
  const auto there = cluster_.get(ref);
  if (!there.ok() && there.error().code != Code::not_found) return there.error();
  if (there.ok()) {
    const auto set = Read::parse(there.value(), nullptr, false);
    const bool is_ours = at(set, "/metadata/annotations/kairo.dev~1workspace-uid") == command.uid;
    const bool may_stay =
        is_as_wished(set, apply) || (!was_on_several(set) && apply.resources->nodes.size() == 1);
    if (!is_ours || may_stay) return ok();
    if (at(set, "/metadata/deletionTimestamp").is_null())
      TRY(cluster_.remove(ref, at(set, "/metadata/uid").get<std::string>()));
    return not_yet(ref);
  }
  for (std::size_t i = 0; i < apply.workspace->count; ++i) {
    const cluster::Ref claim{cluster::claims, command.ns, claim_of(command.name, i)};
    const auto left = cluster_.get(claim);
    if (left.ok()) return not_yet(claim);
    if (left.error().code != Code::not_found) return left.error();
  }
  return remove_volumes(command, apply.resources->places);
}

// All that were claimed once, or are for another place: a volume is reserved anew by being made.
Status LauncherEffects::remove_volumes(const wire::CommandT& command,
                                       const std::vector<std::string>& places) {
  const auto volumes = TRY(
      cluster_.list({cluster::volumes, "", std::string(volume_owner_label) + "=" + command.uid}));
  bool is_clean = true;
  for (const std::string& text : volumes.items) {
    const auto volume = Read::parse(text, nullptr, false);
    const Read owner = at(volume, "/metadata/ownerReferences/0");
    const std::string place = owner.value("name", "") + "/" + owner.value("uid", "");
    const bool is_fresh = at(volume, "/spec/claimRef/uid").is_null() &&
                          at(volume, "/metadata/deletionTimestamp").is_null() &&
                          std::find(places.begin(), places.end(), place) != places.end();
    if (is_fresh) continue;
    is_clean = false;
    if (at(volume, "/metadata/deletionTimestamp").is_null())
      TRY(cluster_.remove({cluster::volumes, "", at(volume, "/metadata/name").get<std::string>()},
                          at(volume, "/metadata/uid").get<std::string>()));
  }
  return is_clean || places.empty()
             ? ok()
             : Status(Error{Code::pending, "volumes of an earlier server are still ending"});
}
}  // namespace kairo::launcher
