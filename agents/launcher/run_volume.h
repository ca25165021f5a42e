// agents/launcher/run_volume.h - run directories as a volume: pods need no hostPath. Pure.
//
// A PersistentVolume (local) and its claim for each namespace and node, made with the first
// workload there; each pod mounts its own run's parts of it by subPath. Both belong to the Node
// object: they go with the node, and another node of its name gets its own.
#pragma once
#include <string>
#include <vector>

#include "agents/launcher/manifest.h"

namespace kairo::launcher {
// In the order of making.
std::vector<cluster::Apply> run_volume(const std::string& ns, const wire::ResourcesT& resources,
                                       const wire::RunDirT& dir);
std::string claim_name(const std::string& node);
// Lets a container see a part ("weights", "state", ...) of the run directory at `path`.
void mount_run(Volumes& volumes, const wire::RunDirT& dir, const std::string& part,
               const std::string& path, bool read_only = false);

// ---- their parts, of which spread_volume.h makes others
constexpr const char* run_volume_name = "run-volume";  // of the pods
struct Claim {
  std::string ns, name;
};
// A PersistentVolume at the node's folder `dir.volume`, reserved for that claim.
Json local_volume(const std::string& name, const std::string& place, const std::string& host,
                  const wire::RunDirT& dir, const Claim& claim);
Json claim_spec();
Json run_mount(const wire::RunDirT& dir, const std::string& part, const std::string& path,
               bool read_only);
std::string bounded(const std::string& name);  // to the length of an object's name
}  // namespace kairo::launcher
