// agents/transfer/manifests.h - manifests of a repository: which is there, written, taken away.
#pragma once
#include <string>

#include "agents/transfer/image.h"
#include "agents/transfer/reference.h"
#include "agents/transfer/registry_session.h"

namespace kairo::transfer {
struct Named {
  bool is_there = false;
  std::string digest;  // "" although it is there: an older registry that names none
};
Result<Named> look_up(RegistrySession& session, const std::string& tag_or_digest);
Status put_manifest(RegistrySession& session, const Image& image, const std::string& tag_or_digest);
// ok: it is gone, or was not there. invalid: the registry keeps what it has (405), or refuses.
Status delete_manifest(RegistrySession& session, const std::string& digest);
// Where a run's checkpoints lie: "<tag>-checkpoint-<uid>" in the output image's repository.
Reference checkpoint_of(Reference output, const std::string& uid);
}  // namespace kairo::transfer
