// agents/node/weights_said.h - what a folder of weights says of itself.
#pragma once
#include <cstdint>
#include <string>

namespace kairo::node {
// The kinds of the matrices that kairo-tune import has left as a GGUF has them: "Q4_1, Q8_0". "":
// they are plain numbers, or config.json cannot be read.
std::string blocks_of(const std::string& folder);
// Of all *.safetensors.
std::uint64_t weights_bytes(const std::string& folder);
}  // namespace kairo::node
