// agents/watcher/sources.cpp - list + watch -> translate -> publish.
#include "agents/watcher/sources.h"

#include <nlohmann/json.hpp>
#include <set>

#include "agents/runtime/record.h"
#include "agents/watcher/translate.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::watcher {
namespace {
constexpr std::int64_t resync_ms = 30 * 60 * 1000;

using Json = nlohmann::json;

std::string field(const std::string& object, const char* name) {
  const Json json = Json::parse(object, nullptr, false);
  if (!json.is_object() || !json.contains("metadata")) return {};
  return json["metadata"].value(name, "");
}
std::string key_of(const std::string& object) {
  return field(object, "namespace") + "/" + field(object, "name");
}
// What must be remembered of an object to say later that it is gone.
std::string remembered(const std::string& object) {
  const Json json = Json::parse(object, nullptr, false);
  if (!json.is_object() || !json.contains("metadata")) return {};
  Json meta;
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "labels", "annotations"})
    if (json["metadata"].contains(key)) meta[key] = json["metadata"][key];
  return Json{{"metadata", meta}}.dump();
}
}  // namespace

Status Source::publish(const std::string& object, bool exists) {
  const auto fact = translate(kind_, object, exists);
  if (!fact.ok()) {
    if (fact.error().code == Code::not_found) return ok();
    log::warn("an object that cannot be read", {{"error", fact.error().what}});
    return ok();  // one bad object must not hold up the others
  }
  const wire::FactT& f = fact.value();
  TRY(bus_.publish(
      {runtime::subject_of(f), runtime::message_id_of(f), encode(f, wire::FactIdentifier())}));
  if (exists)
    known_[key_of(object)] = remembered(object);
  else
    known_.erase(key_of(object));
  return ok();
}

void Source::seed(const wire::RecordT& record) {
  const bool job = kind_.kind == "Job" && record.job && record.job->exists;
  const bool server = kind_.kind == "StatefulSet" && record.server && record.server->exists;
  const bool workspace = kind_.kind == "Workspace" && record.workspace && record.workspace->exists;
  if (!job && !server && !workspace) return;
  Json meta = {{"name", record.name},
               {"namespace", record.ns},
               {"labels", {{"kaito.sh/workspace", record.name}}},
               {"annotations", {{"kairo.dev/workspace-uid", record.uid}}}};
  meta["uid"] = job ? record.job->uid : workspace ? record.uid : "of " + record.uid;
  known_[record.ns + "/" + record.name] = Json{{"metadata", meta}}.dump();
}

Status Source::list(std::int64_t now_ms) {
  const auto listing = TRY(cluster_.list({kind_, "", ""}));
  std::set<std::string> there;  // namespace/name uid
  for (const std::string& object : listing.items)
    there.insert(key_of(object) + " " + field(object, "uid"));
  const auto before = known_;
  for (const auto& [key, object] : before) {
    if (there.contains(key + " " + field(object, "uid"))) continue;
    Json gone = Json::parse(object);
    gone["metadata"]["resourceVersion"] = listing.resource_version;
    TRY(publish(gone.dump(), false));
  }
  for (const std::string& object : listing.items) TRY(publish(object, true));
  version_ = listing.resource_version;
  listed_ms_ = now_ms;
  return ok();
}

Status Source::step(std::int64_t wait_ms, std::int64_t now_ms) {
  const auto position = TRY(bus_.position());
  const bool lost = position.stream != position_.stream || position.last < position_.last;
  position_ = position;
  if (lost || version_.empty() || now_ms - listed_ms_ > resync_ms) return list(now_ms);
  const auto events = cluster_.watch({kind_, "", ""}, version_, wait_ms);
  if (!events.ok()) {
    if (events.error().code == Code::not_found) version_.clear();
    return events.error().code == Code::not_found ? ok() : Status(events.error());
  }
  for (const cluster::Event& event : events.value()) {
    if (event.type != cluster::Event::Type::bookmark)
      TRY(publish(event.object, event.type != cluster::Event::Type::deleted));
    const std::string version = field(event.object, "resourceVersion");
    if (!version.empty()) version_ = version;
  }
  return ok();
}
}  // namespace kairo::watcher
