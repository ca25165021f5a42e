// gpu/formats/safetensors_header.cpp - a tensor file's header, checked before it is believed.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "gpu/formats/json.h"
#include "gpu/formats/safetensors.h"
#include "gpu/formats/stored_tensors.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr std::size_t tensors_max = 1 << 20, dims_max = 8;

constexpr std::pair<std::string_view, Dtype> dtype_names[] = {
    {"F64", Dtype::f64},        {"F32", Dtype::f32},    {"F16", Dtype::f16},
    {"BF16", Dtype::bf16},      {"I64", Dtype::i64},    {"I32", Dtype::i32},
    {"I16", Dtype::i16},        {"I8", Dtype::i8},      {"U64", Dtype::u64},
    {"U32", Dtype::u32},        {"U16", Dtype::u16},    {"U8", Dtype::u8},
    {"BOOL", Dtype::boolean},   {"C64", Dtype::c64},    {"F8_E4M3", Dtype::f8},
    {"F8_E5M2", Dtype::f8},     {"F8_E8M0", Dtype::f8}, {"F8_E4M3FNUZ", Dtype::f8},
    {"F8_E5M2FNUZ", Dtype::f8}, {"F6_E2M3", Dtype::f6}, {"F6_E3M2", Dtype::f6},
    {"F4", Dtype::f4}};
// Nothing: no type of floats that is read.
std::optional<Stored> stored_of(Dtype dtype) {
  if (dtype == Dtype::f32) return Stored::f32;
  if (dtype == Dtype::bf16) return Stored::bf16;
  return dtype == Dtype::f16 ? std::optional(Stored::f16) : std::nullopt;
}
Error bad(const std::string& why) {
  return {Code::corrupt, "safetensors header: " + why};
}
std::optional<std::uint64_t> as_u64(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<std::uint64_t>();
}
// count * size of one value; nullopt: it does not fit 63 bits, or is no whole number of bytes.
std::optional<std::uint64_t> shape_bytes(const std::vector<std::int64_t>& shape, Dtype dtype) {
  std::uint64_t total = static_cast<std::uint64_t>(bits_of(dtype));
  for (const std::int64_t d : shape) {
    if (d != 0 && total > (std::uint64_t{1} << 62) / static_cast<std::uint64_t>(d))
      return std::nullopt;
    total *= static_cast<std::uint64_t>(d);
  }
  if (total % 8 != 0) return std::nullopt;
  return total / 8;
}
Result<std::vector<std::int64_t>> parse_shape(const std::string& name, const json& value) {
  if (!value.is_array() || value.size() > dims_max) return bad(name + ": bad shape");
  std::vector<std::int64_t> shape;
  for (const auto& d : value) {
    const auto size = as_u64(d);
    if (!size || *size > (std::uint64_t{1} << 40)) return bad(name + ": bad shape");
    shape.push_back(static_cast<std::int64_t>(*size));
  }
  return shape;
}
Result<TensorInfo> parse_tensor(const std::string& name, const json& entry, std::uint64_t base,
                                std::uint64_t file_bytes) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets"))
    return bad(name + ": needs dtype, shape and data_offsets");
  TensorInfo tensor{name, Dtype::f32, {}, 0, 0, {}};
  const auto& code = entry["dtype"];
  const auto* dtype = std::ranges::find_if(dtype_names, [&](const auto& n) {
    return code.is_string() && code.get_ref<const std::string&>() == n.first;
  });
  if (dtype == std::end(dtype_names)) return bad(name + ": unknown dtype " + entry["dtype"].dump());
  tensor.dtype = dtype->second;
  tensor.stored = stored_of(tensor.dtype);
  tensor.shape = TRY(parse_shape(name, entry["shape"]));
  const auto& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) return bad(name + ": bad data_offsets");
  const auto begin = as_u64(offsets[0]), end = as_u64(offsets[1]);
  const auto bytes = shape_bytes(tensor.shape, tensor.dtype);
  const std::uint64_t room = file_bytes - base;
  if (!begin || !end || *begin > *end || *end > room)
    return bad(name + ": offsets out of the file");
  if (!bytes || *end - *begin != *bytes) return bad(name + ": shape and offsets disagree");
  tensor.begin = base + *begin;
  tensor.end = base + *end;
  return tensor;
}
// A field that one object names twice, but for the names of tensors and of metadata: there the last
// one counts.
std::string named_twice(std::string_view text) {
  std::string found;
  std::vector<std::string> path;  // the keys that are open
  std::vector<std::vector<std::string>> seen;
  const auto look = [&](int depth, json::parse_event_t event, json& value) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == json::parse_event_t::object_start) seen.resize(level + 1), seen.back().clear();
    if (event != json::parse_event_t::key || level > 2) return true;
    const auto& key = value.get_ref<const std::string&>();
    path.resize(level);
    path.back() = key;
    const bool is_field = level == 1 ? key == "__metadata__" : path[0] != "__metadata__";
    auto& keys = seen[level - 1];
    if (is_field && found.empty() && std::ranges::count(keys, key) != 0) found = key;
    if (is_field) keys.push_back(key);
    return true;
  };
  const json whole = json::parse(text, look, false);
  return whole.is_discarded() ? "" : found;
}
// Tensors cover the data section without overlap or hole.
Status check_cover(const std::vector<TensorInfo>& tensors, std::uint64_t base,
                   std::uint64_t file_bytes) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  ranges.reserve(tensors.size());
  for (const auto& t : tensors) ranges.emplace_back(t.begin, t.end);
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t at = base;
  for (const auto& [begin, end] : ranges) {
    if (begin != at) return bad("tensors overlap or leave a hole at byte " + std::to_string(at));
    at = end;
  }
  if (at != file_bytes) return bad("bytes after the last tensor");
  return ok();
}
}  // namespace

