// gpu/formats/safetensors.h - tensor files: read through mmap with every offset checked, and
// written.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gpu/formats/stored.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
constexpr std::uint64_t safetensors_header_bytes_max = 32ull << 20;

// f8, f6, f4: several formats each, none of which is read here.
enum class Dtype : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8,
  f6,
  f4,
  c64,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean
};
std::int64_t bits_of(Dtype dtype);

struct TensorInfo {
  std::string name;
  Dtype dtype;                       // as the file has it: u8 of blocks
  std::vector<std::int64_t> shape;   // of the values, C order; empty = one value
  std::uint64_t begin = 0, end = 0;  // bytes in the file
  std::optional<Stored> stored;      // nothing: no floats that are read here
  std::int64_t count() const;        // product of the shape; fits: checked by the parser
};
struct TensorHeader {
  std::vector<TensorInfo> tensors;  // ascending by name
  std::map<std::string, std::string> metadata;
};
// file: the first bytes of the file, at least the whole header. file_bytes: its size.
// As strict as the reference (safetensors 0.8), and blanks before the opening brace, which the
// format does not have, are refused. corrupt: wrong length, not JSON, unknown dtype, shape and
// offsets disagree, overlap, a hole, or blocks (stored_tensors.h) that are not what it says.
Result<TensorHeader> parse_header(std::span<const std::byte> file, std::uint64_t file_bytes);

struct StoredTensor {
  Stored kind;
  std::span<const std::byte> bytes;  // of the rows, one after the other: whole blocks each
};
// One mapped file. Immutable; movable; any thread may read.
class TensorFile {
 public:
  // not_found, invalid (not readable), corrupt.
  static Result<TensorFile> open(const std::string& path);
  TensorFile(TensorFile&&) noexcept;
  TensorFile& operator=(TensorFile&&) noexcept;
  ~TensorFile();
  const TensorHeader& header() const { return header_; }
  const std::string& path() const { return path_; }
  const TensorInfo* find(const std::string& name) const;  // null: absent
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;
  Status check(const TensorInfo& tensor) const;         // invalid: not a float type
  StoredTensor stored(const TensorInfo& tensor) const;  // of one that check() lets pass
  // Copies the tensor as fp32, exactly: widened, or decoded from blocks. invalid: not a float type,
  // or out.size() is not its count.
  Status read(const TensorInfo& tensor, std::span<float> out) const;
  // Gives the kernel the tensor's pages back; a later read maps them again.
  void release(const TensorInfo& tensor) const;

 private:
  TensorFile() = default;
  std::string path_;
  TensorHeader header_;
  const std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

// A model folder: model.safetensors, or the shards that model.safetensors.index.json names.
class TensorFolder {
 public:
  // not_found: neither file. corrupt: a shard or the index is inconsistent.
  static Result<TensorFolder> open(const std::string& dir);
  bool has(const std::string& name) const;
  // Whether the tensor is there, of floats, with this shape; costs nothing. not_found, invalid: as
  // read.
  Status check(const std::string& name, std::span<const std::int64_t> shape) const;
  // Copies one tensor as TensorFile's read. shape: what the caller expects.
  // not_found: absent. invalid: another shape, or not a float type.
  Status read(const std::string& name, std::span<const std::int64_t> shape,
              std::span<float> out) const;
  // The mapped values when the tensor is stored as aligned f32 of this shape; else empty.
  // Valid as long as the folder.
  std::span<const float> view(const std::string& name, std::span<const std::int64_t> shape) const;
  // The mapped bytes of a tensor that check() finds there, as they are stored, at any alignment.
  // Valid as long as the folder.
  StoredTensor stored(const std::string& name) const;
  void release(const std::string& name) const;  // as TensorFile's
  // How the matrices are stored, what most values have first: "Q4_1, Q8_0".
  std::string matrices() const;
  const std::string& dir() const { return dir_; }

 private:
  std::string dir_;
  std::vector<TensorFile> files_;
  std::map<std::string, std::size_t> where_;  // tensor name -> index into files_
};

struct TensorToWrite {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<const float> values;
};
struct StoredToWrite {
  std::string name;
  std::vector<std::int64_t> shape;  // of the values; two dimensions where they are quantised
  StoredTensor as;
};
// Writes tensors as they are stored, those of wider types first, else in the order of their names:
// the same tensors give the same bytes. Metadata: {"format": "pt"}, and which are blocks. Synced.
// Errors: as write_file.
Status write_stored(const std::string& path, std::span<const StoredToWrite> tensors);
// Writes f32 tensors in the order of their names, with the metadata {"format": "pt"}; as
// write_stored.
Status write_tensors(const std::string& path, std::span<const TensorToWrite> tensors);
}  // namespace kairo::gpu
