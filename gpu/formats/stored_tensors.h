// gpu/formats/stored_tensors.h - which tensors of a safetensors file are GGUF's blocks; private to
// its reader and writer.
//
// Such a tensor is a matrix of U8 for every reader: (rows, bytes of a row). Which blocks it holds
// stands in __metadata__ under "kairo.blocks", whose text is a JSON object: "version" (1), and for
// each kind by GGUF's name its tensors: {"version":1,"Q4_1":["model.layers.0..."],"Q8_0":[...]}.
// What its values are, and so its shape, follows from that.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "gpu/formats/safetensors.h"

namespace kairo::gpu {
inline constexpr const char* stored_tensors_key = "kairo.blocks";
// The metadata's text. names: at least one.
std::string stored_tensors_text(const std::map<Stored, std::vector<std::string>>& names);
// Gives the tensors that the metadata names their kind and the shape of their values. corrupt: the
// text, a version or kind that is not known, a tensor that is absent, named twice, or no matrix of
// U8 whose rows are whole blocks.
Status name_stored(TensorHeader& header);
}  // namespace kairo::gpu
