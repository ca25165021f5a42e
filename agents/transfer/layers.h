// agents/transfer/layers.h - the layers of an image or artifact: which, and their bytes.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agents/transfer/registry_session.h"
#include "schemas/base/result.h"

namespace kairo::transfer {
struct Layer {
  std::string digest;  // "sha256:<64 hex>"
  std::uint64_t size = 0;
  std::string media_type;
  std::string title;       // org.opencontainers.image.title, or ModelPack's filepath; "" = none
  bool is_folder = false;  // oras packed a folder: io.deis.oras.content.unpack
};
struct Manifest {
  std::string digest;  // of what the layers stand in
  std::vector<Layer> layers;
};
// Docker's and OCI's manifests; an index gives this machine's architecture, else amd64. corrupt:
// bytes that are not what their digest says. invalid: refused, no layers.
Result<Manifest> manifest_of(RegistrySession& session, const Reference& reference);
// The layer's bytes from `from` on, in order, each once, in spite of broken transfers and servers
// that know no ranges. Whoever takes them checks the digest.
Status stream_layer(RegistrySession& session, const Layer& layer, std::uint64_t from,
                    const RegistryOptions& patience,
                    const std::function<Status(std::string_view bytes)>& sink);
Error wrong_layer(const RegistrySession& session, const Layer& layer);  // of another digest
}  // namespace kairo::transfer
