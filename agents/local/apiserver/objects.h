// agents/local/apiserver/objects.h - Kubernetes' object semantics as one value: no I/O, no clock,
// no threads.
//
// What it does as the API server does: server-side apply with field owners, generation, status as
// a sub-resource, finalizers, garbage collection by owner references, watch from a version. Both
// served versions of Workspace are one stored object. Namespaces exist implicitly.
// Time: Unix milliseconds, an argument of every write. Identity: uids are hashes of `seed` and the
// version at creation, so the same calls give the same objects.
// Durability is the owner's: what writes did waits in take_unsaved(), so that many share one sync.
// get() and list() show it already, events() and version() do not: nobody may be answered before
// saved(). After roll_back() it has not happened.
// Bound: the event log keeps the last events_max changes.
// Errors: Kubernetes' texts; invalid, not_found, conflict as in cluster.h.
// Private to cluster/: others use MemoryCluster or KubeCluster.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>

#include "agents/local/apiserver/fields.h"
#include "agents/local/apiserver/persist.h"

namespace kairo::cluster {
constexpr std::size_t events_max = 8192;

struct WriteOptions {
  std::string manager;
  std::string subresource;  // "" or "status"
  bool force = true;        // server-side apply only
};
enum class Propagation : std::uint8_t { background, foreground, orphan };
struct RemoveOptions {
  std::string uid;  // "" = whatever has the name
  Propagation propagation = Propagation::background;
  bool now = false;  // pods: grace period 0, the kubelet's last word
};
struct Change {  // one entry of the event log
  std::uint64_t version;
  Kind kind;
  std::string ns;
  Event::Type type;
  std::shared_ptr<const std::string> text;  // the object in its stored version
  Json labels_before, labels;               // labels_before: null when it was not there
};

class Objects {
 public:
  Objects(std::string seed, Admit admit);
  const Admit& admit() const { return admit_; }
  // Once, before anything else. corrupt: a row is not what we wrote.
  Status load(const std::vector<std::pair<std::string, std::string>>& rows);

  Result<std::string> apply(const Ref& ref, const std::string& json, const WriteOptions& options,
                            std::int64_t now_ms);
  // Name from metadata.name, or from generateName. conflict: it exists already.
  Result<std::string> create(const Kind& kind, const std::string& ns, const std::string& json,
                             const WriteOptions& options, std::int64_t now_ms);
  // The whole object; metadata.resourceVersion, when given, is a precondition.
  Result<std::string> replace(const Ref& ref, const std::string& json, const WriteOptions& options,
                              std::int64_t now_ms);
  // JSON merge patch (RFC 7386) of the object as it is.
  Result<std::string> patch(const Ref& ref, const std::string& json, const WriteOptions& options,
                            std::int64_t now_ms);
  Status remove(const Ref& ref, const RemoveOptions& options, std::int64_t now_ms);
  // Deletes what has owners of which none exists: created late, after its owner went.
  void collect_garbage(std::int64_t now_ms);

  // Forgets a write that an exception of the JSON library cut short. Nothing of it has happened.
  void abandon();

  bool has_unsaved() const { return !undo_.empty(); }
  // What the writes since the last call did. One at a time: then saved(), or roll_back(), which
  // also takes back the writes since.
  Changes take_unsaved();
  void saved();
  void roll_back();

  Result<std::string> get(const Ref& ref) const;
  Listing list(const Selection& selection) const;
  // Saved events after `version`. expired: it is older than the log, or from the future.
  Result<std::vector<Event>> events(const Selection& selection, std::uint64_t version) const;
  std::uint64_t version() const { return saved_version_; }

 private:
  struct Key {
    std::string group, plural, ns, name;
    auto operator<=>(const Key&) const = default;
  };
  struct Stored {
    Kind kind;  // as stored: Workspaces are v1beta1
    Json object;
    Json managed;  // [{"manager", "subresource", "operation", "fields"}]
    std::shared_ptr<const std::string> text = {};  // the object's, made once a version
  };
  struct Undo {  // what a write replaced
    Key key;
    std::optional<Stored> before;
  };
  static Key key_of(const Ref& ref);
  static std::string row_of(const Key& key);
  static Ref ref_of(const Stored& stored);
  const Stored* find(const Key& key) const;  // staged first
  std::vector<Key> dependents_of(const std::string& uid) const;
  bool owner_exists(const Json& owner) const;

  Status check_intake(const Ref& ref, Json& body, const std::string& subresource) const;
  Status check_version(const Ref& ref, const Json& body, const Stored* live) const;
  Status check_uid(const Ref& ref, const Json& body, const Stored* live) const;
  Result<std::string> write(const Ref& ref, const Stored* live, Stored next,
                            const std::string& subresource, std::int64_t now_ms);
  Result<std::string> update(const Ref& ref, const Stored* live, Json body,
                             const WriteOptions& options, std::int64_t now_ms);
  Status check_object(const Ref& ref, const Stored* live, const Stored& next) const;
  static std::string shown(const std::string& text, const Kind& stored, const Kind& asked);
  void stage(const Key& key, const Stored* before, Stored next);
  void stage_removal(const Key& key);
  void end(const Key& key, Propagation propagation, std::int64_t now_ms);
  void begin_deletion(const Key& key, const RemoveOptions& options, std::int64_t now_ms);
  void finish();  // what is staged is done, and unsaved

  const std::string seed_;
  const Admit admit_;
  std::uint64_t version_ = 0, staged_version_ = 0;
  std::uint64_t taken_version_ = 0, saved_version_ = 0;
  std::uint64_t oldest_ = 0;  // a watch may start here
  std::map<Key, Stored> objects_;
  std::map<Key, std::optional<Stored>> staged_;
  std::deque<Change> log_;
  std::vector<Change> staged_log_;
  std::vector<Undo> undo_, taken_undo_;  // in the order of the writes
};
}  // namespace kairo::cluster
