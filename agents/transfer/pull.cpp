// agents/transfer/pull.cpp - manifest, layers streamed through hash, inflater and tar, then
// renames.
#include "agents/transfer/pull.h"

#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agents/transfer/inflate.h"
#include "agents/transfer/unpack.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::transfer {
namespace {
namespace fs = std::filesystem;
using Json = nlohmann::json;
constexpr std::size_t layers_max = 256, manifest_bytes_max = 4 << 20;
constexpr const char* accept =
    "Accept: application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

struct Layer {
  std::string digest;
  std::uint64_t size = 0;
};
std::string string_at(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}
Error corrupt(const RegistrySession& session, const std::string& why) {
  return {Code::corrupt, session.name() + ": " + why};
}
Result<Json> get_manifest(RegistrySession& session, const std::string& name) {
  HttpCall call;
  call.url = TRY(resolve_url(session.base(), "manifests/" + name));
  call.headers = {accept};
  call.body_bytes_max = manifest_bytes_max;
  const HttpAnswer answer = TRY(session.call(call, true));
  if (answer.status != 200) return session.refusal(answer);
  if (is_sha256_digest(name) && "sha256:" + sha256_hex(answer.body) != name)
    return corrupt(session, "the manifest " + name + " has another digest");
  Json json = Json::parse(answer.body, nullptr, false);
  if (!json.is_object()) return corrupt(session, "the manifest of " + name + " is not JSON");
  return json;
}
std::string own_architecture() {
  utsname machine{};
  uname(&machine);
  return std::string(machine.machine) == "aarch64" ? "arm64" : "amd64";
}
// The digest of the best manifest of an index, "" = none.
std::string choose(const Json& manifests) {
  std::string best;
  int best_rank = 0;
  for (const Json& entry : manifests) {
    const Json platform = entry.is_object() ? entry.value("platform", Json::object()) : Json();
    const std::string os = string_at(platform, "os");
    const std::string architecture = string_at(platform, "architecture");
    int rank = os.empty() ? 2 : 0;
    if (os == "linux") rank = architecture == own_architecture() ? 4 : 1;
    if (os == "linux" && architecture == "amd64") rank = std::max(rank, 3);
    const std::string digest = string_at(entry, "digest");
    if (rank <= best_rank || !is_sha256_digest(digest)) continue;
    best = digest;
    best_rank = rank;
  }
  return best;
}
Result<std::vector<Layer>> layers_of(RegistrySession& session, const Reference& reference) {
  Json manifest =
      TRY(get_manifest(session, reference.digest.empty() ? reference.tag : reference.digest));
  if (manifest.contains("manifests") && manifest["manifests"].is_array()) {
    const std::string digest = choose(manifest["manifests"]);
    if (digest.empty())
      return Error{Code::invalid, session.name() + ": its index has no image for linux"};
    manifest = TRY(get_manifest(session, digest));
  }
  if (!manifest.contains("layers") || !manifest["layers"].is_array())
    return Error{Code::invalid, session.name() + ": the manifest lists no layers"};
  std::vector<Layer> out;
  for (const Json& entry : manifest["layers"]) {
    Layer layer{string_at(entry, "digest"), 0};
    const bool has_size =
        entry.is_object() && entry.contains("size") && entry["size"].is_number_unsigned();
    if (!is_sha256_digest(layer.digest) || !has_size || out.size() >= layers_max)
      return corrupt(session,
                     "the manifest's layer " + std::to_string(out.size()) + " is malformed");
    layer.size = entry["size"].get<std::uint64_t>();
    out.push_back(std::move(layer));
  }
  return out;
}

class LayerPull {  // one layer's bytes, once each, in spite of broken transfers
 public:
  LayerPull(RegistrySession& session, const Layer& layer, Unpack& unpack)
      : session_(session),
        layer_(layer),
        tar_({[&unpack](const TarEntry& e) { return unpack.begin(e); },
              [&unpack](std::string_view bytes) { return unpack.data(bytes); }}),
        inflate_([this](std::string_view bytes) { return tar_.feed(bytes); }) {}
  Status run(const PullOptions& options, std::uint64_t before, std::uint64_t total) {
    int setbacks = 0;
    while (received_ < layer_.size) {
      const std::uint64_t had = received_;
      const Status done = attempt([&] {
        if (options.progress) options.progress(before + received_, total);
      });
      if (done.ok()) continue;
      if (done.error().code != Code::unavailable) return done;
      if (received_ > had) setbacks = 0;
      if (++setbacks >= std::max(1, options.registry.tries)) return done;
      log::warn("pull: trying again", {{"why", done.error().what}});
      TRY(session_.wait(options.registry.backoff_ms << setbacks));
    }
    if ("sha256:" + hash_.hex() != layer_.digest)
      return corrupt(session_, "the layer " + layer_.digest + " has another digest");
    TRY(inflate_.finish());
    return tar_.finish();
  }

