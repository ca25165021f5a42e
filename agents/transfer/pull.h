// agents/transfer/pull.h - the /data of an image into a folder (init container of data and
// adapters).
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agents/transfer/registry_session.h"
#include "schemas/base/result.h"

namespace kairo::transfer {
struct PullOptions {
  std::string image;                        // "registry.example/team/adapter:1"
  std::string to;                           // folder; made when missing
  std::vector<std::string> docker_configs;  // texts, tried in order after anonymous; never logged
  std::uint64_t bytes_max = 64ULL << 30;    // of the unpacked files
  RegistryOptions registry;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // compressed bytes
};
// Any base image and any number of layers (tar, gzip, zstd). Every digest is verified before the
// first file appears in `to`; until then everything lies in to/.pulling. An index gives this
// machine's architecture, else amd64. invalid: refused, a hostile archive, no /data in the image.
// corrupt: bytes that are not what their digest says. unavailable: network, registry, disk.
Status pull(const PullOptions& options);
}  // namespace kairo::transfer
