// schemas/base/base64.h - base64 (RFC 4648), as Kubernetes Secrets and docker configs use it.
#pragma once
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo {
std::string base64_encode(std::string_view bytes);
// Lenient as the wild is: line breaks and missing padding are fine. invalid: any other character.
Result<std::string> base64_decode(std::string_view text);
}  // namespace kairo
