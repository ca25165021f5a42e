// agents/watcher/sources_standby.cpp - a source whose process stands by: it follows the cluster, so
// that taking over needs no list.
#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>

#include "agents/runtime/record.h"
#include "agents/watcher/source_parts.h"
#include "agents/watcher/sources.h"

namespace kairo::watcher {
std::string version_in(const nlohmann::json& object) {
  return object.is_object() && object.contains("metadata")
             ? object["metadata"].value("resourceVersion", "")
             : "";
}
std::string uid_in(const nlohmann::json& object) {
  return object.is_object() && object.contains("metadata") ? object["metadata"].value("uid", "")
                                                           : "";
}
Object read(const std::string& text) {
  return std::make_shared<const nlohmann::json>(nlohmann::json::parse(text, nullptr, false));
}
std::uint64_t number(const std::string& version) {
  std::uint64_t out = 0;
  std::from_chars(version.data(), version.data() + version.size(), out);
  return out;
}
bool is_of(const wire::FactT& fact, const cluster::Kind& kind) {
  const auto* part = fact.body.AsPart();
  const auto* claim = fact.body.AsNodeClaim();
  return (part == nullptr || part->kind == kind.kind) &&
         (claim == nullptr || claim->kind == kind.kind);
}

bool Source::stands_by() const {
  return !has_listed_ && deps_.tenure != nullptr && deps_.tenure->term() == 0;
}
void Source::keep_warm(const Object& object) {
  auto sighting = sight(object);
  if (!sighting) return;
  if (is_for_workspaces()) {  // what stays inside is told at once
    saw_workspace(sighting->fact, std::exchange(sighting->object, nullptr),
                  std::exchange(sighting->status, {}));
    sighting->is_told = true;
  }
  warm_[uid_in(*object)] = std::move(*sighting);
}
Status Source::stand_by(std::int64_t wait_ms, std::int64_t now_ms) {
  const bool is_due = now_ms < listed_ms_ || now_ms - listed_ms_ > resync_ms;
  if (version_.empty() || is_due) {
    const auto listing = deps_.cluster.list(selection_);
    if (!listing.ok() && is_optional() && !TRY(deps_.cluster.serves(selection_.kind))) {
      std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
      is_warm_ = true;  // there is nothing of the kind
      return ok();
    }
    TRY(listing);
    warm_.clear();
    for (const std::string& item : listing.value().items) keep_warm(read(item));
    version_ = listing.value().resource_version;
    listed_ms_ = now_ms;
    is_warm_ = true;
    return ok();
  }
  for (const cluster::Event& event : TRY(watch(wait_ms))) {
    const Object object = read(event.object);
    if (event.type == cluster::Event::Type::deleted)
      warm_.erase(uid_in(*object));
    else if (event.type != cluster::Event::Type::bookmark)
      keep_warm(object);
    if (const std::string version = version_in(*object); !version.empty()) version_ = version;
  }
  return ok();
}
// What was seen while another acted, unless that one had read on further; else a list.
Result<Source::Look> Source::look(const std::vector<wire::FactT>& last) {
  Look out;
  const std::uint64_t reached = has_listed_ ? 0 : number(version_);
  const bool is_warm =
      reached != 0 && std::all_of(last.begin(), last.end(), [&](const wire::FactT& fact) {
        const std::uint64_t version = runtime::version_of(fact);
        return !is_of(fact, selection_.kind) ||
               ((version & ~version_mask) == epoch_ && (version & version_mask) <= reached);
      });
  if (is_warm) {
    for (auto& [uid, sighting] : std::exchange(warm_, {})) out.all.push_back(std::move(sighting));
    out.version = std::exchange(version_, "");  // a list that fails half-way is taken again
    return out;
  }
  warm_.clear();
  version_.clear();
  const cluster::Listing listing = TRY(deps_.cluster.list(selection_));
  for (const std::string& item : listing.items)
    if (auto sighting = sight(read(item))) out.all.push_back(std::move(*sighting));
  out.version = listing.resource_version;
  return out;
}
}  // namespace kairo::watcher
