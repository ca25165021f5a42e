// agents/node/give_folders.h - makes a node's folders kairo's: the init container of the node pod.
#pragma once
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::node {
// Each folder is made where it is missing; it and all in it (links are not followed) then belong to
// uid and its group. For root. unavailable: the disk says no. Again: nothing changes.
Status give_folders(const std::vector<std::string>& folders, unsigned uid);
}  // namespace kairo::node
