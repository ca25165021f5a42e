// agents/watcher/sources.cpp - list + watch -> translate -> publish.
#include "agents/watcher/sources.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "agents/runtime/record.h"
#include "agents/watcher/translate.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::watcher {
namespace {
constexpr std::int64_t resync_ms = 30 * 60 * 1000;
constexpr std::int64_t step_max_ms = 60 * 1000;     // more between two steps: a clock was set
constexpr std::int64_t keep_gone_ms = 3600 * 1000;  // as long as agents keep their records

using Json = nlohmann::json;

std::string field(const std::string& object, const char* name) {
  const Json json = Json::parse(object, nullptr, false);
  if (!json.is_object() || !json.contains("metadata")) return {};
  return json["metadata"].value(name, "");
}
std::string key_of(const std::string& object) {
  return field(object, "namespace") + "/" + field(object, "name") + "/" + field(object, "uid");
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
  if (exists) TRY(remember(object));  // first: what is said must be taken back some day
  TRY(bus_.publish(
      {runtime::subject_of(f), runtime::message_id_of(f), encode(f, wire::FactIdentifier())}));
  if (exists) said_[key_of(object)] = std::hash<std::string>()(runtime::content_of(f));
  return ok();
}

// A change of what no fact holds (our own status writes above all) is no news for five agents.
Status Source::publish_news(const std::string& object) {
  const auto fact = translate(kind_, object, true);
  const auto said = said_.find(key_of(object));
  const bool is_news = !fact.ok() || said == said_.end() ||
                       said->second != std::hash<std::string>()(runtime::content_of(fact.value()));
  return is_news ? publish(object, true) : ok();
}

Status Source::load() {
  const std::string prefix = "source/" + kind_.kind + "/";
  for (const auto& [key, row] : TRY(store_.scan(prefix, "", 1'000'000))) {
    const std::size_t space = row.find(' ');
    Known known{row.substr(space + 1), std::strtoll(row.c_str(), nullptr, 10)};
    known_[key.substr(prefix.size())] = std::move(known);
  }
  loaded_ = true;
  return ok();
}
Status Source::save(const std::string& key, const Known& known) {
  state::Batch batch;
  batch.put("source/" + kind_.kind + "/" + key,
            std::to_string(known.gone_at_ms) + " " + known.meta);
  TRY(store_.commit(batch));
  known_[key] = known;
  return ok();
}
// Again when labels or annotations have changed: the word that it is gone says whose it was last.
Status Source::remember(const std::string& object) {
  const std::string key = key_of(object), meta = remembered(object);
  const auto known = known_.find(key);
  const auto named = [](const std::string& text) {
    Json json = Json::parse(text, nullptr, false);
    json["metadata"].erase("resourceVersion");
    return json;
  };
  if (known != known_.end() && named(known->second.meta) == named(meta)) return ok();
  return save(key, {meta, known == known_.end() ? 0 : known->second.gone_at_ms});
}

// Written down first: a crash in between, or a bus that refuses, says it again.
Status Source::gone(const std::string& key, const std::string& version, std::int64_t now_ms) {
  const auto known = known_.find(key);
  if (known == known_.end() || known->second.gone_at_ms != 0) return ok();
  Json meta = Json::parse(known->second.meta);
  meta["metadata"]["resourceVersion"] = version;
  TRY(save(key, {meta.dump(), std::max<std::int64_t>(now_ms, 1)}));
  said_.erase(key);
  const Status said = publish(known_[key].meta, false);
  if (!said.ok()) incarnation_.clear();  // the next step says everything again
  return said;
}

// Objects of one Workspace may share a subject (its Jobs, one after the other). Only the newest is
// said there: the bus drops a repeated message, and an older one would stand in its place.
Status Source::say_gone_again(const std::vector<std::string>& there) {
  std::map<std::string, std::pair<std::uint64_t, const std::string*>> newest;  // by subject
  for (const auto& [key, known] : known_) {
    if (known.gone_at_ms == 0) continue;
    const auto fact = translate(kind_, known.meta, false);
    if (!fact.ok()) continue;
    const std::uint64_t version = runtime::version_of(fact.value());
    auto& last = newest[runtime::subject_of(fact.value())];
    if (version >= last.first) last = {version, &known.meta};
  }
  for (const std::string& object : there)
    if (const auto fact = translate(kind_, object, true); fact.ok())
      newest.erase(runtime::subject_of(fact.value()));
  for (const auto& [subject, last] : newest) TRY(publish(*last.second, false));
  calm_ms_ = 0;
  return ok();
}

// What everybody has surely heard. Counted in time that this process has seen pass since the bus
// last lost something: a wall clock that is set makes nothing old.
Status Source::forget(std::int64_t now_ms) {
  if (calm_ms_ <= keep_gone_ms) return ok();
  const auto is_old = [&](const auto& row) {
    return row.second.gone_at_ms != 0 && now_ms - row.second.gone_at_ms > keep_gone_ms;
  };
  state::Batch old;
  for (const auto& row : known_)
    if (is_old(row)) old.erase("source/" + kind_.kind + "/" + row.first);
  if (old.writes.empty()) return ok();
  TRY(store_.commit(old));
  std::erase_if(known_, is_old);
  return ok();
}

Status Source::list(std::int64_t now_ms, bool lost) {
  const auto listing = TRY(cluster_.list({kind_, "", ""}));
  std::set<std::string> there;
  for (const std::string& object : listing.items) there.insert(key_of(object));
  std::vector<std::string> vanished;
  for (const auto& [key, known] : known_)
    if (known.gone_at_ms == 0 && !there.contains(key)) vanished.push_back(key);
  for (const std::string& key : vanished) TRY(gone(key, listing.resource_version, now_ms));
  TRY(lost ? say_gone_again(listing.items) : forget(now_ms));
  for (const std::string& object : listing.items) TRY(publish(object, true));
  version_ = listing.resource_version;
  listed_ms_ = now_ms;
  return ok();
}

Status Source::step(std::int64_t wait_ms, std::int64_t now_ms) {
  if (!loaded_) TRY(load());
  calm_ms_ += std::clamp<std::int64_t>(now_ms - stepped_ms_, 0, step_max_ms);
  stepped_ms_ = now_ms;
  const std::string incarnation = TRY(bus_.incarnation());
  const bool lost = incarnation != incarnation_;
  if (lost || version_.empty() || now_ms - listed_ms_ > resync_ms) {
    TRY(list(now_ms, lost));
    incarnation_ = incarnation;
    return ok();
  }
  const auto events = cluster_.watch({kind_, "", ""}, version_, wait_ms);
  if (!events.ok()) {
    if (events.error().code == Code::not_found) version_.clear();
    return events.error().code == Code::not_found ? ok() : Status(events.error());
  }
  for (const cluster::Event& event : events.value()) {
    const std::string version = field(event.object, "resourceVersion");
    if (event.type == cluster::Event::Type::deleted)
      TRY(gone(key_of(event.object), version, now_ms));
    else if (event.type != cluster::Event::Type::bookmark)
      TRY(publish_news(event.object));
    if (!version.empty()) version_ = version;
  }
  return ok();
}
}  // namespace kairo::watcher
