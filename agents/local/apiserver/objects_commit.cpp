// agents/local/apiserver/objects_commit.cpp - staging, and deletion with its consequences.
#include <algorithm>
#include <set>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/objects.h"
#include "schemas/base/assert.h"
#include "schemas/base/clock.h"

namespace kairo::cluster {
namespace {
constexpr const char* foreground_finalizer = "foregroundDeletion";

Json labels_or_none(const Json& object) {  // never null
  const Json& labels = at(object, {"metadata", "labels"});
  return labels.is_null() ? Json::object() : labels;
}
void remove_from(Json& array, const auto& is_it) {
  if (!array.is_array()) return;
  Json kept = Json::array();
  for (Json& element : array)
    if (!is_it(element)) kept.push_back(std::move(element));
  array = std::move(kept);
}
// A pod on a node ends in its own time: the kubelet says when it is gone.
bool is_running_pod(const Kind& kind, const Json& object) {
  const std::string phase = text(object, {"status", "phase"});
  return kind.group.empty() && kind.plural == pods.plural &&
         !text(object, {"spec", "nodeName"}).empty() && phase != "Succeeded" && phase != "Failed";
}
}  // namespace

void Objects::stage(const Key& key, const Stored* before, Stored next) {
  Json labels_before = before ? labels_or_none(before->object) : Json();
  if (before) {
    if (before->object == next.object && before->managed == next.managed) return;
    if (before->object == next.object) {  // owners only: nobody needs to see it
      next.text = before->text;
      staged_[key] = std::move(next);
      return;
    }
  }
  next.object["metadata"]["resourceVersion"] = std::to_string(++staged_version_);
  next.text = std::make_shared<const std::string>(next.object.dump());
  staged_log_.push_back({staged_version_, next.kind, key.ns,
                         before ? Event::Type::modified : Event::Type::added, next.text,
                         std::move(labels_before), labels_or_none(next.object)});
  staged_[key] = std::move(next);
}

void Objects::stage_removal(const Key& key) {
  const Stored* there = find(key);
  KAIRO_ASSERT(there != nullptr, "only what exists is removed");
  Json last = there->object;
  last["metadata"]["resourceVersion"] = std::to_string(++staged_version_);
  Json labels = labels_or_none(last);
  staged_log_.push_back({staged_version_, there->kind, key.ns, Event::Type::deleted,
                         std::make_shared<const std::string>(last.dump()), labels, labels});
  staged_[key] = std::nullopt;
}

std::vector<Objects::Key> Objects::dependents_of(const std::string& uid) const {
  std::vector<Key> out;
  const auto look = [&](const Key& key, const Stored& stored) {
    for (const Json& owner : at(stored.object, {"metadata", "ownerReferences"}))
      if (text(owner, {"uid"}) == uid) out.push_back(key);
  };
  for (const auto& [key, stored] : objects_)
    if (!staged_.contains(key)) look(key, stored);
  for (const auto& [key, stored] : staged_)
    if (stored) look(key, *stored);
  return out;
}
bool Objects::owner_exists(const Json& owner) const {
  const std::string uid = text(owner, {"uid"});
  const auto is_it = [&](const Stored& s) { return text(s.object, {"metadata", "uid"}) == uid; };
  for (const auto& [key, stored] : staged_)
    if (stored && is_it(*stored)) return true;
  for (const auto& [key, stored] : objects_)
    if (!staged_.contains(key) && is_it(stored)) return true;
  return false;
}

// The object goes now; then those that only it owned, and owners that waited for it.
void Objects::end(const Key& key, Propagation propagation, std::int64_t now_ms) {
  const Json object = find(key)->object;
  const std::string uid = text(object, {"metadata", "uid"});
  stage_removal(key);
  for (const Key& dependent : dependents_of(uid)) {
    const Stored* there = find(dependent);
    if (!there) continue;  // went with another
    Stored next = *there;
    remove_from(next.object["metadata"]["ownerReferences"], [&](const Json& owner) {
      return text(owner, {"uid"}) == uid || !owner_exists(owner);
    });
    const bool is_orphan = next.object["metadata"]["ownerReferences"].empty();
    if (is_orphan && propagation != Propagation::orphan) {
      begin_deletion(dependent, {}, now_ms);
      continue;
    }
    if (is_orphan) next.object["metadata"].erase("ownerReferences");
    const Stored before = *there;
    stage(dependent, &before, std::move(next));
  }
  for (const Json& owner : at(object, {"metadata", "ownerReferences"})) {
    const std::string owner_uid = text(owner, {"uid"});
    if (!dependents_of(owner_uid).empty()) continue;
    const auto find_owner = [&](const auto& in) -> std::optional<Key> {
      for (const auto& [k, unused] : in) {
        const Stored* s = find(k);
        if (s && text(s->object, {"metadata", "uid"}) == owner_uid) return k;
      }
      return std::nullopt;
    };
    auto owner_key = find_owner(staged_);
    if (!owner_key) owner_key = find_owner(objects_);
    if (!owner_key) continue;
    const Stored before = *find(*owner_key);
    Stored next = before;
    const auto is_foreground = [](const Json& name) { return name == foreground_finalizer; };
    remove_from(next.object["metadata"]["finalizers"], is_foreground);
    if (next.object["metadata"]["finalizers"].is_null() ||
        before.object["metadata"]["finalizers"] == next.object["metadata"]["finalizers"])
      continue;
    const bool is_last = next.object["metadata"]["finalizers"].empty();
    if (is_last) next.object["metadata"].erase("finalizers");
    stage(*owner_key, &before, std::move(next));
    if (is_last) end(*owner_key, Propagation::background, now_ms);
  }
}

void Objects::begin_deletion(const Key& key, const RemoveOptions& options, std::int64_t now_ms) {
  const Stored before = *find(key);
  Stored next = before;
  Json& meta = next.object["metadata"];
  const std::string uid = text(before.object, {"metadata", "uid"});
  const bool waits_for_dependents =
      options.propagation == Propagation::foreground && !dependents_of(uid).empty();
  if (waits_for_dependents) {
    if (!meta.contains("finalizers")) meta["finalizers"] = Json::array();
    const bool is_there = std::find(meta["finalizers"].begin(), meta["finalizers"].end(),
                                    foreground_finalizer) != meta["finalizers"].end();
    if (!is_there) meta["finalizers"].push_back(foreground_finalizer);
  }
  const bool is_pod_ending = is_running_pod(before.kind, before.object) && !options.now;
  if (at(next.object, {"metadata", "finalizers"}).empty() && !is_pod_ending) {
    end(key, options.propagation, now_ms);
    return;
  }
  if (!meta.contains("deletionTimestamp")) {
    const std::int64_t grace =
        is_pod_ending ? integer(next.object, {"spec", "terminationGracePeriodSeconds"}, 30) : 0;
    meta["deletionTimestamp"] = rfc3339(now_ms + grace * 1000);
    meta["deletionGracePeriodSeconds"] = grace;
    meta["generation"] = integer(next.object, {"metadata", "generation"}) + 1;
  }
  stage(key, &before, std::move(next));
  if (!waits_for_dependents) return;
  for (const Key& dependent : dependents_of(uid))
    if (find(dependent)) begin_deletion(dependent, options, now_ms);
}

Status Objects::remove(const Ref& ref, const RemoveOptions& options, std::int64_t now_ms) {
  const Key key = key_of(ref);
  const Stored* live = find(key);
  if (!live)
    return Error{Code::not_found, resource_name(ref.kind) + " \"" + ref.name + "\" not found"};
  if (const std::string uid = text(live->object, {"metadata", "uid"});
      !options.uid.empty() && options.uid != uid)
    return Error{Code::conflict, "Precondition failed: UID in precondition: " + options.uid +
                                     ", UID in object meta: " + uid};
  begin_deletion(key, options, now_ms);
  finish();
  return ok();
}

void Objects::collect_garbage(std::int64_t now_ms) {
  std::set<std::string> uids;
  for (const auto& [key, stored] : objects_) uids.insert(text(stored.object, {"metadata", "uid"}));
  std::vector<Key> orphans;
  for (const auto& [key, stored] : objects_) {
    const Json& owners = at(stored.object, {"metadata", "ownerReferences"});
    if (!owners.is_array() || owners.empty() ||
        at(stored.object, {"metadata", "deletionTimestamp"}).is_string())
      continue;
    const bool has_owner = std::any_of(owners.begin(), owners.end(), [&](const Json& owner) {
      return uids.contains(text(owner, {"uid"}));
    });
    if (!has_owner) orphans.push_back(key);
  }
  for (const Key& key : orphans)
    if (find(key)) begin_deletion(key, {}, now_ms);
  finish();
}
}  // namespace kairo::cluster
