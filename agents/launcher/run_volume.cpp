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

// Once: from one node, by any of its pods.
Json modes() {
  return Json::array({"ReadWriteOnce"});
}
// Of the Node: who deletes that deletes these.
Json metadata(const std::string& name, const std::string& place) {
  const std::size_t slash = place.find('/');
  return {{"name", name},
          {"labels", {{"kairo.dev/runs", "true"}}},
          {"ownerReferences", Json::array({{{"apiVersion", "v1"},
                                            {"kind", "Node"},
                                            {"name", place.substr(0, slash)},
                                            {"uid", place.substr(slash + 1)}}})}};
}
}  // namespace

std::string bounded(const std::string& name) {
  constexpr std::size_t hash_chars = 16;
  if (name.size() <= name_max) return name;
  return name.substr(0, name_max - hash_chars - 1) + "-" + sha256_hex(name).substr(0, hash_chars);
}
std::string claim_name(const std::string& node) {
  return bounded("kairo-runs-" + node);
}

Json local_volume(const std::string& name, const std::string& place, const std::string& host,
                  const wire::RunDirT& dir, const Claim& claim) {
  Json volume = {{"apiVersion", "v1"}, {"kind", "PersistentVolume"}};
  volume["metadata"] = metadata(name, place);
  volume["spec"] = {{"capacity", {{"storage", size}}},
                    {"accessModes", modes()},
                    {"persistentVolumeReclaimPolicy", "Retain"},
                    {"storageClassName", storage_class},
                    {"volumeMode", "Filesystem"},
                    {"local", {{"path", dir.volume}}},
                    {"claimRef",
                     {{"apiVersion", "v1"},
                      {"kind", "PersistentVolumeClaim"},
                      {"namespace", claim.ns},
                      {"name", claim.name}}}};
  volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] =
      Json::array({{{"matchExpressions", Json::array({of_hosts({host})})}}});
  return volume;
}
Json claim_spec() {
  return {{"accessModes", modes()},
          {"storageClassName", storage_class},
          {"volumeMode", "Filesystem"},
          {"resources", {{"requests", {{"storage", size}}}}}};
}

std::vector<cluster::Apply> run_volume(const std::string& ns, const wire::ResourcesT& resources,
                                       const wire::RunDirT& dir) {
  const std::string claim = claim_name(dir.node),
                    name = bounded("kairo-runs." + ns + "." + dir.node);
  const std::string& place = resources.places.front();
  const Json volume = local_volume(name, place, hosts_of(resources).front(), dir, {ns, claim});
  Json asks = {{"apiVersion", "v1"}, {"kind", "PersistentVolumeClaim"}};
  asks["metadata"] = metadata(claim, place);
  asks["metadata"]["namespace"] = ns;
  asks["spec"] = claim_spec();
  asks["spec"]["volumeName"] = name;
  return {apply_of(cluster::volumes, volume), apply_of(cluster::claims, asks)};
}

void mount_run(Volumes& volumes, const wire::RunDirT& dir, const std::string& part,
               const std::string& path, bool read_only) {
  const char* name = run_volume_name;
  const bool is_listed = std::any_of(volumes.list.begin(), volumes.list.end(),
                                     [&](const Json& volume) { return volume["name"] == name; });
  if (!is_listed)
    volumes.list.push_back(
        {{"name", name}, {"persistentVolumeClaim", {{"claimName", claim_name(dir.node)}}}});
  volumes.mounts.push_back(run_mount(dir, part, path, read_only));
}
Json run_mount(const wire::RunDirT& dir, const std::string& part, const std::string& path,
               bool read_only) {
  Json mount = {{"name", run_volume_name},
                {"mountPath", path},
                {"subPath", dir.path.substr(dir.volume.size() + 1) + "/" + part}};
  if (read_only) mount["readOnly"] = true;
  return mount;
}
}  // namespace kairo::launcher
