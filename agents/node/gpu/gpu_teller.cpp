// agents/node/gpu/gpu_teller.cpp - board -> words -> annotation, metrics.
#include "agents/node/gpu/gpu_teller.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/node/gpu/gpu_metrics.h"
#include "schemas/base/log.h"

namespace kairo::node {
GpuTeller::GpuTeller(GpuWatchSettings settings, cluster::Cluster& cluster, std::string self)
    : xids_(settings.xids),
      watch_(std::move(settings)),
      cluster_(cluster),
      self_(std::move(self)) {}

std::vector<std::string> GpuTeller::troubles_of(const GpuBoard& board) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const GpuSight& seen : board.gpus)
    out.push_back(told_.settle(seen.gpu.uuid, trouble_of(seen, xids_, board.now_ms), board.now_ms));
  return out;
}

std::optional<std::uint64_t> GpuTeller::utilization(const std::string& uuid) const {
  const GpuBoard board = watch_.board();
  for (const GpuSight& seen : board.gpus)
    if (seen.gpu.uuid == uuid && seen.reading && board.now_ms - seen.read_at_ms <= reading_ms_max)
      return (*seen.reading)[Measure::utilization];
  return std::nullopt;
}

std::string GpuTeller::metrics() {
  const GpuBoard board = watch_.board();
  return gpu_metrics(board, troubles_of(board), self_);
}

// A field manager of its own: what it does not say any more goes, and the models stay.
void GpuTeller::tell(const wire::NodeT& node, std::int64_t now_ms) {
  const GpuBoard board = watch_.board();
  const auto word = gpus_word(board, troubles_of(board));
  if (!note_.is_due(word.get(), node, now_ms)) return;
  const std::string text = word == nullptr ? "" : gpus_text(*word);
  nlohmann::json patch = {{"apiVersion", "v1"},
                          {"kind", "Node"},
                          {"metadata", {{"name", self_}, {"uid", node.uid}}}};
  if (word != nullptr) patch["metadata"]["annotations"] = {{gpus_annotation, text}};
  const auto applied =
      cluster_.apply({{cluster::nodes, "", self_}, patch.dump(), "kairo-gpus", ""});
  if (!applied.ok()) return;
  if (text != note_.text) log::info("its GPUs, on the Node", {{"said", text}});
  note_ = {text, node.version, now_ms};
}
}  // namespace kairo::node
