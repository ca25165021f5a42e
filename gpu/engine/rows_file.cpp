// gpu/engine/rows_file.cpp - reads and checks a file of tokenised rows.
#include "gpu/engine/rows_file.h"

#include <cstring>
#include <string_view>

#include "gpu/formats/safetensors.h"
#include "schemas/base/digest.h"

namespace kairo::gpu {
namespace {
template <class T>
Result<std::vector<T>> take(const TensorFile& file, const std::string& name, Dtype dtype,
                            Sha256& hash) {
  const TensorInfo* tensor = file.find(name);
  if (tensor == nullptr || tensor->dtype != dtype || tensor->shape.size() != 1)
    return Error{Code::corrupt, file.path() + ": " + name + " is absent or of another type"};
  const auto bytes = file.bytes(*tensor);
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  hash.update({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return out;
}
}  // namespace

std::vector<TrainRow> RowsFile::rows() const {
  std::vector<TrainRow> out;
  for (std::size_t r = 0; r + 1 < starts.size(); ++r) {
    const auto begin = static_cast<std::size_t>(starts[r]);
    const auto count = static_cast<std::size_t>(starts[r + 1]) - begin;
    out.push_back(
        {std::span(tokens).subspan(begin, count), std::span(trained).subspan(begin, count)});
  }
  return out;
}

Result<RowsFile> load_rows_file(const std::string& path) {
  const TensorFile file = TRY(TensorFile::open(path));
  Sha256 hash;
  RowsFile rows;
  rows.tokens = TRY(take<std::int32_t>(file, "rows.tokens", Dtype::i32, hash));
  rows.trained = TRY(take<std::uint8_t>(file, "rows.trained", Dtype::u8, hash));
  const auto lengths = TRY(take<std::int32_t>(file, "rows.lengths", Dtype::i32, hash));
  rows.starts.push_back(0);
  for (const auto length : lengths) {
    if (length < 1) return Error{Code::corrupt, path + ": a row has no tokens"};
    rows.starts.push_back(rows.starts.back() + length);
  }
  const auto total = static_cast<std::size_t>(rows.starts.back());
  if (total != rows.tokens.size() || total != rows.trained.size())
    return Error{Code::corrupt, path + ": lengths, tokens and mask disagree"};
  rows.digest = hash.hex();
  return rows;
}
}  // namespace kairo::gpu
