// agents/launcher/plan_vllm.cpp - the container of a model that kairo's own engine does not run
// yet, and the weights that it cannot have.
#include "agents/launcher/manifest.h"

namespace kairo::launcher {
namespace {
constexpr const char* scratch = "/tmp";
// vLLM's own default would refuse adapters above 16.
constexpr int lora_rank_max = 64;

Json environment() {
  // An image of root, run by a user whom it does not know: a home, and a name for it.
  return Json::array({{{"name", "HOME"}, {"value", scratch}},
                      {{"name", "USER"}, {"value", "kairo"}},
                      {{"name", "LOGNAME"}, {"value", "kairo"}},
                      {{"name", "HF_HUB_OFFLINE"}, {"value", "1"}},  // the weights are on the node
                      {{"name", "VLLM_NO_USAGE_STATS"}, {"value", "1"}}});
}
}  // namespace

Status check_weights(const wire::ApplyInferenceT& apply) {
  if (apply.resources->runtime != "vllm") return ok();
  const auto check = [&](const wire::RunDirT* dir) -> Status {
    if (dir == nullptr || dir->blocks.empty()) return ok();
    return Error{Code::conflict,
                 "vLLM serves this model on node " + dir->node + ", and the weights of preset '" +
                     apply.workspace->inference->preset + "' there are a GGUF's blocks (" +
                     dir->blocks +
                     "), which kairo's own engine alone reads: put the model's own "
                     "files into the models folder, or import with kairo-tune import --as f32; "
                     "then make the workspace anew"};
  };
  TRY(check(apply.run_dir.get()));
  for (const auto& peer : apply.peers) TRY(check(peer.get()));
  return ok();
}

Json vllm_container(const wire::CommandT& command, const Settings& settings,
                    const std::vector<ServedAdapter>& adapters,
                    const std::vector<std::string>& flags, Volumes& volumes) {
  const wire::ApplyInferenceT& apply = *command.body.AsApplyInference();
  volumes.add("dshm", {{"emptyDir", {{"medium", "Memory"}}}}, "/dev/shm");
  volumes.add("scratch", {{"emptyDir", Json::object()}}, scratch);
  const std::uint32_t gpus = apply.resources->gpus;
  Json words = Json::array({"vllm", "serve", "/workspace/weights", "--served-model-name",
                            apply.workspace->inference->preset, "--host", settings.listen, "--port",
                            std::to_string(serving_port), "--gpu-memory-utilization", "0.84",
                            "--tensor-parallel-size", std::to_string(gpus)});
  if (is_spread(*apply.resources)) {
    words.push_back("--pipeline-parallel-size");
    words.push_back(std::to_string(apply.resources->nodes.size()));
  }
  if (!adapters.empty())
    for (const char* word : {"--enable-lora", "--max-lora-rank"}) words.push_back(word);
  if (!adapters.empty()) {
    words.push_back(std::to_string(lora_rank_max));
    words.push_back("--lora-modules");
    for (const ServedAdapter& adapter : adapters)
      words.push_back(adapter.name + "=" + adapter.path);
  }
  for (const std::string& flag : flags) words.push_back(flag);
  const std::string share = std::to_string(gpus);
  return {{"name", command.name},
          {"image", settings.vllm_image},
          {"command", words},
          {"env", environment()},
          {"resources",
           {{"requests", {{"nvidia.com/gpu", share}}}, {"limits", {{"nvidia.com/gpu", share}}}}}};
}
}  // namespace kairo::launcher
