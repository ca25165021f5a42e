// agents/launcher/run_volume.cpp - two manifests and a mount.
#include "agents/launcher/run_volume.h"

#include <algorithm>

#include "agents/cluster/kinds.h"
#include "schemas/base/digest.h"

namespace kairo::launcher {
namespace {
constexpr const char* storage_class = "kairo-runs";  // needs no object: the two name each other
constexpr std::size_t name_max = 253;
// The node's disk is the limit; Kubernetes wants a figure.
constexpr const char* size = "1Gi";

std::string bounded(const std::string& name) {
  constexpr std::size_t hash_chars = 16;
  if (name.size() <= name_max) return name;
  return name.substr(0, name_max - hash_chars - 1) + "-" + sha256_hex(name).substr(0, hash_chars);
}
// Of the Node: who deletes that deletes these.
Json metadata(const std::string& name, const wire::ResourcesT& resources) {
  const std::string& place = resources.places.front();
  const std::size_t slash = place.find('/');
  return {{"name", name},
          {"labels", {{"kairo.dev/runs", "true"}}},
          {"ownerReferences", Json::array({{{"apiVersion", "v1"},
                                            {"kind", "Node"},
                                            {"name", place.substr(0, slash)},
                                            {"uid", place.substr(slash + 1)}}})}};
}
}  // namespace

std::string claim_name(const std::string& node) {
  return bounded("kairo-runs-" + node);
}

std::vector<cluster::Apply> run_volume(const std::string& ns, const wire::ResourcesT& resources,
                                       const wire::RunDirT& dir) {
  const std::string claim = claim_name(dir.node),
                    name = bounded("kairo-runs." + ns + "." + dir.node);
  const Json modes = Json::array({"ReadWriteOnce"});  // once: from one node, by any of its pods
  Json volume = {{"apiVersion", "v1"}, {"kind", "PersistentVolume"}};
  volume["metadata"] = metadata(name, resources);
  volume["spec"] = {{"capacity", {{"storage", size}}},
                    {"accessModes", modes},
                    {"persistentVolumeReclaimPolicy", "Retain"},
                    {"storageClassName", storage_class},
                    {"volumeMode", "Filesystem"},
                    {"local", {{"path", dir.volume}}},
                    {"claimRef",
                     {{"apiVersion", "v1"},
                      {"kind", "PersistentVolumeClaim"},
                      {"namespace", ns},
                      {"name", claim}}}};
  volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] =
      Json::array({{{"matchExpressions", Json::array({of_host(resources)})}}});
  Json asks = {{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}};
  asks["metadata"] = metadata(claim, resources);
  asks["metadata"]["namespace"] = ns;
  asks["spec"] = {{"accessModes", modes},
                  {"storageClassName", storage_class},
                  {"volumeMode", "Filesystem"},
                  {"volumeName", name},
                  {"resources", {{"requests", {{"storage", size}}}}}};
  return {apply_of(cluster::volumes, volume), apply_of(cluster::claims, asks)};
}

void mount_run(Volumes& volumes, const wire::RunDirT& dir, const std::string& part,
               const std::string& path, bool read_only) {
  constexpr const char* name = "run-volume";
  const bool is_listed = std::any_of(volumes.list.begin(), volumes.list.end(),
                                     [](const Json& volume) { return volume["name"] == name; });
  if (!is_listed)
    volumes.list.push_back(
        {{"name", name}, {"persistentVolumeClaim", {{"claimName", claim_name(dir.node)}}}});
  Json mount = {{"name", name},
                {"mountPath", path},
                {"subPath", dir.path.substr(dir.volume.size() + 1) + "/" + part}};
  if (read_only) mount["readOnly"] = true;
  volumes.mounts.push_back(std::move(mount));
}
}  // namespace kairo::launcher
