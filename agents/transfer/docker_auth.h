// agents/transfer/docker_auth.h - which entries of a docker config are meant for an image.
#pragma once
#include <string>
#include <vector>

#include "agents/transfer/reference.h"
#include "schemas/base/result.h"

namespace kairo::transfer {
struct Credential {  // a secret: never logged, never part of a message
  std::string username, password;
  std::string identity_token;  // OAuth2 refresh token, exchanged for a bearer token
  std::string registry_token;  // a bearer token as it is
};
// All credentials whose key fits, best first: the exact repository, its parents, the exact host,
// then kubelet's rules (one `*` never crosses a dot; the path is a prefix), then Docker Hub's
// names. `config` is a .dockerconfigjson or a legacy .dockercfg; "" has none. Entries without a
// secret (credential helpers) are left out. invalid: not such a text (its bytes are not quoted).
Result<std::vector<Credential>> credentials_for(const std::string& config,
                                                const Reference& reference);
}  // namespace kairo::transfer
