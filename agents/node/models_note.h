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
  std::vector<std::uint64_t> bytes;  // of the weights of each of the models
  std::uint64_t seen = 0;
  std::int64_t at_ms = 0;
  // The object is there and does not show them: somebody has dropped the note, or made a new Node
  // of this name. Never of a Node that is not there: an apply would make one.
  bool is_due(const std::vector<std::string>& wanted, const std::vector<std::uint64_t>& sizes,
              const std::vector<std::string>& from, const wire::NodeT& node,
              std::int64_t now_ms) const {
    const bool is_shown =
        node.models == wanted && node.sources == from && shows(node, wanted, sizes);
    if (!node.exists || is_shown) return false;
    const bool is_asked =
        models == wanted && bytes == sizes && sources == from && node.version <= seen;
    return !is_asked || now_ms < at_ms || now_ms - at_ms > runtime::unseen_ms_max;
  }

 private:
  static bool shows(const wire::NodeT& node, const std::vector<std::string>& wanted,
                    const std::vector<std::uint64_t>& sizes) {
    if (node.model_bytes.size() != wanted.size()) return false;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (node.model_bytes[i]->key != wanted[i] ||
          node.model_bytes[i]->value != std::to_string(sizes[i]))
        return false;
    return true;
  }
};
}  // namespace kairo::node
