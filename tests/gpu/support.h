// tests/gpu/support.h - golden files, temporary folders and small comparisons for the tests under
// gpu/.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gpu/formats/safetensors.h"
#include "gpu/formats/stored.h"

namespace kairo::gpu::test {
std::string golden(const std::string& name);  // path in tests/gpu/golden
// The converted SmolLM2 folder of the cache (KAIRO_CACHE or ~/.cache/kairo); empty: not there.
std::string smollm2_dir();

// A golden file's tensor; stops the test program when it is absent.
class Golden {
 public:
  explicit Golden(const std::string& name);
  std::vector<float> floats(const std::string& tensor) const;
  std::vector<std::uint8_t> bytes(const std::string& tensor) const;
  std::vector<std::int64_t> shape(const std::string& tensor) const;
  std::vector<std::string> names(const std::string& prefix) const;

 private:
  const TensorInfo& find(const std::string& tensor) const;
  TensorFile file_;
};
// Rows that make_golden.py wrote.
struct GoldenRows {
  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<std::vector<std::uint8_t>> trained;
  std::int64_t targets(std::size_t first, std::size_t count) const;
};
GoldenRows golden_rows(const Golden& file, const std::string& prefix = "rows.");

// A fresh folder under the system's temporary folder, removed with all that is in it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};
// Random blocks of so many values, with scales that are ordinary numbers.
std::vector<std::byte> random_blocks(Stored kind, std::int64_t values, std::uint32_t seed);
double largest_difference(std::span<const float> a, std::span<const float> b);
// |a - b| / |b|, Euclidean; 0 when both are zero.
double relative_difference(std::span<const float> a, std::span<const float> b);
}  // namespace kairo::gpu::test
