// agents/watcher/sources.cpp - list + watch -> translate -> publish.
#include "agents/watcher/sources.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/runtime/record.h"
#include "agents/watcher/status_json.h"
#include "agents/watcher/translate.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::watcher {
namespace {
constexpr std::int64_t resync_ms = 30 * 60 * 1000, say_all_ms = 12 * 3600 * 1000;
constexpr int epoch_bits = 48;  // below it: the resourceVersion
constexpr std::uint64_t version_mask = (std::uint64_t{1} << epoch_bits) - 1;

using Json = nlohmann::json;

std::string version_in(const std::string& object) {
  const Json json = Json::parse(object, nullptr, false);
  return json.is_object() && json.contains("metadata")
             ? json["metadata"].value("resourceVersion", "")
             : "";
}
std::uint64_t number(const std::string& version) {
  std::uint64_t out = 0;
  std::from_chars(version.data(), version.data() + version.size(), out);
  return out;
}
wire::FactBody body_of(const cluster::Kind& kind) {
  if (kind == cluster::workspaces) return wire::FactBody::Workspace;
  if (kind == cluster::jobs) return wire::FactBody::Job;
  if (kind == cluster::pods) return wire::FactBody::Pod;
  if (kind == cluster::stateful_sets) return wire::FactBody::Server;
  if (kind == cluster::nodes) return wire::FactBody::Node;
  return wire::FactBody::Part;
}
// Visits the body of a fact about an object of the cluster.
template <class Visit>
void with_body(wire::FactT& fact, Visit visit) {
  if (auto* w = fact.body.AsWorkspace()) visit(*w);
  if (auto* job = fact.body.AsJob()) visit(*job);
  if (auto* pod = fact.body.AsPod()) visit(*pod);
  if (auto* server = fact.body.AsServer()) visit(*server);
  if (auto* node = fact.body.AsNode()) visit(*node);
  if (auto* part = fact.body.AsPart()) visit(*part);
}
bool is_there(wire::FactT& fact) {
  bool out = false;
  with_body(fact, [&](const auto& body) { out = body.exists; });
  return out;
}
bool is_of(const wire::FactT& fact, const cluster::Kind& kind) {  // Parts are of two kinds
  const auto* part = fact.body.AsPart();
  return part == nullptr || part->kind == kind.kind;
}
}  // namespace

std::vector<cluster::Selection> followed() {
  const std::string ours = "kaito.sh/workspace";  // KAITO's objects carry it too
  return {{cluster::workspaces, "", ""}, {cluster::jobs, "", ours},
          {cluster::pods, "", ours},     {cluster::stateful_sets, "", ours},
          {cluster::services, "", ours}, {cluster::config_maps, "", "kairo.dev/template"},
          {cluster::nodes, "", ""}};
}

bool Source::is_for_workspaces() const {
  return selection_.kind == cluster::workspaces;
}

// An object that cannot be read, or is no business of ours, is none: it must not hold up the
// others.
std::vector<wire::FactT> Source::facts_of(const std::string& object, bool exists) {
  auto read = translate(selection_.kind, object, exists);
  if (!read.ok()) {
    if (read.error().code != Code::not_found)
      log::warn("an object that cannot be read", {{"error", read.error().what}});
    return {};
  }
  wire::FactT fact = std::move(read).value();
  with_body(fact, [&](auto& body) { body.version |= epoch_; });
  if (is_for_workspaces() || selection_.kind == cluster::nodes) return {fact};
  std::vector<wire::FactT> out;
  if (fact.uid.empty()) {  // of all in its namespace
    for (const auto& workspace : deps_.workspaces.in(fact.ns)) {
      out.push_back(fact);
      out.back().uid = workspace.uid;
      out.back().name = workspace.name;
    }
  } else if (deps_.workspaces.has({fact.uid, fact.ns, fact.name})) {
    out.push_back(fact);
  }
  return out;
}

void Source::saw_workspace(const wire::FactT& fact, const std::string& object) {
  deps_.workspaces.add({fact.uid, fact.ns, fact.name});
  wire::StatusSeenT seen = status_seen(object);
  seen.version = fact.body.AsWorkspace()->version;
  if (!deps_.workspaces.saw_status(fact.uid, seen.version & version_mask, seen.hash)) return;
  wire::FactT out;
  out.uid = fact.uid;
  out.ns = fact.ns;
  out.name = fact.name;
  out.body.Set(std::move(seen));
  deps_.observe(std::move(out));
}

Status Source::publish(const wire::FactT& fact) {
  return deps_.bus.publish({runtime::subject_of(fact), runtime::message_id_of(fact),
                            encode(fact, wire::FactIdentifier())});
}

// A change of what no fact holds (our own status writes above all) is no news for five agents.
Status Source::say(wire::FactT fact, bool though_known) {
  const std::string subject = runtime::subject_of(fact);
  const auto said = there_.find(subject);
  if (!though_known && said != there_.end() &&
      runtime::content_of(said->second) == runtime::content_of(fact))
    return ok();
  TRY(publish(fact));
  there_[subject] = std::move(fact);
  return ok();
}

