// agents/cluster/api_errors.h - what an answer of the API server means for us. Pure.
// Private to cluster/.
#pragma once
#include <string>

#include "schemas/base/result.h"

namespace kairo::cluster {
// The reaction to an HTTP status >= 400. `operation` names what was asked ("apply Job ns/name");
// `body` is a metav1.Status in JSON, or whatever stood in the way answered.
Error error_of(int http_status, const std::string& body, const std::string& operation);
}  // namespace kairo::cluster
