// agents/launcher/shared_objects.cpp - created where nothing is; what was seen lately is not looked
// at.
#include "agents/launcher/shared_objects.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/launcher/object_text.h"

namespace kairo::launcher {
namespace {
constexpr std::int64_t volume_trust_ms = 60'000;
constexpr std::chrono::milliseconds binder_look(20), binder_time(1'000);
constexpr const char* owner = "/metadata/ownerReferences/0/uid";
}  // namespace

SharedObjects::Key SharedObjects::key_of(const cluster::Apply& object) {
  return {object.ref, text_at(object.json, owner)};
}

std::mutex& SharedObjects::turn(const Key& key) {
  const cluster::Ref& ref = key.first;
  return turns_[std::hash<std::string>{}(ref.kind.kind + "/" + ref.ns + "/" + ref.name) %
                turns_.size()];
}
bool SharedObjects::has_seen(const std::vector<cluster::Apply>& objects) const {
  return std::ranges::all_of(
      objects, [&](const cluster::Apply& object) { return was_ever_there(key_of(object)); });
}
bool SharedObjects::was_ever_there(const Key& key) const {
  const std::lock_guard lock(mutex_);
  return there_.contains(key);
}

// That a template has gone is told to those Workspaces that are known then: a look from before says
// nothing to a later one. Of a volume or a claim that lacks the scheduler tells (want.cpp).
bool SharedObjects::was_there(const Key& key, std::int64_t since_ms) const {
  const std::lock_guard lock(mutex_);
  const auto seen = there_.find(key);
  if (seen == there_.end() || since_ms == 0) return false;
  const std::int64_t now_ms = clock_.now_ms();
  const bool is_told = key.first.kind != cluster::config_maps;
  const std::int64_t oldest_ms = is_told ? now_ms - volume_trust_ms : since_ms;
  return seen->second > oldest_ms && seen->second <= now_ms;  // else the clock was set back
}

Status SharedObjects::make(const std::vector<cluster::Apply>& objects, std::int64_t since_ms) {
  for (const cluster::Apply& object : objects) {
    const Key key = key_of(object);
    const std::lock_guard looks(turn(key));
    if (was_there(key, since_ms)) continue;
    const std::int64_t now_ms = clock_.now_ms();
    TRY(make_if_absent(object));
    const std::lock_guard lock(mutex_);
    there_[key] = now_ms;
  }
  return ok();
}
// What was there once is looked at first, so that nobody counts a conflict.
Status SharedObjects::make_if_absent(const cluster::Apply& object) {
  if (was_ever_there(key_of(object))) {
    const Status looked = look_at_taken(object);
    if (looked.ok() || looked.error().code != Code::not_found) return looked;
  }
  const auto made = cluster_.create(object);
  if (!made.ok())
    return made.error().code == Code::conflict ? look_at_taken(object) : Status(made.error());
  return object.ref.kind == cluster::volumes ? wait_for_binder(object, made.value()) : ok();
}
// Kubernetes' binder first writes that a new volume is Available. A claim that comes meanwhile
// makes it write the volume twice at once: it loses one write to the other then, and looks at the
// claim again after 15 s only. It needs some 20 ms, on a busy machine more; where none is (a bare
// API server), nobody waits long.
Status SharedObjects::wait_for_binder(const cluster::Apply& volume, std::string seen) {
  for (auto waited = binder_look; waited <= binder_time; waited += binder_look) {
    if (text_at(seen, "/status/phase") != "Pending") break;
    std::this_thread::sleep_for(binder_look);
    seen = TRY(cluster_.get(volume.ref));
  }
  return ok();
}
// A template is the user's own by now. A volume and its claim are right when they are of the same
// Node object; a volume whose claim went with its namespace may be claimed again.
Status SharedObjects::look_at_taken(const cluster::Apply& object) {
  const std::string there = TRY(cluster_.get(object.ref));
  if (object.ref.kind == cluster::config_maps) return ok();
  const bool is_leaving = !text_at(there, "/metadata/deletionTimestamp").empty();
  if (is_leaving || text_at(there, owner) != text_at(object.json, owner))
    return Error{Code::unavailable, object.ref.kind.kind + " " + object.ref.name +
                                        " is not of this node, or is being deleted; when it is "
                                        "gone, kairo makes its own"};
  if (text_at(there, "/status/phase") != "Released") return ok();
  const nlohmann::json anew = {{"spec", {{"claimRef", {{"uid", nullptr}}}}}};
  TRY(cluster_.patch({object.ref, anew.dump(), ""}));
  return ok();
}
}  // namespace kairo::launcher
