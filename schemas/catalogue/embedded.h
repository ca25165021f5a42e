// schemas/catalogue/embedded.h - the JSON files of this folder as text; the .cpp is made by CMake.
#pragma once
#include <string_view>

namespace kairo::catalogue::embedded {
extern const std::string_view presets, skus, retired;
}  // namespace kairo::catalogue::embedded
