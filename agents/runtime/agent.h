// agents/runtime/agent.h - what an agent is: a pure decision over what is known, and its effects.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "schemas/base/result.h"
#include "schemas/command_generated.h"
#include "schemas/fact_generated.h"
#include "schemas/record_generated.h"

namespace kairo::runtime {
// A fact about the Workspace that a command, a record or another fact is about.
template <class Whom, class Body>
wire::FactT fact_about(const Whom& whom, Body body) {
  wire::FactT fact;
  fact.uid = whom.uid;
  fact.ns = whom.ns;
  fact.name = whom.name;
  fact.body.Set(std::move(body));
  return fact;
}
using Nodes = std::map<std::string, wire::NodeT>;       // by name; `exists` tells which are there
using GpusHeld = std::map<std::string, std::uint32_t>;  // by node: granted to what is not over

// Another Workspace of the record's namespace, by name; null = there is none.
using Named = std::function<const wire::RecordT*(const std::string& name)>;

// What a decision may look at besides the record. Time is a value here: decisions have no clock.
struct View {
  const Nodes& nodes;
  std::int64_t now_ms;        // Unix time
  std::string incarnation{};  // of the bus: another one may have lost what was said on it
  std::string self{};         // the node that this agent runs on; the node agent's runs are there
  const GpusHeld* held = nullptr;  // by all Workspaces; null = not known
  Named named{};  // of those that the record names (Role::names); the record stays as it is
};
struct Decision {
  std::vector<wire::CommandT> commands;   // performed in this order
  std::vector<wire::MarkT> marks;         // what has been asked for now; kept with the record
  std::int64_t wake_at_ms = 0;            // decide again then; 0 = when the next fact comes
  std::unique_ptr<wire::StatusT> status;  // the status that the commands tell; kept in the record
  bool cancel_effects = false;            // forget the queued effects of this Workspace first
};
// Total and pure. The runtime absorbs its Publish commands and marks into the record and asks again
// until nothing is left to do, so a decision says one next thing and need not think two steps
// ahead.
using Decide = std::function<Decision(const wire::RecordT& record, const View& view)>;
// Whether this news of a node may change what is decided about the record. Total and pure. before:
// null = nothing was known of it.
using Concerns = std::function<bool(const wire::RecordT& record, const std::string& name,
                                    const wire::NodeT* before, const wire::NodeT& after)>;
// Whether it may be so, by the record at rest: false spares the answer above. It is asked for each
// record and node.
using MayConcern = std::function<bool(const wire::Record& record, const std::string& name,
                                      const wire::NodeT* before, const wire::NodeT& after)>;
// The names of the other Workspaces, of its namespace, that decisions about it look at. They are
// made again when there is news of these. Total and pure.
using Names = std::function<std::vector<std::string>(const wire::WorkspaceT& workspace)>;
struct Role {
  Decide decide = nullptr;
  std::set<wire::FactBody> own{};    // kinds that it alone says; said again when the bus lost them
  Concerns concerns = nullptr;       // null: its decisions do not look at nodes
  MayConcern may_concern = nullptr;  // null: `concerns` is asked about all
  // What it hears must outlive the machine as what it asks for does: nobody else can say it again.
  bool keeps_what_it_hears = false;
  Names names = nullptr;  // null: its decisions look at one Workspace alone
};

// Performs every command but Publish. Thread-safe: commands of different Workspaces run at the same
// time. Idempotent: a crash repeats a command. invalid, not_found, conflict and unavailable come
// back to the agent as a Trouble fact; all but invalid are tried again with backoff. pending: not
// yet, and nothing is wrong.
class Effects {
 public:
  virtual ~Effects() = default;
  virtual Status perform(const wire::CommandT& command) = 0;
};
}  // namespace kairo::runtime
