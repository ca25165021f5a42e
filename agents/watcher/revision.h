// agents/watcher/revision.h - KAITO's revision identity, byte for byte. Pure.
//
// hash = sha256 over resource, inference and tuning in Go's JSON encoding: fields in the order of
// KAITO's Go structs, empty optional ones left out, map keys sorted, < > & escaped, a newline after
// each, `null` for an absent section. Two controllers that share ControllerRevisions must agree.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::watcher {
// workspace_json: a Workspace with its defaults filled in. 64 hex digits.
Result<std::string> revision_of(const std::string& workspace_json);

struct RevisionPlan {
  std::string name;         // "<workspace>-<first 5 digits>"
  std::int64_t number = 1;  // that of the existing revision with this hash, else the latest + 1
  std::string object;       // the ControllerRevision to apply; "" when it exists already
  std::string expired;      // the oldest, to be deleted when there were more than 10; "" = none
};
// existing: the Workspace's ControllerRevisions. conflict: same name, another hash.
Result<RevisionPlan> plan_revision(const std::string& workspace_json,
                                   const std::vector<std::string>& existing);
}  // namespace kairo::watcher
