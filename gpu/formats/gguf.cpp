// gpu/formats/gguf.cpp - the GGUF v3 layout, every length checked before it is used.
#include "gpu/formats/gguf.h"

#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "schemas/base/assert.h"

namespace kairo::gpu {
namespace {
constexpr std::uint64_t entries_max = 100'000, string_bytes_max = 16 << 20, items_max = 1 << 24;
constexpr std::uint32_t dimensions_max = 4;
constexpr std::string_view types_read =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K";
constexpr std::int64_t alignment_default = 32, alignment_max = 1 << 20;

enum class ValueType : std::uint32_t {
  u8 = 0,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

// A tensor's type by ggml's number. Nothing: one that is not read.
std::optional<Stored> stored_type(std::uint32_t number) {
  constexpr std::pair<std::uint32_t, Stored> types[] = {
      {0, Stored::f32},   {1, Stored::f16},   {2, Stored::q4_0}, {3, Stored::q4_1},
      {6, Stored::q5_0},  {7, Stored::q5_1},  {8, Stored::q8_0}, {12, Stored::q4_k},
      {13, Stored::q5_k}, {14, Stored::q6_k}, {30, Stored::bf16}};
  for (const auto& [theirs, ours] : types)
    if (theirs == number) return ours;
  return std::nullopt;
}
template <class T>
T load(const std::byte* at) {
  T out;
  std::memcpy(&out, at, sizeof out);
  return out;
}
// Reads forward; every error says where and what.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> file) : file_(file) {}
  std::uint64_t at() const { return at_; }
  template <class T>
  Result<T> number(const char* what) {
    TRY(need(sizeof(T), what));
    const T out = load<T>(file_.data() + at_);
    at_ += sizeof(T);
    return out;
  }
  Result<std::string> string(const char* what) {
    const auto size = TRY(number<std::uint64_t>(what));
    if (size > string_bytes_max) return bad(what, "a string of " + std::to_string(size) + " bytes");
    TRY(need(size, what));
    std::string out(reinterpret_cast<const char*>(file_.data() + at_), size);
    at_ += size;
    return out;
  }
  Status need(std::uint64_t bytes, const char* what) const {
    if (bytes <= file_.size() - at_) return ok();
    return bad(what, "the file ends at byte " + std::to_string(file_.size()));
  }
  Error bad(const char* what, const std::string& why) const {
    return {Code::corrupt, "GGUF, " + std::string(what) + " at byte " + std::to_string(at_) + ": " +
                               why + "; fetch the file again"};
  }