Status Source::say_gone(wire::FactT fact, std::uint64_t version) {
  with_body(fact, [&](auto& body) {
    body.exists = false;
    body.version = std::max(body.version, version | epoch_);
  });
  TRY(publish(fact));
  there_.erase(runtime::subject_of(fact));
  if (is_for_workspaces()) deps_.workspaces.forget(fact.uid);
  return ok();
}

Source::Facts Source::listed(const cluster::Listing& listing) {
  Facts out;
  for (const std::string& object : listing.items)
    for (wire::FactT& fact : facts_of(object, true)) {
      const std::string subject = runtime::subject_of(fact);
      out[subject] = std::move(fact);
    }
  return out;
}

// A list is never older than what was said before: an object with a lower version than then shows
// that the versions have gone back.
void Source::find_epoch(const Facts& before, Facts& now) {
  std::uint64_t newest = epoch_;
  bool went_back = false;
  for (const auto& [subject, fact] : before) {
    const std::uint64_t version = runtime::version_of(fact);
    newest = std::max(newest, version & ~version_mask);
    const auto found = now.find(subject);
    went_back =
        went_back || (found != now.end() &&
                      ((runtime::version_of(found->second) & version_mask) | newest) < version);
  }
  epoch_ = newest + (went_back ? std::uint64_t{1} << epoch_bits : 0);
  for (auto& [subject, fact] : now)
    with_body(fact, [&](auto& body) { body.version = (body.version & version_mask) | epoch_; });
}

Status Source::list(const std::string& incarnation, std::int64_t now_ms) {
  auto last = deps_.last(body_of(selection_.kind));
  const bool must_wait = !is_for_workspaces() && !deps_.workspaces.is_complete();
  if (!last || must_wait) return ok();
  const bool is_new_bus = incarnation != incarnation_;
  version_.clear();  // a list that fails half-way is taken again
  std::set<std::string> uids;
  for (const wire::FactT& fact : *last) uids.insert(fact.uid);
  if (is_for_workspaces())
    for (const wire::FactT& fact : *last)  // of those that are gone something may be left
      deps_.workspaces.add({fact.uid, fact.ns, fact.name});
  const cluster::Listing listing = TRY(deps_.cluster.list(selection_));
  Facts now = listed(listing), before = there_;
  std::vector<wire::FactT> gone;
  for (wire::FactT& fact : *last) {
    if (!is_of(fact, selection_.kind)) continue;
    if (is_there(fact))
      before.emplace(runtime::subject_of(fact), std::move(fact));
    else if (is_new_bus)
      gone.push_back(std::move(fact));
  }
  const std::uint64_t epoch_before = epoch_;
  find_epoch(before, now);
  const bool is_due = now_ms < said_all_ms_ || now_ms - said_all_ms_ > say_all_ms;
  const bool say_all = is_new_bus || is_due || (epoch_ != epoch_before && has_listed_);
  if (is_for_workspaces()) {
    if (epoch_ != epoch_before) deps_.workspaces.forget_versions();
    for (const std::string& object : listing.items)
      for (const wire::FactT& fact : facts_of(object, true)) saw_workspace(fact, object);
  }
  there_ = before;
  for (auto& [subject, fact] : before)
    if (!now.contains(subject)) TRY(say_gone(std::move(fact), number(listing.resource_version)));
  for (const wire::FactT& fact : gone)
    if (!now.contains(runtime::subject_of(fact))) TRY(publish(fact));
  for (auto& [subject, fact] : now) {
    uids.insert(fact.uid);
    TRY(say(std::move(fact), say_all));
  }
  if (is_for_workspaces()) deps_.workspaces.complete(uids);
  version_ = listing.resource_version;
  incarnation_ = incarnation;
  listed_ms_ = now_ms;
  if (say_all) said_all_ms_ = now_ms;
  has_listed_ = true;
  return ok();
}

Status Source::hear(const cluster::Event& event) {
  if (event.type == cluster::Event::Type::bookmark) return ok();
  const bool exists = event.type != cluster::Event::Type::deleted;
  for (wire::FactT& fact : facts_of(event.object, true)) {
    if (exists && is_for_workspaces()) saw_workspace(fact, event.object);
    const bool was_said = there_.contains(runtime::subject_of(fact)) || fact.body.AsPart();
    if (exists)
      TRY(say(std::move(fact), false));
    else if (was_said)
      TRY(say_gone(std::move(fact), number(version_in(event.object))));
  }
  return ok();
}

Status Source::step(std::int64_t wait_ms, std::int64_t now_ms) {
  const std::string incarnation = TRY(deps_.bus.incarnation());
  const bool is_due = now_ms < listed_ms_ || now_ms - listed_ms_ > resync_ms;
  if (version_.empty() || incarnation != incarnation_ || is_due) {
    TRY(list(incarnation, now_ms));
    if (version_.empty())  // it could not begin yet
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::int64_t>(wait_ms, 10)));
    return ok();
  }
  const auto events = deps_.cluster.watch(selection_, version_, wait_ms);
  if (!events.ok()) {
    if (events.error().code == Code::expired) version_.clear();
    return events.error().code == Code::expired ? ok() : Status(events.error());
  }
  for (const cluster::Event& event : events.value()) {
    TRY(hear(event));
    if (const std::string version = version_in(event.object); !version.empty()) version_ = version;
  }
  return ok();
}
}  // namespace kairo::watcher
