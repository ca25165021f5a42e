// agents/cluster/initial_events.cpp
#include "agents/cluster/initial_events.h"

namespace kairo::cluster {
Result<bool> InitialEvents::take(const Event& event) {
  Json object = Json::parse(event.object, nullptr, false);
  if (event.type == Event::Type::bookmark) {
    version_ = text(object, {"metadata", "resourceVersion"});
    return text(object, {"metadata", "annotations", "k8s.io/initial-events-end"}) == "true" &&
           !version_.empty();
  }
  const std::string name = text(object, {"metadata", "name"});
  if (name.empty()) return Error{Code::invalid, "list: an object without a name"};
  const std::pair key(text(object, {"metadata", "namespace"}), name);
  if (event.type == Event::Type::deleted) {
    items_.erase(key);
    return false;
  }
  object["metadata"].erase("managedFields");
  items_[key] = object.dump();
  return false;
}
Listing InitialEvents::listing() && {
  Listing out;
  for (auto& [key, item] : items_) out.items.push_back(std::move(item));
  out.resource_version = version_;
  return out;
}
}  // namespace kairo::cluster
