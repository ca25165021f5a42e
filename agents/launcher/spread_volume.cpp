// agents/launcher/spread_volume.cpp - a volume for each ordinal, and the template of their claims.
#include "agents/launcher/spread_volume.h"

#include "agents/cluster/kinds.h"
#include "agents/launcher/run_volume.h"

namespace kairo::launcher {
std::vector<cluster::Apply> spread_volumes(const wire::CommandT& command,
                                           const wire::ApplyInferenceT& apply) {
  const wire::ResourcesT& resources = *apply.resources;
  std::vector<cluster::Apply> out;
  for (std::size_t i = 0; i < resources.nodes.size(); ++i) {
    const wire::RunDirT& dir = i == 0 ? *apply.run_dir : *apply.peers.at(i - 1);
    const std::string name =
        bounded("kairo-run." + command.uid + "." + std::to_string(i) + "." + dir.node);
    Json volume = local_volume(name, resources.places[i], resources.hostnames[i], dir,
                               {command.ns, claim_of(command.name, i)});
    volume["metadata"]["labels"][volume_owner_label] = command.uid;
    out.push_back(apply_of(cluster::volumes, volume));
  }
  return out;
}

Json claim_template(const wire::CommandT& command) {
  return {
      {"metadata", {{"name", run_volume_name}, {"labels", {{"kaito.sh/workspace", command.name}}}}},
      {"spec", claim_spec()}};
}

std::string claim_of(const std::string& workspace, std::size_t ordinal) {
  return std::string(run_volume_name) + "-" + workspace + "-" + std::to_string(ordinal);
}
}  // namespace kairo::launcher
