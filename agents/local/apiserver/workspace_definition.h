// agents/local/apiserver/workspace_definition.h - deploy/crds/kaito.sh_workspaces.yaml, embedded at
// build time.
#pragma once
#include <string_view>

namespace kairo::cluster {
extern const std::string_view workspace_definition;
}
