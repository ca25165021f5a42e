// agents/watcher/sources.cpp - list + watch -> translate -> publish.
#include "agents/watcher/sources.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/runtime/agent.h"
#include "agents/runtime/record.h"
#include "agents/watcher/revision.h"
#include "agents/watcher/source_parts.h"
#include "agents/watcher/status_json.h"
#include "agents/watcher/translate.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"

namespace kairo::watcher {
namespace {
constexpr std::int64_t say_all_ms = 12 * 3600 * 1000;
constexpr int again_at_once = 256;
constexpr std::int64_t absent_ms =
    30 * 1000;  // then it is asked again whether there is such a kind

using Json = nlohmann::json;

wire::FactBody body_of(const cluster::Kind& kind) {
  if (kind == cluster::workspaces) return wire::FactBody::Workspace;
  if (kind == cluster::jobs) return wire::FactBody::Job;
  if (kind == cluster::pods) return wire::FactBody::Pod;
  if (kind == cluster::stateful_sets) return wire::FactBody::Server;
  if (kind == cluster::nodes) return wire::FactBody::Node;
  if (kind.group == cluster::node_claims.group) return wire::FactBody::NodeClaim;
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
  if (auto* claim = fact.body.AsNodeClaim()) visit(*claim);
}
bool is_there(wire::FactT& fact) {
  bool out = false;
  with_body(fact, [&](const auto& body) { out = body.exists; });
  return out;
}
}  // namespace

std::vector<cluster::Selection> followed(bool follows_claims, bool follows_pools) {
  const std::string ours = "kaito.sh/workspace";  // KAITO's objects carry it too
  const std::string pools = "karpenter.kaito.sh/workspace-name";
  std::vector<cluster::Selection> out{
      {cluster::workspaces, "", ""}, {cluster::jobs, "", ours},
      {cluster::pods, "", ours},     {cluster::stateful_sets, "", ours},
      {cluster::services, "", ours}, {cluster::config_maps, "", "kairo.dev/template"},
      {cluster::nodes, "", ""}};
  if (follows_claims) out.push_back({cluster::node_claims, "", follows_pools ? pools : ours});
  if (follows_pools) out.push_back({cluster::node_pools, "", pools});
  return out;
}

bool Source::is_for_workspaces() const {
  return selection_.kind == cluster::workspaces;
}

// An object that cannot be read, or is no business of ours, is none: it must not hold up the
// others.
std::optional<Source::Sighting> Source::sight(const Object& object) const {
  auto read = translate(selection_.kind, *object, true);
  if (!read.ok()) {
    if (read.error().code != Code::not_found)
      log::warn("an object that cannot be read", {{"error", read.error().what}});
    return std::nullopt;
  }
  Sighting out;
  out.fact = std::move(read).value();
  with_body(out.fact, [&](auto& body) { body.version |= epoch_; });
  if (!is_for_workspaces()) return out;
  out.object = has_first_revision(*object) ? object : nullptr;
  out.status = status_seen(*object);
  return out;
}

// To whom it is said: a fact for each Workspace that it concerns.
std::vector<wire::FactT> Source::addressed(wire::FactT fact) const {
  std::vector<wire::FactT> out;
  if (is_for_workspaces() || selection_.kind == cluster::nodes) {
    out.push_back(std::move(fact));
  } else if (fact.uid.empty() && !fact.name.empty()) {  // of whoever has the name
    fact.uid = deps_.workspaces.uid_of(fact.ns, fact.name);
    if (!fact.uid.empty()) out.push_back(std::move(fact));
  } else if (fact.uid.empty()) {  // of all in its namespace
    for (const auto& workspace : deps_.workspaces.in(fact.ns)) {
      out.push_back(fact);
      out.back().uid = workspace.uid;
      out.back().name = workspace.name;
    }
  } else if (deps_.workspaces.has({fact.uid, fact.ns, fact.name})) {
    out.push_back(std::move(fact));
  }
  return out;
}

void Source::saw_workspace(const wire::FactT& fact, const Object& object, wire::StatusSeenT seen) {
  const std::uint64_t version = seen.version = fact.body.AsWorkspace()->version;
  deps_.workspaces.add({fact.uid, fact.ns, fact.name});
  deps_.workspaces.saw(fact.uid, version & version_mask, object);
  if (!deps_.workspaces.saw_status(fact.uid, version & version_mask, seen.hash)) return;
  deps_.observe(runtime::fact_about(fact, std::move(seen)));
}

Source::Said Source::said_of(const wire::FactT& fact) {
  return {runtime::version_of(fact), runtime::content_of(fact)};
}
wire::FactT Source::fact_of(const Said& said) {
  wire::FactT fact = decode<wire::FactT>(said.content, wire::FactIdentifier()).value();
  with_body(fact, [&](auto& body) { body.version = said.version; });
  return fact;
}

// A change of what no fact holds (our own status writes above all) is no news for five agents.
void Source::note(wire::FactT fact) {
  const std::string subject = runtime::subject_of(fact);
  const auto said = there_.find(subject);
  const bool is_known = !unsaid_.contains(subject) && said != there_.end() &&
                        said->second.content == runtime::content_of(fact);
  if (is_known)
    said->second.version = runtime::version_of(fact);
  else
    unsaid_[subject] = std::move(fact);
}
void Source::note_gone(wire::FactT fact, std::uint64_t version) {
  with_body(fact, [&](auto& body) {
    body.exists = false;
    body.version = std::max(body.version, version | epoch_);
  });
  const std::string subject = runtime::subject_of(fact);
  unsaid_[subject] = std::move(fact);
}

// The newest of each subject. When it fails, some may have been heard: the same is said again, and
// never something older, which would be the last word then.
Status Source::say() {
  if (unsaid_.empty()) return ok();
  if (deps_.tenure != nullptr && deps_.tenure->term() == 0)
    return Error{Code::unavailable, "another watcher may act by now: nothing is said"};
  std::vector<bus::Message> messages;
  for (const auto& [subject, fact] : unsaid_)
    messages.push_back(
        {subject, runtime::message_id_of(fact), encode(fact, wire::FactIdentifier())});
  TRY(deps_.bus.publish(messages));
  for (auto& [subject, fact] : unsaid_) {
    const bool is_gone = !is_there(fact);
    if (is_gone && is_for_workspaces()) deps_.workspaces.forget(fact.uid);
    if (is_gone)
      there_.erase(subject);
    else
      there_[subject] = said_of(fact);
  }
  unsaid_.clear();
  return ok();
}

// News go before it. What the bus has heard lately it hears as a duplicate.
Status Source::say_again() {
  const bool may_repeat = deps_.acts == nullptr || deps_.acts();
  for (int i = 0; may_repeat && i < again_at_once && !again_.empty(); ++i) {
    auto next = again_.extract(again_.begin());
    const auto there = there_.find(next.key());
    if (there != there_.end())
      unsaid_.emplace(next.key(), fact_of(there->second));
    else if (next.mapped())
      unsaid_.emplace(next.key(), std::move(*next.mapped()));
  }
  return say();
}

// A list is never older than what was read and said before, of what was there and of what was gone,
// nor than what the server had answered to a write before (known).
void Source::find_epoch(const AllSaid& before, const std::vector<wire::FactT>& last,
                        const Versions& known, std::uint64_t listed_version, Facts& now) {
  std::uint64_t newest = deps_.workspaces.epoch();
  bool went_back = newest == epoch_ && listed_version < reached_;
  const auto compare = [&](const std::string& subject, std::uint64_t version) {
    newest = std::max(newest, version & ~version_mask);
    const auto found = now.find(subject);  // what has gone went before the list was made
    const std::uint64_t seen =
        found == now.end() ? listed_version : runtime::version_of(found->second);
    went_back = went_back || ((seen & version_mask) | newest) < version;
  };
  for (const auto& [subject, said] : before) compare(subject, said.version);
  for (const wire::FactT& fact : last)
    if (is_of(fact, selection_.kind)) compare(runtime::subject_of(fact), runtime::version_of(fact));
  const bool is_in_epoch = newest == epoch_;  // as those that are known
  for (const auto& [uid, version] : known)
    went_back = went_back || (is_in_epoch && listed_version < version);
  for (const auto& [subject, fact] : now)
    if (const auto answered = known.find(fact.uid); answered != known.end())
      went_back = went_back ||
                  (is_in_epoch && (runtime::version_of(fact) & version_mask) < answered->second);
  epoch_ = newest + (went_back ? std::uint64_t{1} << epoch_bits : 0);
  reached_ = listed_version;
  deps_.workspaces.raise_epoch(epoch_);
  for (auto& [subject, fact] : now)
    with_body(fact, [&](auto& body) { body.version = (body.version & version_mask) | epoch_; });
}

Status Source::list(const std::string& incarnation, std::int64_t now_ms) {
  if (!is_for_workspaces() && !deps_.workspaces.is_complete()) return ok();  // asked at once again
  auto last = deps_.last(body_of(selection_.kind));
  if (!last) return ok();
  const bool is_new_bus = incarnation != incarnation_;
  std::set<std::string> uids;
  for (const wire::FactT& fact : *last) uids.insert(fact.uid);
  if (is_for_workspaces())
    for (const wire::FactT& fact : *last)  // of those that are gone something may be left
      deps_.workspaces.add({fact.uid, fact.ns, fact.name});
  const Versions known = is_for_workspaces() ? deps_.workspaces.versions() : Versions();
  Look seen = TRY(look(*last));
  const std::uint64_t version = number(seen.version);
  Facts now;
  AllSaid before = there_;
  std::map<std::string, std::pair<Object, wire::StatusSeenT>> shown;  // by Workspaces
  for (Sighting& sighting : seen.all)
    for (wire::FactT& fact : addressed(std::move(sighting.fact))) {
      const std::string subject = runtime::subject_of(fact);
      now[subject] = std::move(fact);
      if (is_for_workspaces() && !sighting.is_told)
        shown[subject] = {std::move(sighting.object), std::move(sighting.status)};
    }
  const std::uint64_t epoch_before = epoch_;
  find_epoch(before, *last, known, version, now);
  std::vector<wire::FactT> gone;
  for (wire::FactT& fact : *last) {
    if (!is_of(fact, selection_.kind)) continue;
    if (is_there(fact))
      before.emplace(runtime::subject_of(fact), said_of(fact));
    else if (is_new_bus)
      gone.push_back(std::move(fact));
  }
  const bool is_due = now_ms < said_all_ms_ || now_ms - said_all_ms_ > say_all_ms;
  const bool say_all = is_new_bus || is_due || (epoch_ != epoch_before && has_listed_);
  if (is_for_workspaces() && epoch_ != epoch_before) deps_.workspaces.forget_versions();
  for (auto& [subject, as] : shown) saw_workspace(now.at(subject), as.first, std::move(as.second));
  there_ = before;
  unsaid_.clear();
  for (const auto& [subject, said] : before)
    if (!now.contains(subject)) note_gone(fact_of(said), version);
  // Of what is gone nothing else reminds: it stays until it has been said.
  if (say_all) std::erase_if(again_, [](const auto& entry) { return !entry.second; });
  for (wire::FactT& fact : gone) {
    const std::string subject = runtime::subject_of(fact);
    if (!now.contains(subject)) again_.emplace(subject, std::move(fact));
  }
  for (auto& [subject, fact] : now) {
    uids.insert(fact.uid);
    if (say_all) again_.emplace(subject, std::nullopt);
    note(std::move(fact));
  }
  TRY(say());
  if (is_for_workspaces()) deps_.workspaces.complete(uids);
  version_ = seen.version;
  incarnation_ = incarnation;
  listed_ms_ = now_ms;
  if (say_all) said_all_ms_ = now_ms;
  has_listed_ = true;
  return ok();
}

void Source::hear(const cluster::Event& event, const Object& object) {
  const bool exists = event.type != cluster::Event::Type::deleted;
  auto sighting = sight(object);
  if (!sighting) return;
  for (wire::FactT& fact : addressed(std::move(sighting->fact))) {
    if (exists && is_for_workspaces())
      saw_workspace(fact, sighting->object, std::move(sighting->status));
    const std::string subject = runtime::subject_of(fact);
    const bool was_said =
        there_.contains(subject) || unsaid_.contains(subject) || fact.body.AsPart() != nullptr;
    if (exists)
      note(std::move(fact));
    else if (was_said)
      note_gone(std::move(fact), number(version_in(*object)));
  }
}

bool Source::is_optional() const {
  return selection_.kind.group == cluster::node_claims.group;
}
// A kind that the server does not have has no objects. What was known of them stands: a definition
// that has been taken away for a moment has taken no machine with it.
Result<bool> Source::is_absent(std::int64_t now_ms) {
  if (TRY(deps_.cluster.serves(selection_.kind))) return false;
  absent_until_ms_ = now_ms + absent_ms;
  has_listed_ = true;
  return true;
}

// What is over by now is listed again.
Result<std::vector<cluster::Event>> Source::watch(std::int64_t wait_ms) {
  auto events = deps_.cluster.watch(selection_, version_, wait_ms);
  if (events.ok()) return events;
  const bool is_over = events.error().code == Code::expired ||
                       (is_optional() && !TRY(deps_.cluster.serves(selection_.kind)));
  if (!is_over) return events.error();
  version_.clear();
  return std::vector<cluster::Event>();
}

Status Source::step(std::int64_t wait_ms, std::int64_t now_ms) {
  if (stands_by()) return stand_by(wait_ms, now_ms);
  if (has_listed_ && now_ms < absent_until_ms_ && absent_until_ms_ - now_ms <= absent_ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::int64_t>(wait_ms, 100)));
    return ok();
  }
  const std::string incarnation = TRY(deps_.bus.incarnation());
  const bool is_due = now_ms < listed_ms_ || now_ms - listed_ms_ > resync_ms;
  const bool has_gone_back = deps_.workspaces.epoch() != epoch_;
  if (version_.empty() || incarnation != incarnation_ || is_due || has_gone_back) {
    const Status listed = list(incarnation, now_ms);
    if (!listed.ok() && is_optional()) return TRY(is_absent(now_ms)) ? ok() : listed;
    TRY(listed);
    if (!has_listed_)  // it could not begin yet
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::int64_t>(wait_ms, 10)));
    return has_listed_ ? say_again() : ok();
  }
  TRY(say_again());  // and what could not be said, before anything newer is heard
  if (!again_.empty()) wait_ms = std::min<std::int64_t>(wait_ms, 20);
  for (const cluster::Event& event : TRY(watch(wait_ms))) {
    const Object object = read(event.object);
    if (event.type != cluster::Event::Type::bookmark) hear(event, object);
    if (const std::string version = version_in(*object); !version.empty()) version_ = version;
  }
  reached_ = std::max(reached_, number(version_));
  return say();
}
}  // namespace kairo::watcher
