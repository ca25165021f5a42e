// gpu/formats/json.cpp - counts brackets before anything is built of them.
#include "gpu/formats/json.h"

namespace kairo::gpu {
bool nests_deeper(std::string_view json, int depth_max) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}
}  // namespace kairo::gpu
