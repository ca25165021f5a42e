// tests/gpu/support.cpp - golden files and temporary folders.
#include "tests/gpu/support.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "schemas/base/assert.h"

namespace kairo::gpu::test {
std::string golden(const std::string& name) {
  const char* folder = std::getenv("KAIRO_GOLDEN");  // of a machine without the sources
  return (folder != nullptr ? folder : std::string(KAIRO_SOURCE_DIR) + "/tests/gpu/golden") + "/" +
         name;
}

std::string smollm2_dir() {
  const char *cache = std::getenv("KAIRO_CACHE"), *home = std::getenv("HOME");
  const std::string base =
      cache != nullptr ? cache : std::string(home != nullptr ? home : "") + "/.cache/kairo";
  const std::string dir = base + "/models/smollm2-135m-instruct";
  return std::filesystem::exists(dir + "/model.safetensors") ? dir : "";
}

Golden::Golden(const std::string& name)
    : file_([&] {
        auto file = TensorFile::open(golden(name));
        KAIRO_ASSERT(file.ok(), file.error().what.c_str());
        return std::move(file).value();
      }()) {}

const TensorInfo& Golden::find(const std::string& tensor) const {
  const TensorInfo* info = file_.find(tensor);
  KAIRO_ASSERT(info != nullptr, tensor.c_str());
  return *info;
}
std::vector<float> Golden::floats(const std::string& tensor) const {
  const auto& info = find(tensor);
  std::vector<float> out(static_cast<std::size_t>(info.count()));
  KAIRO_ASSERT(file_.read(info, out).ok(), tensor.c_str());
  return out;
}
std::vector<std::uint8_t> Golden::bytes(const std::string& tensor) const {
  const auto bytes = file_.bytes(find(tensor));
  std::vector<std::uint8_t> out(bytes.size());
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}
std::vector<std::int64_t> Golden::shape(const std::string& tensor) const {
  return find(tensor).shape;
}
std::vector<std::string> Golden::names(const std::string& prefix) const {
  std::vector<std::string> out;
  for (const auto& t : file_.header().tensors)
    if (t.name.starts_with(prefix)) out.push_back(t.name.substr(prefix.size()));
  return out;
}

std::int64_t GoldenRows::targets(std::size_t first, std::size_t count) const {
  std::int64_t n = 0;
  for (std::size_t r = first; r < first + count; ++r)
    for (std::size_t i = 1; i < trained[r].size(); ++i) n += trained[r][i];
  return n;
}

GoldenRows golden_rows(const Golden& file, const std::string& prefix) {
  const auto tokens = file.floats(prefix + "tokens"), trained = file.floats(prefix + "trained");
  GoldenRows rows;
  std::size_t at = 0;
  for (const float length : file.floats(prefix + "lengths")) {
    rows.tokens.emplace_back();
    rows.trained.emplace_back();
    for (std::size_t end = at + static_cast<std::size_t>(length); at < end; ++at) {
      rows.tokens.back().push_back(static_cast<std::int32_t>(tokens[at]));
      rows.trained.back().push_back(static_cast<std::uint8_t>(trained[at]));
    }
  }
  return rows;
}

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "kairo-test-XXXXXX").string();
  KAIRO_ASSERT(::mkdtemp(name.data()) != nullptr, "a temporary folder");
  path_ = name;
}
TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::byte> random_blocks(Stored kind, std::int64_t values, std::uint32_t seed) {
  const auto block = static_cast<std::size_t>(bytes_per_block(kind));
  std::vector<std::byte> out(static_cast<std::size_t>(values / values_per_block(kind)) * block);
  std::uint32_t state = seed;
  for (auto& b : out) b = static_cast<std::byte>((state = state * 1664525u + 1013904223u) >> 24);
  for (std::size_t i = 0; i < out.size(); i += block)
    for (const std::size_t upper : {1, 3, 209})  // the upper byte of an f16, or just a byte
      if (upper < block) out[i + upper] &= std::byte{0xbf};
  return out;
}
double largest_difference(std::span<const float> a, std::span<const float> b) {
  KAIRO_ASSERT(a.size() == b.size(), "comparable sizes");
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    largest = std::isnan(d) ? INFINITY : std::max(largest, d);
  }
  return largest;
}
double relative_difference(std::span<const float> a, std::span<const float> b) {
  KAIRO_ASSERT(a.size() == b.size(), "comparable sizes");
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  if (std::isnan(difference)) return INFINITY;
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}
}  // namespace kairo::gpu::test
