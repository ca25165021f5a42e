// agents/local/apiserver/objects_read.cpp - get, list and watch: what is seen of the objects.
#include <algorithm>

#include "agents/local/apiserver/objects.h"
#include "agents/local/apiserver/selector.h"

namespace kairo::cluster {
std::string Objects::shown(const std::string& text, const Kind& stored, const Kind& asked) {
  if (stored.version == asked.version) return text;
  Json object = Json::parse(text);
  object["apiVersion"] = api_version(asked);
  return object.dump();
}

Result<std::string> Objects::get(const Ref& ref) const {
  const auto found = objects_.find(key_of(ref));
  if (found == objects_.end())
    return Error{Code::not_found, resource_name(ref.kind) + " \"" + ref.name + "\" not found"};
  return shown(*found->second.text, found->second.kind, ref.kind);
}

Listing Objects::list(const Selection& selection) const {
  const Selector selector(selection.label);
  Listing out;
  out.resource_version = std::to_string(version_);
  const Kind& kind = selection.kind;
  for (auto it = objects_.lower_bound({kind.group, kind.plural, selection.ns, ""});
       it != objects_.end() && it->first.group == kind.group && it->first.plural == kind.plural;
       ++it) {
    if (!selection.ns.empty() && it->first.ns != selection.ns) break;
    if (selector.matches(at(it->second.object, {"metadata", "labels"})))
      out.items.push_back(shown(*it->second.text, it->second.kind, kind));
  }
  return out;
}

Result<std::vector<Event>> Objects::events(const Selection& selection,
                                           std::uint64_t version) const {
  if (version < oldest_ || version > saved_version_)
    return Error{Code::expired, "too old resource version: " + std::to_string(version) + " (" +
                                    std::to_string(oldest_) + ")"};
  const Selector selector(selection.label);
  std::vector<Event> out;
  auto change = std::upper_bound(log_.begin(), log_.end(), version,
                                 [](std::uint64_t v, const Change& c) { return v < c.version; });
  for (; change != log_.end() && change->version <= saved_version_; ++change) {
    if (change->kind.group != selection.kind.group || change->kind.plural != selection.kind.plural)
      continue;
    if (!selection.ns.empty() && change->ns != selection.ns) continue;
    const bool existed = !change->labels_before.is_null();
    const bool was = existed && selector.matches(change->labels_before);
    const bool is = change->type != Event::Type::deleted && selector.matches(change->labels);
    if (!was && !is) continue;
    const Event::Type type = was && is ? Event::Type::modified
                             : is      ? Event::Type::added
                                       : Event::Type::deleted;
    out.push_back({type, shown(*change->text, change->kind, selection.kind)});
  }
  return out;
}
}  // namespace kairo::cluster
