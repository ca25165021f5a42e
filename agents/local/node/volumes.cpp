// agents/local/node/volumes.cpp - folders and files for volumes and claims.
#include "agents/local/node/volumes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "agents/cluster/kinds.h"
#include "schemas/base/base64.h"

namespace kairo::cluster {
namespace {
namespace fs = std::filesystem;
constexpr const char* volume_manager = "kairo-local-volumes";

Status make_dir(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Error{Code::unavailable, "folder " + path + ": " + error.message()};
  return ok();
}
Status write_private(const std::string& path, const std::string& bytes) {
  const std::string fresh = path + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  const bool is_written =
      fd >= 0 && write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  if (fd >= 0) close(fd);
  if (!is_written || rename(fresh.c_str(), path.c_str()) != 0)
    return Error{Code::unavailable, "file " + path + ": " + std::strerror(errno)};
  return ok();
}
bool is_safe(const std::string& path) {
  return !path.empty() && !path.starts_with("/") && path.find("..") == std::string::npos;
}
Result<std::string> decoded(const Json& value, bool is_secret) {
  if (!value.is_string()) return Error{Code::invalid, "a value is not text"};
  return is_secret ? base64_decode(value.get<std::string>()) : value.get<std::string>();
}

// One configMap or secret source into `dir`.
Status fill(Cluster& cluster, const std::string& ns, bool is_secret, const Json& source,
            const std::string& name, const std::string& dir) {
  TRY(make_dir(dir));
  const auto object = cluster.get({is_secret ? secrets : config_maps, ns, name});
  if (!object.ok()) {
    if (object.error().code == Code::not_found && flag(source, {"optional"})) return ok();
    return object.error();
  }
  const Json parsed = Json::parse(object.value());
  const Json& data = at(parsed, {"data"});
  std::map<std::string, std::string> files;  // path -> key
  for (const auto& [key, unused] : data.items()) files[key] = key;
  if (source.contains("items")) files.clear();
  for (const Json& item : at(source, {"items"})) files[text(item, {"path"})] = text(item, {"key"});
  for (const auto& [path, key] : files) {
    const std::string where = (is_secret ? "secret \"" : "configmap \"") + name + "\" key \"" +
                              key + "\" as \"" + path + "\": ";
    if (!is_safe(path)) return Error{Code::invalid, where + "not a path below the volume"};
    if (!data.is_object() || !data.contains(key))
      return Error{Code::not_found, where + "references non-existent config key"};
    const auto bytes = decoded(data[key], is_secret);
    if (!bytes.ok()) return Error{Code::invalid, where + bytes.error().what};
    TRY(make_dir(fs::path(dir + "/" + path).parent_path()));
    TRY(write_private(dir + "/" + path, bytes.value()));
  }
  return ok();
}

Result<std::string> claimed(Cluster& cluster, const std::string& ns, const std::string& name) {
  const Json claim = Json::parse(TRY(cluster.get({claims, ns, name})));
  if (text(claim, {"status", "phase"}) != "Bound")
    return Error{Code::not_found, "persistentvolumeclaim \"" + name + "\" is not bound yet"};
  const Json volume =
      Json::parse(TRY(cluster.get({volumes, "", text(claim, {"spec", "volumeName"})})));
  for (const char* kind : {"hostPath", "local"}) {
    const std::string path = text(volume, {"spec", kind, "path"});
    if (!path.empty()) return path;
  }
  return Error{Code::invalid, "persistentvolume of claim \"" + name +
                                  "\" is neither hostPath nor local; it needs Kubernetes"};
}

Result<std::string> prepare(Cluster& cluster, const std::string& ns, const Json& volume,
                            const std::string& dir) {
  if (volume.contains("hostPath")) {
    const std::string path = text(volume, {"hostPath", "path"});
    const std::string type = text(volume, {"hostPath", "type"});
    if (!path.starts_with("/"))
      return Error{Code::invalid, "hostPath \"" + path + "\" is not absolute"};
    if (type == "DirectoryOrCreate") TRY(make_dir(path));
    if (type == "Directory" && !fs::is_directory(path))
      return Error{Code::not_found, "hostPath type check failed: " + path + " is not a directory"};
    return path;
  }
  if (volume.contains("persistentVolumeClaim"))
    return claimed(cluster, ns, text(volume, {"persistentVolumeClaim", "claimName"}));
  if (volume.contains("configMap")) {
    const Json& source = volume["configMap"];
    TRY(fill(cluster, ns, false, source, text(source, {"name"}), dir));
  } else if (volume.contains("secret")) {
    const Json& source = volume["secret"];
    TRY(fill(cluster, ns, true, source, text(source, {"secretName"}), dir));
  } else if (volume.contains("projected")) {
    TRY(make_dir(dir));
    for (const Json& source : at(volume, {"projected", "sources"}))
      for (const char* kind : {"configMap", "secret"})
        if (source.contains(kind))
          TRY(fill(cluster, ns, std::strcmp(kind, "secret") == 0, source[kind],
                   text(source, {kind, "name"}), dir));
  } else if (volume.contains("emptyDir")) {
    TRY(make_dir(dir));
  } else {
    return Error{Code::invalid, "its kind is not known in local mode; it needs Kubernetes"};
  }
  return dir;
}

Json head_of(const Kind& kind, const Json& object) {
  return {{"apiVersion", api_version(kind)},
          {"kind", kind.kind},
          {"metadata", {{"uid", text(object, {"metadata", "uid"})}}}};
}
Status bind_claim(Cluster& cluster, const Json& claim, const std::string& volumes_dir) {
  const std::string ns = text(claim, {"metadata", "namespace"}),
                    name = text(claim, {"metadata", "name"}),
                    uid = text(claim, {"metadata", "uid"});
  std::string volume = text(claim, {"spec", "volumeName"});
  Json capacity = at(claim, {"spec", "resources", "requests"});
  if (capacity.is_null()) capacity = Json::object();
  if (volume.empty()) {
    volume = "pvc-" + uid;
    const std::string path = volumes_dir + "/" + uid;
    TRY(make_dir(path));
    const Json object = {
        {"apiVersion", "v1"},
        {"kind", "PersistentVolume"},
        {"metadata", {{"annotations", {{"kairo.dev/claim-uid", uid}}}}},
        {"spec",
         {{"capacity", capacity},
          {"accessModes", at(claim, {"spec", "accessModes"})},
          {"persistentVolumeReclaimPolicy", "Delete"},
          {"claimRef",
           {{"kind", "PersistentVolumeClaim"}, {"namespace", ns}, {"name", name}, {"uid", uid}}},
          {"hostPath", {{"path", path}}}}}};
    TRY(cluster.apply({{volumes, "", volume}, object.dump(), volume_manager, ""}));
    Json chosen = head_of(claims, claim);
    chosen["spec"] = {{"volumeName", volume}};
    TRY(cluster.apply({{claims, ns, name}, chosen.dump(), volume_manager, ""}));
  }
  const auto there = cluster.get({volumes, "", volume});
  if (!there.ok()) return there.error().code == Code::not_found ? ok() : Status(there.error());
  Json bound = head_of(volumes, Json::parse(there.value()));
  bound["status"] = {{"phase", "Bound"}};
  TRY(cluster.apply({{volumes, "", volume}, bound.dump(), volume_manager, "status"}));
  bound = head_of(claims, claim);
  bound["status"] = {{"phase", "Bound"},
                     {"accessModes", at(claim, {"spec", "accessModes"})},
                     {"capacity", capacity}};
  TRY(cluster.apply({{claims, ns, name}, bound.dump(), volume_manager, "status"}));
  return ok();
}
}  // namespace

std::optional<std::string> value_of(Cluster& cluster, bool is_secret, const std::string& ns,
                                    const std::string& name, const std::string& key) {
  const auto object = cluster.get({is_secret ? secrets : config_maps, ns, name});
  if (!object.ok()) return std::nullopt;
  const Json parsed = Json::parse(object.value());
  const Json& data = at(parsed, {"data"});
  if (!data.is_object() || !data.contains(key)) return std::nullopt;
  const auto bytes = decoded(data[key], is_secret);
  if (!bytes.ok()) return std::nullopt;
  return bytes.value();
}

Result<std::map<std::string, std::string>> prepare_volumes(Cluster& cluster, const Json& pod,
                                                           const std::string& dir) {
  std::map<std::string, std::string> out;
  for (const Json& volume : at(pod, {"spec", "volumes"})) {
    const std::string name = text(volume, {"name"});
    if (!is_safe(name)) return Error{Code::invalid, "volume \"" + name + "\": not a name"};
    const auto path =
        prepare(cluster, text(pod, {"metadata", "namespace"}), volume, dir + "/" + name);
    if (!path.ok())
      return Error{path.error().code, "volume \"" + name + "\": " + path.error().what};
    out[name] = path.value();
  }
  return out;
}

Result<bool> tend_claims(Cluster& cluster, const std::string& volumes_dir) {
  std::set<std::string> uids;
  bool is_changed = false;
  for (const std::string& item : TRY(cluster.list({claims, "", ""})).items) {
    const Json claim = Json::parse(item);
    uids.insert(text(claim, {"metadata", "uid"}));
    if (text(claim, {"status", "phase"}) == "Bound") continue;
    TRY(bind_claim(cluster, claim, volumes_dir));
    is_changed = true;
  }
  for (const std::string& item : TRY(cluster.list({volumes, "", ""})).items) {
    const Json volume = Json::parse(item);
    const std::string claim = text(volume, {"metadata", "annotations", "kairo.dev/claim-uid"});
    if (claim.empty() || uids.contains(claim)) continue;
    std::error_code error;
    if (claim.find('/') == std::string::npos) fs::remove_all(volumes_dir + "/" + claim, error);
    TRY(cluster.remove({volumes, "", text(volume, {"metadata", "name"})},
                       text(volume, {"metadata", "uid"})));
    is_changed = true;
  }
  return is_changed;
}
}  // namespace kairo::cluster