std::int64_t bits_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f64:
    case Dtype::c64:
    case Dtype::i64:
    case Dtype::u64:
      return 64;
    case Dtype::f32:
    case Dtype::i32:
    case Dtype::u32:
      return 32;
    case Dtype::f16:
    case Dtype::bf16:
    case Dtype::i16:
    case Dtype::u16:
      return 16;
    case Dtype::f8:
    case Dtype::i8:
    case Dtype::u8:
    case Dtype::boolean:
      return 8;
    case Dtype::f6:
      return 6;
    case Dtype::f4:
      return 4;
  }
  return 8;
}

std::int64_t TensorInfo::count() const {
  std::int64_t n = 1;
  for (const auto d : shape) n *= d;
  return n;
}

Result<TensorHeader> parse_header(std::span<const std::byte> file, std::uint64_t file_bytes) {
  std::uint64_t length = 0;
  if (file.size() < 8 || file_bytes < file.size()) return bad("shorter than 8 bytes");
  std::memcpy(&length, file.data(), 8);
  if (length > safetensors_header_bytes_max || length + 8 > file.size())
    return bad("length " + std::to_string(length) + " does not fit the file");
  const auto* text = reinterpret_cast<const char*>(file.data()) + 8;
  if (length == 0 || text[0] != '{')
    return bad("begins with byte " + (length == 0 ? "none" : std::to_string(text[0] & 0xff)) +
               "; the format wants {, without blanks or a byte order mark before it");
  const std::string_view all(text, length);
  if (all.find('\0') != all.npos) return bad("holds a NUL byte; it is padded with spaces only");
  const auto parsed = parse_json_object(all);
  if (!parsed.ok()) return bad(parsed.error().what);
  if (const auto twice = named_twice(all); !twice.empty()) return bad(twice + " is there twice");
  const json& root = parsed.value();
  if (root.size() > tensors_max)
    return bad("more than " + std::to_string(tensors_max) + " tensors");
  TensorHeader header;
  for (const auto& [name, entry] : root.items()) {
    if (name != "__metadata__") {
      header.tensors.push_back(TRY(parse_tensor(name, entry, 8 + length, file_bytes)));
      continue;
    }
    if (entry.is_null()) continue;
    if (!entry.is_object()) return bad("__metadata__ is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) return bad("__metadata__." + key + " is not a string");
      header.metadata[key] = value.get<std::string>();
    }
  }
  TRY(check_cover(header.tensors, 8 + length, file_bytes));
  TRY(name_stored(header));
  return header;
}
}  // namespace kairo::gpu
