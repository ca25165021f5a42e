// agents/watcher/revision.h - KAITO's revision identity, byte for byte. Pure.
//
// hash = sha256 over resource, inference and tuning in Go's JSON encoding: fields in the order of
// KAITO's Go structs, empty optional ones left out, map keys sorted, < > & escaped, a newline after
// each, `null` for an absent section. Two controllers that share ControllerRevisions must agree.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::watcher {
// Of a Workspace with its defaults filled in. 64 hex digits.
Result<std::string> revision_of(const std::string& workspace_json);
std::string revision_of_object(const nlohmann::json& workspace);

// The annotations that name a revision. hash "": there are none.
struct Noted {
  std::string hash;
  std::int64_t number = 0;
  bool operator==(const Noted&) const = default;
};
Noted noted_on(const nlohmann::json& workspace);
// Its wishes have never changed and it names no revision: it has none before this one. (The API
// server counts changes of all but metadata and status.)
bool has_first_revision(const nlohmann::json& workspace);

struct RevisionPlan {
  std::string name;      // "<workspace>-<first 5 digits>"
  Noted note;            // the number: that of the existing revision with this hash, or that which
                         // the Workspace names for it, else one more than the latest
  std::string object;    // the ControllerRevision to create; "" when it exists already
  std::string leftover;  // uid of a deleted namesake's that has the name: it goes first; "" = none
  std::string expired;   // the oldest, to be deleted when there were more than 10; "" = none
};
// existing: the ControllerRevisions of the Workspace's name; those that another uid controls are a
// namesake's, and count for nothing. conflict: same name, another hash.
Result<RevisionPlan> plan_revision(const nlohmann::json& workspace,
                                   const std::vector<std::string>& existing);
}  // namespace kairo::watcher
