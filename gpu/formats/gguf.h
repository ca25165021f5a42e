// gpu/formats/gguf.h - GGUF v3 model files: read with every length checked, written out as a
// Hugging Face folder.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "gpu/formats/stored.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// Every integer and boolean is widened to i64 (u64 above 2^63 - 1 is refused), f32 and f64 to
// double.
struct GgufValue {
  std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
               std::vector<std::string>>
      value;
};
struct GgufTensor {
  std::string name;
  std::vector<std::int64_t> shape;  // C order (GGUF stores the fastest dimension first)
  Stored type;
  std::uint64_t begin = 0, end = 0;  // bytes in the file
  std::int64_t count() const;        // of its values
};
struct GgufHeader {
  std::map<std::string, GgufValue> metadata;
  std::vector<GgufTensor> tensors;  // in file order; they lie inside the file
};
// file: the whole file. corrupt: not GGUF, a length, count or offset that does not fit.
// invalid: another version, or a tensor type that is not read (names those that are).
Result<GgufHeader> parse_gguf(std::span<const std::byte> file);
// The tensor's values as fp32, in C order; out holds exactly their number.
void dequantise(const GgufTensor& tensor, std::span<const std::byte> file, std::span<float> out);

// Called with tensors written so far and in all.
using ImportProgress = std::function<void(std::size_t done, std::size_t total)>;
// stored: matrices as the file has them (stored_tensors.h), which kairo alone reads where they are
// blocks; their values are those of f32. f32: for other programs.
enum class ImportAs : std::uint8_t { stored, f32 };
// Reads a GGUF of Llama, Qwen 2 and 3 or Phi-3 with its vocabulary (byte-level BPE or
// sentencepiece) and writes model.safetensors, config.json, generation_config.json, tokenizer.json
// and tokenizer_config.json. The folder appears whole or not at all (written beside it, then
// renamed). Memory: the query and key matrices as stored; of f32 the model.
// invalid: another architecture or tokenizer, or out_dir exists and is not empty.
// not_found: no such file. corrupt: parse_gguf's. unavailable: the disk is full.
Status import_gguf(const std::string& gguf_path, const std::string& out_dir,
                   const ImportProgress& progress, ImportAs as = ImportAs::stored);
}  // namespace kairo::gpu
