// agents/transfer/model_image.h - a model's files from an OCI image or artifact into a folder.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "agents/transfer/model_files.h"
#include "agents/transfer/registry_session.h"
#include "schemas/base/result.h"

namespace kairo::transfer {
struct ModelImageOptions {
  std::string image;                        // "mcr.microsoft.com/aks/kaito/kaito-phi-4:0.2.0"
  std::string to;                           // an existing folder of ours; gone on with
  std::vector<std::string> docker_configs;  // texts, tried in order after anonymous; never logged
  std::uint64_t bytes_max = 4ULL << 40;     // of the files
  RegistryOptions registry;
  ModelWatch watch;
};
// Whatever holds the files that the engine reads, by their names: oras' artifacts (a layer is a
// file or a packed folder: KAITO's preset images), ModelPack (raw and tar weights), container
// images in whatever folder (the least deep counts). Digests are verified; a layer that is a file
// is gone on with where it broke off, of the others whole ones are kept. Errors as of pull().
Result<FetchedModel> fetch_model_image(const ModelImageOptions& options);
}  // namespace kairo::transfer
