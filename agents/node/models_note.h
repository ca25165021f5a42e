// agents/node/models_note.h - when to write on the Node object which models lie here, and what
// they may be fetched from. Pure.
#pragma once
#include <string>
#include <vector>

#include "agents/runtime/decision.h"

namespace kairo::node {
// What was written last, and which fact did not show it then.
struct ModelsNote {
  std::vector<std::string> models, sources;
  std::uint64_t seen = 0;
  std::int64_t at_ms = 0;
  // The object is there and does not show them: somebody has dropped the note, or made a new Node
  // of this name. Never of a Node that is not there: an apply would make one.
  bool is_due(const std::vector<std::string>& wanted, const std::vector<std::string>& from,
              const wire::NodeT& node, std::int64_t now_ms) const {
    if (!node.exists || (node.models == wanted && node.sources == from)) return false;
    const bool is_asked = models == wanted && sources == from && node.version <= seen;
    return !is_asked || now_ms < at_ms || now_ms - at_ms > runtime::unseen_ms_max;
  }
};
}  // namespace kairo::node
