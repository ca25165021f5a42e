// agents/cli/resource_words.h - what the words after a verb name, as kubectl reads them. Pure.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "schemas/base/result.h"

namespace kairo::cli {
struct Named {
  cluster::Kind kind;
  std::string name;  // "" = all of the kind
};
// "pods" | "ws,jobs" | "all", with names: each of them; "workspace/pip" has its name with it.
// invalid: a kind that is not known, or a name both ways.
Result<std::vector<Named>> resources_named(const std::string& kinds,
                                           const std::vector<std::string>& names);
}  // namespace kairo::cli