 private:
  std::span<const std::byte> file_;
  std::uint64_t at_ = 0;
};

using Scalar = std::variant<std::int64_t, double, std::string>;
template <class T>
Result<Scalar> whole(Cursor& in) {
  return Scalar(static_cast<std::int64_t>(TRY(in.number<T>("a value"))));
}
Result<Scalar> scalar(Cursor& in, ValueType type) {
  switch (type) {
    case ValueType::u8:
      return whole<std::uint8_t>(in);
    case ValueType::i8:
      return whole<std::int8_t>(in);
    case ValueType::u16:
      return whole<std::uint16_t>(in);
    case ValueType::i16:
      return whole<std::int16_t>(in);
    case ValueType::u32:
      return whole<std::uint32_t>(in);
    case ValueType::i32:
      return whole<std::int32_t>(in);
    case ValueType::boolean:
      return whole<std::uint8_t>(in);
    case ValueType::i64:
      return whole<std::int64_t>(in);
    case ValueType::u64: {
      const auto value = TRY(in.number<std::uint64_t>("a value"));
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return in.bad("a value", std::to_string(value) + " is above 2^63 - 1");
      return Scalar(static_cast<std::int64_t>(value));
    }
    case ValueType::f32:
      return Scalar(static_cast<double>(TRY(in.number<float>("a value"))));
    case ValueType::f64:
      return Scalar(TRY(in.number<double>("a value")));
    case ValueType::string:
      return Scalar(TRY(in.string("a value")));
    case ValueType::array:
      break;
  }
  return in.bad("a value", "type " + std::to_string(static_cast<std::uint32_t>(type)));
}
template <class T>
Result<GgufValue> items(Cursor& in, ValueType type, std::uint64_t count) {
  std::vector<T> out;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto item = TRY(scalar(in, type));
    out.push_back(std::move(std::get<T>(item)));
  }
  return GgufValue{std::move(out)};
}
Result<GgufValue> value(Cursor& in) {
  const auto type = static_cast<ValueType>(TRY(in.number<std::uint32_t>("a value's type")));
  if (type != ValueType::array) {
    auto one = TRY(scalar(in, type));
    return std::visit([](auto& v) { return GgufValue{std::move(v)}; }, one);
  }
  const auto of = static_cast<ValueType>(TRY(in.number<std::uint32_t>("an array's type")));
  const auto count = TRY(in.number<std::uint64_t>("an array's length"));
  if (count > items_max) return in.bad("an array", std::to_string(count) + " items");
  if (of == ValueType::array) return in.bad("an array", "arrays of arrays are not read");
  TRY(in.need(count, "an array"));  // every item has at least one byte
  if (of == ValueType::string) return items<std::string>(in, of, count);
  if (of == ValueType::f32 || of == ValueType::f64) return items<double>(in, of, count);
  return items<std::int64_t>(in, of, count);
}
Result<GgufTensor> tensor_info(Cursor& in, std::uint64_t file_bytes) {
  GgufTensor out;
  out.name = TRY(in.string("a tensor's name"));
  const auto dimensions = TRY(in.number<std::uint32_t>("a tensor's shape"));
  if (dimensions == 0 || dimensions > dimensions_max)
    return in.bad("a tensor's shape", std::to_string(dimensions) + " dimensions");
  std::uint64_t count = 1;
  for (std::uint32_t d = 0; d < dimensions; ++d) {
    const auto size = TRY(in.number<std::uint64_t>("a tensor's shape"));
    // No type packs more than two values into a byte.
    if (size == 0 || size > file_bytes * 2 || count > file_bytes * 2 / size)
      return in.bad("a tensor's shape", out.name + " is larger than the file, or empty");
    count *= size;
    out.shape.insert(out.shape.begin(), static_cast<std::int64_t>(size));
  }
  const auto type = TRY(in.number<std::uint32_t>("a tensor's type"));
  const auto stored = stored_type(type);
  if (!stored)
    return Error{Code::invalid, "GGUF, tensor " + out.name + ": type " + std::to_string(type) +
                                    " is not read; " + std::string(types_read) +
                                    " are: take such a file"};
  out.type = *stored;
  const auto values = static_cast<std::uint64_t>(values_per_block(out.type));
  if (static_cast<std::uint64_t>(out.shape.back()) % values != 0)
    return in.bad("a tensor's shape", out.name + ": rows are not whole blocks");
  out.begin = TRY(in.number<std::uint64_t>("a tensor's offset"));
  // A size until the data's begin is known.
  out.end = count / values * static_cast<std::uint64_t>(bytes_per_block(out.type));
  return out;
}
Result<std::uint64_t> alignment_of(const GgufHeader& header, const Cursor& in) {
  const auto at = header.metadata.find("general.alignment");
  if (at == header.metadata.end()) return static_cast<std::uint64_t>(alignment_default);
  const auto* v = std::get_if<std::int64_t>(&at->second.value);
  if (v == nullptr || *v < 1 || *v > alignment_max || (*v & (*v - 1)) != 0)
    return in.bad("general.alignment", "must be a power of two up to 1 MiB");
  return static_cast<std::uint64_t>(*v);
}
}  // namespace

std::int64_t GgufTensor::count() const {
  std::int64_t n = 1;
  for (const auto size : shape) n *= size;
  return n;
}

Result<GgufHeader> parse_gguf(std::span<const std::byte> file) {
  Cursor in(file);
  if (TRY(in.number<std::uint32_t>("the magic")) != 0x46554747)  // "GGUF"
    return Error{Code::corrupt, "not a GGUF file: it does not begin with GGUF"};
  const auto version = TRY(in.number<std::uint32_t>("the version"));
  if (version != 3)
    return Error{Code::invalid, "GGUF version " + std::to_string(version) + "; only 3 is read"};
  const auto tensors = TRY(in.number<std::uint64_t>("the number of tensors"));
  const auto pairs = TRY(in.number<std::uint64_t>("the number of values"));
  if (tensors > entries_max || pairs > entries_max)
    return in.bad("the header", "more than 100000 entries");
  GgufHeader out;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    std::string key = TRY(in.string("a key"));
    GgufValue v = TRY(value(in));
    if (!out.metadata.emplace(key, std::move(v)).second)
      return in.bad("a key", key + " occurs twice");
  }
  for (std::uint64_t i = 0; i < tensors; ++i)
    out.tensors.push_back(TRY(tensor_info(in, file.size())));
  const std::uint64_t alignment = TRY(alignment_of(out, in));
  const std::uint64_t data = (in.at() + alignment - 1) / alignment * alignment;
  for (auto& t : out.tensors) {
    if (data > file.size() || t.begin > file.size() - data || t.end > file.size() - data - t.begin)
      return in.bad("tensor data", t.name + " lies beyond the end of the file");
    t.begin += data;
    t.end += t.begin;
  }
  return out;
}

void dequantise(const GgufTensor& tensor, std::span<const std::byte> file, std::span<float> out) {
  KAIRO_ASSERT(tensor.end <= file.size(), "the header was parsed from this file");
  dequantise_blocks(tensor.type, file.subspan(tensor.begin, tensor.end - tensor.begin), out);
}
}  // namespace kairo::gpu
