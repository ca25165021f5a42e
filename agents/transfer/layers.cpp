// agents/transfer/layers.cpp - manifests read within limits; blobs by Range.
#include "agents/transfer/layers.h"

#include <sys/utsname.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/transfer/text.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::transfer {
namespace {
using Json = nlohmann::json;
constexpr std::size_t layers_max = 256, manifest_bytes_max = 4 << 20;
constexpr const char* accept =
    "Accept: application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

Error corrupt(const RegistrySession& session, const std::string& why) {
  return {Code::corrupt, session.name() + ": " + why};
}
struct Named {
  Json json;
  std::string digest;
};
Result<Named> get_manifest(RegistrySession& session, const std::string& name) {
  HttpCall call;
  call.url = TRY(resolve_url(session.base(), "manifests/" + name));
  call.headers = {accept};
  call.body_bytes_max = manifest_bytes_max;
  const HttpAnswer answer = TRY(session.call(call, true));
  if (answer.status != 200) return session.refusal(answer);
  const std::string digest = "sha256:" + sha256_hex(answer.body);
  if (is_sha256_digest(name) && digest != name)
    return corrupt(session, "the manifest " + name + " has another digest");
  Json json = Json::parse(answer.body, nullptr, false);
  if (!json.is_object()) return corrupt(session, "the manifest of " + name + " is not JSON");
  return Named{std::move(json), digest};
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
// What the layer says of itself: oras and docker, or ModelPack by its first and its present name.
void read_annotations(const Json& entry, Layer& layer) {
  layer.media_type = string_at(entry, "mediaType");
  const auto notes = entry.find("annotations");
  if (notes == entry.end() || !notes->is_object()) return;
  for (const char* key :
       {"org.opencontainers.image.title", "org.cncf.model.filepath", "org.cnai.model.filepath"})
    if (layer.title.empty()) layer.title = string_at(*notes, key);
  layer.is_folder = string_at(*notes, "io.deis.oras.content.unpack") == "true";
}
}  // namespace

Result<Manifest> manifest_of(RegistrySession& session, const Reference& reference) {
  Named manifest =
      TRY(get_manifest(session, reference.digest.empty() ? reference.tag : reference.digest));
  if (manifest.json.contains("manifests") && manifest.json["manifests"].is_array()) {
    const std::string digest = choose(manifest.json["manifests"]);
    if (digest.empty())
      return Error{Code::invalid, session.name() + ": its index has no image for linux"};
    manifest = TRY(get_manifest(session, digest));
  }
  if (!manifest.json.contains("layers") || !manifest.json["layers"].is_array())
    return Error{Code::invalid, session.name() + ": the manifest lists no layers"};
  Manifest out{manifest.digest, {}};
  for (const Json& entry : manifest.json["layers"]) {
    Layer layer;
    layer.digest = string_at(entry, "digest");
    const bool has_size =
        entry.is_object() && entry.contains("size") && entry["size"].is_number_unsigned();
    if (!is_sha256_digest(layer.digest) || !has_size || out.layers.size() >= layers_max)
      return corrupt(session,
                     "the manifest's layer " + std::to_string(out.layers.size()) + " is malformed");
    layer.size = entry["size"].get<std::uint64_t>();
    read_annotations(entry, layer);
    out.layers.push_back(std::move(layer));
  }
  return out;
}

Error wrong_layer(const RegistrySession& session, const Layer& layer) {
  return corrupt(session, "the layer " + layer.digest + " has another digest");
}

Status stream_layer(RegistrySession& session, const Layer& layer, std::uint64_t from,
                    const RegistryOptions& patience,
                    const std::function<Status(std::string_view bytes)>& sink) {
  std::uint64_t received = from;
  const auto attempt = [&]() -> Status {
    HttpCall call;
    call.url = TRY(resolve_url(session.base(), "blobs/" + layer.digest));
    if (received > 0) call.headers = {"Range: bytes=" + std::to_string(received) + "-"};
    std::uint64_t skip = received;  // of a server that does not know ranges
    call.sink = [&](int status, std::string_view bytes) -> Status {
      if (status == 200 && skip > 0) {
        const std::size_t past =
            static_cast<std::size_t>(std::min<std::uint64_t>(skip, bytes.size()));
        bytes.remove_prefix(past);
        skip -= past;
      }
      if (received + bytes.size() > layer.size)
        return corrupt(session, "the layer " + layer.digest + " is longer than the manifest says");
      received += bytes.size();
      return sink(bytes);
    };
    const HttpAnswer answer = TRY(session.call(call, false));
    if (reaction_to(Step::head, answer.status) == Reaction::again) return session.busy(answer);
    if (answer.status != 200 && answer.status != 206) return session.refusal(answer);
    if (received < layer.size)
      return Error{Code::unavailable, session.name() + ": a layer's transfer ended early"};
    return ok();
  };
  int setbacks = 0;
  while (received < layer.size) {
    const std::uint64_t had = received;
    const Status done = attempt();
    if (done.ok()) continue;
    if (done.error().code != Code::unavailable) return done;
    if (received > had) setbacks = 0;
    if (++setbacks >= std::max(1, patience.tries)) return done;
    log::warn("pull: trying again", {{"why", done.error().what}});
    TRY(session.wait(patience.backoff_ms << setbacks));
  }
  return ok();
}
}  // namespace kairo::transfer
