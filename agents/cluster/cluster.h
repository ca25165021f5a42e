// agents/cluster/cluster.h - the few things we ask of Kubernetes. Every call is idempotent.
//
// An object is its Kubernetes JSON (UTF-8 text); who needs a field parses it. A reference names the
// resource as the REST path does, so that no implementation needs a discovery call.
// Errors: invalid (the server refused the object; `what` is its message), not_found (no such
// object), conflict (it exists already, or a resourceVersion or UID precondition does not hold:
// read and decide again), expired (a watch cannot go on from that version: list again), unavailable
// (try again; also while the kind itself is not served, e.g. before its CRD is there).
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
struct Patch {  // JSON merge patch (RFC 7386): null takes a field away, a list is replaced whole
  Ref ref;
  std::string json;         // metadata.resourceVersion in it is a precondition (conflict)
  std::string subresource;  // "" or "status"
};
struct Selection {
  Kind kind;
  std::string ns;       // "" = all namespaces
  std::string label;    // "key=value", "key" (has it) or ""
  std::string field{};  // "involvedObject.name=x", of lists: the server may give more all the same
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
  // Both: the object as it is afterwards. apply() creates what is absent, patch() does not
  // (not_found). A UID in the body guards nothing: the status sub-resource ignores it.
  virtual Result<std::string> apply(const Apply& apply) = 0;
  // Like apply() where nothing has that name; else conflict, and nothing is touched. It owns its
  // fields as an update does: a later apply() that leaves one out does not take it away. So it is
  // for what nobody edits in place.
  virtual Result<std::string> create(const Apply& object) = 0;
  virtual Result<std::string> patch(const Patch& patch) = 0;
  virtual Result<std::string> get(const Ref& ref) = 0;  // not_found when absent
  virtual Result<Listing> list(const Selection& selection) = 0;
  // Events after `resource_version` until one arrives or `wait_ms` has passed (then it may be
  // empty). expired: the version is too old, or not yet reached (versions go back when the server's
  // store is put back from a backup). One caller at a time per Selection.
  virtual Result<std::vector<Event>> watch(const Selection& selection,
                                           const std::string& resource_version,
                                           std::int64_t wait_ms) = 0;
  // Asks for deletion (finalizers run first). Absent already: ok. `uid`, when not empty, guards.
  virtual Status remove(const Ref& ref, const std::string& uid) = 0;
  // Whether there is such a kind, as the server says. An error of list() or watch() may ask.
  virtual Result<bool> serves(const Kind& /*kind*/) { return true; }
  // A pod's container log from `offset` bytes on; empty when there is nothing new.
  virtual Result<std::string> log(const Ref& pod, const std::string& container,
                                  std::uint64_t offset) = 0;
};
}  // namespace kairo::cluster
