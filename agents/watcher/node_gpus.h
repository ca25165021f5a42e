// agents/watcher/node_gpus.h - the annotation in which a node agent tells of its GPUs.
#pragma once
#include <memory>
#include <string>

#include "schemas/fact_generated.h"

namespace kairo::watcher {
constexpr const char* gpus_annotation = "kairo.dev/gpus";
// null: nothing is said, or it cannot be read. Whoever may write on the Node may write it: at most
// 64 GPUs and 512 bytes of a text are taken.
std::unique_ptr<wire::NodeGpusT> node_gpus(const std::string& annotation);
}  // namespace kairo::watcher
