// agents/local/node/event_recorder.cpp - one Event object per object, reason and message.
#include "agents/local/node/event_recorder.h"

#include <algorithm>
#include <vector>

#include "agents/cluster/kinds.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::cluster {
namespace {
constexpr std::int64_t repeat_ms = 10'000;
constexpr std::size_t kept = 500;
constexpr int prune_every = 50;
}  // namespace

void EventRecorder::record(const Json& object, const std::string& type, const std::string& reason,
                           const std::string& message) {
  const std::string ns = text(object, {"metadata", "namespace"}),
                    uid = text(object, {"metadata", "uid"});
  const std::string name = text(object, {"metadata", "name"}).substr(0, 200) + "." +
                           short_name(uid + "/" + reason + "/" + message, 16);
  const std::int64_t now = clock_.now_ms();
  Said& said = said_[ns + "/" + name];
  if (said.at_ms != 0 && now - said.at_ms < repeat_ms) return;
  if (said.at_ms == 0) said.first = rfc3339(now);
  said.at_ms = now;
  ++said.count;
  const Json event = {{"apiVersion", "v1"},
                      {"kind", "Event"},
                      {"metadata", Json::object()},
                      {"involvedObject",
                       {{"apiVersion", at(object, {"apiVersion"})},
                        {"kind", at(object, {"kind"})},
                        {"namespace", ns},
                        {"name", text(object, {"metadata", "name"})},
                        {"uid", uid}}},
                      {"type", type},
                      {"reason", reason},
                      {"message", message},
                      {"count", said.count},
                      {"firstTimestamp", said.first},
                      {"lastTimestamp", rfc3339(now)},
                      {"source", {{"component", "kairo-local"}}}};
  const auto written = cluster_.apply(
      {{events, ns.empty() ? "default" : ns, name}, event.dump(), "kairo-local-events", ""});
  if (!written.ok())
    log::warn("event not written", {{"reason", reason}, {"error", written.error().what}});
  if (++writes_ % prune_every == 0) prune();
}

void EventRecorder::prune() {
  const auto listing = cluster_.list({events, "", ""});
  if (!listing.ok() || listing.value().items.size() <= kept) return;
  std::vector<std::pair<std::string, Ref>> by_age;
  for (const std::string& item : listing.value().items) {
    const Json event = Json::parse(item);
    by_age.push_back(
        {text(event, {"lastTimestamp"}),
         {events, text(event, {"metadata", "namespace"}), text(event, {"metadata", "name"})}});
  }
  std::sort(by_age.begin(), by_age.end());
  for (std::size_t i = 0; i + kept < by_age.size(); ++i) {
    const Ref& ref = by_age[i].second;
    const Status removed = cluster_.remove(ref, "");
    if (!removed.ok()) log::warn("event not removed", {{"error", removed.error().what}});
    said_.erase(ref.ns + "/" + ref.name);
  }
}
}  // namespace kairo::cluster
