// agents/watcher/sources.cpp - list + watch -> translate -> publish.
#include "agents/watcher/sources.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "agents/cluster/kinds.h"
#include "agents/runtime/record.h"
#include "agents/watcher/translate.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::watcher {
namespace {
constexpr std::int64_t resync_ms = 30 * 60 * 1000;

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
  return wire::FactBody::Node;
}
// Visits the body of a fact about an object of the cluster.
template <class Visit>
void with_body(wire::FactT& fact, Visit visit) {
  if (auto* w = fact.body.AsWorkspace()) visit(*w);
  if (auto* job = fact.body.AsJob()) visit(*job);
  if (auto* pod = fact.body.AsPod()) visit(*pod);
  if (auto* server = fact.body.AsServer()) visit(*server);
  if (auto* node = fact.body.AsNode()) visit(*node);
}
bool is_there(wire::FactT& fact) {
  bool out = false;
  with_body(fact, [&](const auto& body) { out = body.exists; });
  return out;
}
}  // namespace

Status Source::publish(const wire::FactT& fact) {
  return bus_.publish({runtime::subject_of(fact), runtime::message_id_of(fact),
                       encode(fact, wire::FactIdentifier())});
}

// A change of what no fact holds (our own status writes above all) is no news for five agents.
Status Source::say(const std::string& object) {
  auto fact = translate(kind_, object, true);
  if (!fact.ok()) {
    if (fact.error().code == Code::not_found) return ok();
    log::warn("an object that cannot be read", {{"error", fact.error().what}});
    return ok();  // one bad object must not hold up the others
  }
  const std::string subject = runtime::subject_of(fact.value());
  const auto said = there_.find(subject);
  if (said != there_.end() &&
      runtime::content_of(said->second) == runtime::content_of(fact.value()))
    return ok();
  TRY(publish(fact.value()));
  there_[subject] = std::move(fact.value());
  return ok();
}

Status Source::say_gone(wire::FactT fact, std::uint64_t version) {
  with_body(fact, [&](auto& body) {
    body.exists = false;
    body.version = std::max(body.version, version);
  });
  TRY(publish(fact));
  there_.erase(runtime::subject_of(fact));
  return ok();
}

Status Source::list(std::int64_t now_ms) {
  const auto listing = TRY(cluster_.list({kind_, "", ""}));
  std::set<std::string> listed;
  for (const std::string& object : listing.items)
    if (const auto fact = translate(kind_, object, true); fact.ok())
      listed.insert(runtime::subject_of(fact.value()));
  const auto before = there_;
  for (const auto& [subject, fact] : before)
    if (!listed.contains(subject)) TRY(say_gone(fact, number(listing.resource_version)));
  if (is_new_bus_) there_.clear();  // it may not know what it was told
  for (const std::string& object : listing.items) TRY(say(object));
  version_ = listing.resource_version;
  listed_ms_ = now_ms;
  is_compared_ = false;
  has_listed_ = true;
  return ok();
}

// Against what the bus says: of what is not there it may say that it is (it vanished while nobody
// looked), or, when it has lost something, no longer say that it is gone.
Status Source::compare_with_bus() {
  auto facts = last_(body_of(kind_));
  if (!facts) return ok();  // it is being read
  for (wire::FactT& fact : *facts) {
    if (there_.contains(runtime::subject_of(fact))) continue;
    if (is_there(fact))
      TRY(say_gone(std::move(fact), number(version_)));
    else if (is_new_bus_)
      TRY(publish(fact));
  }
  is_compared_ = true;
  is_new_bus_ = false;
  return ok();
}

Status Source::step(std::int64_t wait_ms, std::int64_t now_ms) {
  const std::string incarnation = TRY(bus_.incarnation());
  if (incarnation != incarnation_) is_new_bus_ = true;
  const bool is_due = version_.empty() || now_ms < listed_ms_ || now_ms - listed_ms_ > resync_ms;
  if (incarnation != incarnation_ || is_due) {
    TRY(list(now_ms));
    incarnation_ = incarnation;
    return ok();
  }
  if (!is_compared_) TRY(compare_with_bus());
  const auto events = cluster_.watch({kind_, "", ""}, version_, is_compared_ ? wait_ms : 0);
  if (!events.ok()) {
    if (events.error().code == Code::expired) version_.clear();
    return events.error().code == Code::expired ? ok() : Status(events.error());
  }
  for (const cluster::Event& event : events.value()) {
    const std::string version = version_in(event.object);
    if (event.type == cluster::Event::Type::deleted) {
      const auto fact = translate(kind_, event.object, true);
      const auto said = fact.ok() ? there_.find(runtime::subject_of(fact.value())) : there_.end();
      if (said != there_.end()) TRY(say_gone(fact.value(), number(version)));
    } else if (event.type != cluster::Event::Type::bookmark) {
      TRY(say(event.object));
    }
    if (!version.empty()) version_ = version;
  }
  return ok();
}
}  // namespace kairo::watcher