 private:
  Status attempt(const std::function<void()>& told) {
    HttpCall call;
    call.url = TRY(resolve_url(session_.base(), "blobs/" + layer_.digest));
    if (received_ > 0) call.headers = {"Range: bytes=" + std::to_string(received_) + "-"};
    std::uint64_t skip = received_;  // of a server that does not know ranges
    call.sink = [&](int status, std::string_view bytes) -> Status {
      if (status == 200 && skip > 0) {
        const std::size_t past =
            static_cast<std::size_t>(std::min<std::uint64_t>(skip, bytes.size()));
        bytes.remove_prefix(past);
        skip -= past;
      }
      if (received_ + bytes.size() > layer_.size)
        return corrupt(session_,
                       "the layer " + layer_.digest + " is longer than the manifest says");
      received_ += bytes.size();
      hash_.update(bytes);
      TRY(inflate_.feed(bytes));
      told();
      return ok();
    };
    const HttpAnswer answer = TRY(session_.call(call, false));
    if (reaction_to(Step::head, answer.status) == Reaction::again) return session_.busy(answer);
    if (answer.status != 200 && answer.status != 206) return session_.refusal(answer);
    if (received_ < layer_.size)
      return Error{Code::unavailable, session_.name() + ": a layer's transfer ended early"};
    return ok();
  }

  RegistrySession& session_;
  const Layer& layer_;
  TarReader tar_;
  Inflate inflate_;
  Sha256 hash_;
  std::uint64_t received_ = 0;
};
Error disk(const std::string& path, const std::error_code& error) {
  return {Code::unavailable, "write " + path + ": " + error.message()};
}
// What lies in `from` moves to `to`, entry by entry: `to` may be a mount point.
Status move_all(const std::string& from, const std::string& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const fs::path target = fs::path(to) / entry.path().filename();
    fs::remove_all(target, error);
    fs::rename(entry.path(), target, error);
    if (error) return disk(target.string(), error);
  }
  if (error) return disk(from, error);
  return ok();
}
}  // namespace

Status pull(const PullOptions& options) {
  const Reference reference = TRY(parse_reference(options.image));
  Access access{"pull", "check the image's pull Secret (imagePullSecrets)", {}};
  for (const std::string& config : options.docker_configs) {
    auto found = TRY(credentials_for(config, reference));
    for (Credential& c : found) access.credentials.push_back(std::move(c));
  }
  RegistrySession session(reference, std::move(access), options.registry);
  TRY(session.open());
  const std::vector<Layer> layers = TRY(layers_of(session, reference));
  std::uint64_t total = 0, before = 0;
  for (const Layer& layer : layers) total += layer.size;

  const std::string staging = options.to + "/.pulling";
  std::error_code error;
  fs::remove_all(staging, error);  // of a pull that was killed
  fs::create_directories(staging, error);
  if (error) return disk(staging, error);
  Unpack unpack(staging, {options.bytes_max, UnpackLimits{}.entries_max});
  for (const Layer& layer : layers) {
    unpack.begin_layer();
    LayerPull one(session, layer, unpack);
    Status done = one.run(options, before, total);
    if (done.ok()) done = unpack.end_layer();
    if (!done.ok()) {
      fs::remove_all(staging, error);
      return done;
    }
    before += layer.size;
  }
  if (unpack.files() == 0) {
    fs::remove_all(staging, error);
    return Error{Code::invalid, text_of(reference) + " has no files in /data; put them there"};
  }
  TRY(move_all(staging, options.to));
  fs::remove_all(staging, error);
  return ok();
}
}  // namespace kairo::transfer
