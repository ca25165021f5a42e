// agents/local/apiserver/workspace_schema.h - the Workspace as its CRD sees it: known fields,
// types, required fields, defaults. Pure. Private to apiserver/.
#pragma once
#include <string>

#include "agents/cluster/json.h"

namespace kairo::cluster {
// invalid: `strict decoding error: unknown field "x"`, as kubectl prints it.
Status check_known_fields(const Json& workspace, const std::string& version);
// Fills in defaults of the version that it was written in ("v1alpha1" or "v1beta1").
void add_defaults(Json& workspace, const std::string& version);
// invalid: a field of the wrong type, a required field that is missing. Of the whole object.
Status check_schema(const Json& workspace);
}  // namespace kairo::cluster
