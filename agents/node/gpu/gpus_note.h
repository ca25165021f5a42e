// agents/node/gpu/gpus_note.h - what the node agent says of its GPUs on the Node object, and when
// to write it. Pure.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agents/node/gpu/health.h"
#include "agents/runtime/decision.h"

namespace kairo::node {
constexpr const char* gpus_annotation = "kairo.dev/gpus";
// troubles: of the board's GPUs, in their order. null where there is no driver and none is missed.
std::unique_ptr<wire::NodeGpusT> gpus_word(const GpuBoard& board,
                                           const std::vector<std::string>& troubles);
// The annotation: {"driver":"580.95.05","gpus":[{"uuid":"GPU-...","name":"NVIDIA H200",
// "capability":"9.0","memoryMiB":143771,"mig":false,"trouble":""}],"trouble":""}.
std::string gpus_text(const wire::NodeGpusT& word);

// What was written last, and which fact did not show it then.
struct GpusNote {
  std::string text;
  std::uint64_t seen = 0;
  std::int64_t at_ms = 0;
  // The object is there and does not show it. Never of a Node that is not there: an apply would
  // make one.
  bool is_due(const wire::NodeGpusT* word, const wire::NodeT& node, std::int64_t now_ms) const {
    const bool is_shown = word == nullptr ? node.seen_gpus == nullptr
                                          : node.seen_gpus != nullptr && *word == *node.seen_gpus;
    if (!node.exists || is_shown) return false;
    const bool is_asked = text == (word == nullptr ? "" : gpus_text(*word)) && node.version <= seen;
    return !is_asked || now_ms < at_ms || now_ms - at_ms > runtime::unseen_ms_max;
  }
};
}  // namespace kairo::node
