// agents/launcher/plan_template.cpp - inference.template: the user's own pod, in KAITO's
// StatefulSet.
#include "agents/cluster/kinds.h"
#include "agents/launcher/manifest.h"

namespace kairo::launcher {
namespace {
// What the user wrote stays; what KAITO and the Services need is added.
Json own_pod(const wire::CommandT& command, const wire::ApplyInferenceT& apply) {
  Json pod = Json::parse(apply.workspace->inference->template_);
  pod["metadata"].update(pod_metadata(command, *apply.workspace), true);
  const Json tolerations = pod["spec"].value("tolerations", Json::array());
  place(pod["spec"], *apply.workspace, *apply.resources);
  if (is_spread(*apply.resources))  // each node was granted for one
    pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        .push_back({{"topologyKey", "kubernetes.io/hostname"},
                    {"labelSelector", {{"matchLabels", {{"kaito.sh/workspace", command.name}}}}}});
  for (const Json& toleration : tolerations) pod["spec"]["tolerations"].push_back(toleration);
  return pod;
}
}  // namespace

Plan plan_template(const wire::CommandT& command) {
  const wire::ApplyInferenceT& apply = *command.body.AsApplyInference();
  return {{},
          serving_objects(command, *apply.workspace, *apply.resources, own_pod(command, apply))};
}
}  // namespace kairo::launcher
