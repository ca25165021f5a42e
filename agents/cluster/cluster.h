// agents/cluster/cluster.h - the few things we ask of Kubernetes. Every call is idempotent.
//
// An object is its Kubernetes JSON (UTF-8 text); who needs a field parses it. A reference names the
// resource as the REST path does, so that no implementation needs a discovery call.
// Errors: invalid (the server refused the object; `what` is its message), not_found, conflict
// (another field manager, a UID or resourceVersion precondition), unavailable (try again).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cluster {
struct Kind {  // group "" is the core group; plural is the path element
  std::string group, version, plural, kind;
  bool namespaced = true;
  auto operator<=>(const Kind&) const = default;
};
struct Ref {
  Kind kind;
  std::string ns;  // "" for cluster-scoped kinds
  std::string name;
  auto operator<=>(const Ref&) const = default;
};
struct Apply {  // server-side apply, forced: our fields are ours
  Ref ref;
  std::string json;         // the full set of fields that `manager` wants; what it wanted before
                            // and leaves out now is removed
  std::string manager;      // field manager, e.g. "kairo-launcher"
  std::string subresource;  // "" or "status"
};
struct Selection {
  Kind kind;
  std::string ns;     // "" = all namespaces
  std::string label;  // "key=value" or ""
  auto operator<=>(const Selection&) const = default;
};
struct Listing {
  std::vector<std::string> items;  // JSON objects, ordered by namespace and name
  std::string resource_version;    // watch from here
};
struct Event {
  enum class Type : std::uint8_t { added, modified, deleted, bookmark };
  Type type;
  std::string object;  // JSON; a bookmark holds only metadata.resourceVersion
};
class Cluster {  // thread-safe
 public:
  virtual ~Cluster() = default;
  // The object as it is afterwards. uid in metadata, when given, is a precondition (conflict).
  virtual Result<std::string> apply(const Apply& apply) = 0;
  virtual Result<std::string> get(const Ref& ref) = 0;  // not_found when absent
  virtual Result<Listing> list(const Selection& selection) = 0;
  // Events after `resource_version` until one arrives or `wait_ms` has passed (then it may be
  // empty). not_found: the version is too old, list again. One caller at a time per Selection.
  virtual Result<std::vector<Event>> watch(const Selection& selection,
                                           const std::string& resource_version,
                                           std::int64_t wait_ms) = 0;
  // Asks for deletion (finalizers run first). Absent already: ok. `uid`, when not empty, guards.
  virtual Status remove(const Ref& ref, const std::string& uid) = 0;
  // A pod's container log from `offset` bytes on; empty when there is nothing new.
  virtual Result<std::string> log(const Ref& pod, const std::string& container,
                                  std::uint64_t offset) = 0;
};
}  // namespace kairo::cluster
