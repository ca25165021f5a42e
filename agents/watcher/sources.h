// agents/watcher/sources.h - the cluster's changes as facts on the bus.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "agents/runtime/lease.h"
#include "agents/watcher/workspaces.h"
#include "schemas/fact_generated.h"

namespace kairo::watcher {
// The last fact of each object of a kind, as the bus has them; nothing while they are being read.
using LastFacts = std::function<std::optional<std::vector<wire::FactT>>(wire::FactBody)>;
// A fact for this process alone: the status that a Workspace carries.
using ObserveStatus = std::function<void(wire::FactT)>;

// What the watcher follows. Objects of Workspaces carry a label, so that nobody else's are watched.
// Claims and pools of nodes only where somebody buys them: the kinds may not be there.
std::vector<cluster::Selection> followed(bool follows_claims = false, bool follows_pools = false);

// Follows one selection: lists, says what differs from what the bus says, watches. It lists again
// when the server says that the version is too old, when the bus may have lost something, after a
// list that failed half-way, and every 30 minutes. All is said again, news first, when the bus may
// have lost something, by a new process, and every 12 hours, for the bus forgets. Nothing needs to
// be remembered: objects may vanish while no watcher runs. Versions: a fact's is the
// resourceVersion, with an epoch above it that grows when the server's versions go back (its store
// was put back from a backup). A list shows it: by an object that is older than what was said of
// it, or by being older itself than what was read before. While another process acts (tenure) it
// follows the cluster and says nothing; what it has seen then stands for the first list, unless the
// bus has heard of something newer. Single-threaded; make one per selection. The source of
// Workspaces is heard before the others.
class Source {
 public:
  struct Deps {
    cluster::Cluster& cluster;
    bus::Bus& bus;
    Workspaces& workspaces;
    LastFacts last;
    ObserveStatus observe;
    const runtime::Tenure* tenure = nullptr;  // asked before each word; null: it is alone
    std::function<bool()> acts = nullptr;  // repeating waits until the watcher does; null: it does
  };
  Source(Deps deps, cluster::Selection selection)
      : deps_(std::move(deps)), selection_(std::move(selection)) {}
  // One list, or one watch call of at most wait_ms. unavailable: try again after a pause.
  Status step(std::int64_t wait_ms, std::int64_t now_ms);
  // All that is there has been said once. What is decided before would rest on old facts.
  bool has_listed() const { return has_listed_; }
  // Taking over needs no list: it has one already.
  bool is_warm() const { return has_listed_ || is_warm_; }
  bool has_more() const { return !again_.empty(); }  // to repeat; the stepping thread's
  const cluster::Selection& selection() const { return selection_; }

 private:
  using Facts = std::map<std::string, wire::FactT>;  // by subject
  struct Said {                                      // a fact, small: there are as many as objects
    std::uint64_t version = 0;
    std::string content;  // runtime::content_of
  };
  using AllSaid = std::map<std::string, Said>;
  static Said said_of(const wire::FactT& fact);
  static wire::FactT fact_of(const Said& said);
  bool is_for_workspaces() const;
  bool is_optional() const;  // a cluster may do without the kind
  Result<bool> is_absent(std::int64_t now_ms);
  struct Sighting {  // of one object
    wire::FactT fact;
    Object object;             // of a Workspace without its first revision; else null
    wire::StatusSeenT status;  // of a Workspace
    bool is_told = false;      // the two above have been
  };
  struct Look {
    std::vector<Sighting> all;
    std::string version;
  };
  std::optional<Sighting> sight(const Object& object) const;
  std::vector<wire::FactT> addressed(wire::FactT fact) const;
  bool stands_by() const;
  Status stand_by(std::int64_t wait_ms, std::int64_t now_ms);
  void keep_warm(const Object& object);
  Result<Look> look(const std::vector<wire::FactT>& last);
  void saw_workspace(const wire::FactT& fact, const Object& object, wire::StatusSeenT seen);
  // What is to be said: of an object that is there, unless that is known; of one that is gone.
  void note(wire::FactT fact);
  void note_gone(wire::FactT fact, std::uint64_t version);
  Status say();
  Status say_again();
  Status list(const std::string& incarnation, std::int64_t now_ms);
  using Versions = std::map<std::string, std::uint64_t>;  // by uid
  void find_epoch(const AllSaid& before, const std::vector<wire::FactT>& last,
                  const Versions& known, std::uint64_t listed_version, Facts& now);
  void hear(const cluster::Event& event, const Object& object);
  Result<std::vector<cluster::Event>> watch(std::int64_t wait_ms);

  const Deps deps_;
  const cluster::Selection selection_;
  std::string version_;  // "" = list first
  std::int64_t listed_ms_ = 0, said_all_ms_ = 0, absent_until_ms_ = 0;
  std::string incarnation_;    // of the bus
  std::uint64_t epoch_ = 0;    // shifted, as in a version
  std::uint64_t reached_ = 0;  // the last version that was read, in this epoch
  std::atomic<bool> has_listed_{false}, is_warm_{false};
  std::map<std::string, Sighting> warm_;  // by uid: what is there, while another acts
  AllSaid there_;                         // what was last said to be there
  Facts unsaid_;                          // what is to be said
  // To be said once more, some at a time: what is there (no fact), and what is gone.
  std::map<std::string, std::optional<wire::FactT>> again_;
};
}  // namespace kairo::watcher
