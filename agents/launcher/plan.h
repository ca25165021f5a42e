// agents/launcher/plan.h - Workspace -> manifests. Pure: the same command gives the same bytes.
//
// The manifests are KAITO's where its users rely on them: names, labels, /mnt/data, /mnt/results,
// /mnt/config, /mnt/adapter/<name>, Service port 80 -> 5000. In local mode the very same manifests
// run as child processes; only the cluster differs.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "schemas/command_generated.h"

namespace kairo::launcher {
// Adapters from images: by_node where the grant says that the node can, else, or never, by an init
// container; always: somebody has switched the feature gate on.
enum class ImageVolumes : std::uint8_t { by_node, never, always };
struct Settings {
  std::string image = "kairo:0.1.0";                          // of the pods' helpers: fetch, pull
  std::string engine_image = "kairo-engine:0.1.0";            // of trainer and server (make images)
  std::string cuda_engine_image = "kairo-engine-cuda:0.1.0";  // the same, of pods with a GPU
  // Serves the families that kairo's engine does not run yet; KAITO's base image 0.5.0 holds this
  // version.
  std::string vllm_image = "docker.io/vllm/vllm-openai:v0.25.1";
  std::string listen = "0.0.0.0";  // of the inference server; local mode: 127.0.0.1
  bool allow_loopback = false;     // data sets from loopback URLs: local mode only
  // The gateway's address (openai-url); "" = there is none. Data sets that lie there, and no
  // others, may be fetched from a private address.
  std::string gateway;
  ImageVolumes image_volumes = ImageVolumes::by_node;
  bool checks_secrets = true;  // false: it may not read them; kubelet and pusher say what lacks
};
inline const std::string& engine_image_for(const wire::ResourcesT& resources,
                                           const Settings& settings) {
  return resources.gpus > 0 ? settings.cuda_engine_image : settings.engine_image;
}
constexpr const char* manager = "kairo-launcher";

// In the order of making.
struct Plan {
  // Of all Workspaces of the namespace: made where absent, else left. The volume of the run
  // directories; the method's template, when the user names no ConfigMap.
  std::vector<cluster::Apply> shared;
  std::vector<cluster::Apply> own;  // this Workspace's: Job; or Services and StatefulSet
};
Plan plan_tuning(const wire::CommandT& command, const Settings& settings);
// words: of inference.config for the server that the grant names (vllm_flags.h).
Plan plan_inference(const wire::CommandT& command, const Settings& settings,
                    const std::vector<std::string>& words = {});
// conflict: vLLM would be given weights that only kairo's own engine reads; says which, and what to
// do.
Status check_weights(const wire::ApplyInferenceT& apply);
// "lora-params-template" or "qlora-params-template", KAITO's names, and their training_config.yaml.
std::string template_name(const std::string& method);
std::string template_text(const std::string& method);
}  // namespace kairo::launcher
