// agents/local/node/free_port.h - a loopback port that was free a moment ago. Private to local/.
#pragma once
#include <set>

namespace kairo::cluster {
// Not one of `taken`, to which it is added. 0: the system has none.
int free_port(std::set<int>& taken);
}  // namespace kairo::cluster
