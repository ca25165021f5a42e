// gpu/formats/safetensors.cpp - header parsing, mapped files, folders of shards and the writer.
#include "gpu/formats/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "gpu/formats/files.h"
#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr std::int64_t index_bytes_max = 32 << 20;
constexpr std::size_t tensors_max = 1 << 20, dims_max = 8, shards_max = 4096;

constexpr std::pair<std::string_view, Dtype> dtype_names[] = {
    {"F64", Dtype::f64},        {"F32", Dtype::f32},    {"F16", Dtype::f16},
    {"BF16", Dtype::bf16},      {"I64", Dtype::i64},    {"I32", Dtype::i32},
    {"I16", Dtype::i16},        {"I8", Dtype::i8},      {"U64", Dtype::u64},
    {"U32", Dtype::u32},        {"U16", Dtype::u16},    {"U8", Dtype::u8},
    {"BOOL", Dtype::boolean},   {"C64", Dtype::c64},    {"F8_E4M3", Dtype::f8},
    {"F8_E5M2", Dtype::f8},     {"F8_E8M0", Dtype::f8}, {"F8_E4M3FNUZ", Dtype::f8},
    {"F8_E5M2FNUZ", Dtype::f8}, {"F6_E2M3", Dtype::f6}, {"F6_E3M2", Dtype::f6},
    {"F4", Dtype::f4}};
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
  TensorInfo tensor{name, Dtype::f32, {}, 0, 0};
  const auto& code = entry["dtype"];
  const auto* dtype = std::ranges::find_if(dtype_names, [&](const auto& n) {
    return code.is_string() && code.get_ref<const std::string&>() == n.first;
  });
  if (dtype == std::end(dtype_names)) return bad(name + ": unknown dtype " + entry["dtype"].dump());
  tensor.dtype = dtype->second;
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
// Nothing: no type of floats that is read.
std::optional<Stored> stored_of(Dtype dtype) {
  if (dtype == Dtype::f32) return Stored::f32;
  if (dtype == Dtype::bf16) return Stored::bf16;
  return dtype == Dtype::f16 ? std::optional(Stored::f16) : std::nullopt;
}
std::string text_of(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const auto d : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(d);
  return text + "]";
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
  return header;
}

Result<TensorFile> TensorFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return Error{errno == ENOENT ? Code::not_found : Code::invalid,
                 "open " + path + ": " + std::strerror(errno)};
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= 8;
  const auto size = known ? static_cast<std::size_t>(info.st_size) : 0;
  void* data = known ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  ::close(fd);
  if (data == MAP_FAILED) return Error{Code::corrupt, path + ": too short to be a tensor file"};
  TensorFile file;
  file.path_ = path;
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  auto header = parse_header({file.data_, size}, size);
  if (!header.ok()) return Error{header.error().code, path + ": " + header.error().what};
  file.header_ = std::move(header).value();
  return file;
}

TensorFile::TensorFile(TensorFile&& other) noexcept
    : path_(std::move(other.path_)),
      header_(std::move(other.header_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

TensorFile& TensorFile::operator=(TensorFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(header_, other.header_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

TensorFile::~TensorFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

const TensorInfo* TensorFile::find(const std::string& name) const {
  const auto& all = header_.tensors;
  const auto at = std::lower_bound(all.begin(), all.end(), name,
                                   [](const TensorInfo& t, const auto& n) { return t.name < n; });
  return at != all.end() && at->name == name ? &*at : nullptr;
}

std::span<const std::byte> TensorFile::bytes(const TensorInfo& tensor) const {
  return {data_ + tensor.begin, tensor.end - tensor.begin};
}

Status TensorFile::check(const TensorInfo& tensor) const {
  if (stored_of(tensor.dtype)) return ok();
  return Error{Code::invalid,
               path_ + ": " + tensor.name + " is not f32, f16 or bf16; use unquantised weights"};
}

StoredTensor TensorFile::stored(const TensorInfo& tensor) const {
  return {stored_of(tensor.dtype).value(), bytes(tensor)};
}

Status TensorFile::read(const TensorInfo& tensor, std::span<float> out) const {
  TRY(check(tensor));
  if (out.size() != static_cast<std::size_t>(tensor.count()))
    return Error{Code::invalid, path_ + ": " + tensor.name + " does not fit its buffer"};
  const auto [kind, blocks] = stored(tensor);
  dequantise_blocks(kind, blocks, out);
  return ok();
}

void TensorFile::release(const TensorInfo& tensor) const {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = (tensor.begin + page - 1) / page * page,
                      end = tensor.end / page * page;
  if (begin < end)  // advice only: a failure costs memory, not correctness
    static_cast<void>(::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED));
}

Result<TensorFolder> TensorFolder::open(const std::string& dir) {
  namespace fs = std::filesystem;
  TensorFolder folder;
  folder.dir_ = dir;
  std::map<std::string, std::vector<std::string>> shards;  // file -> tensors that it must hold
  const std::string single = dir + "/model.safetensors", index = single + ".index.json";
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    shards[single] = {};
  } else {
    auto text = read_file(index, index_bytes_max);
    if (!text.ok())
      return Error{text.error().code,
                   dir + " holds neither model.safetensors nor its index: " + text.error().what};
    const auto parsed = parse_json_object(text.value());
    if (!parsed.ok()) return Error{Code::corrupt, index + ": " + parsed.error().what};
    const json& root = parsed.value();
    if (!root.contains("weight_map") || !root["weight_map"].is_object())
      return Error{Code::corrupt, index + ": no weight_map"};
    for (const auto& [name, file] : root["weight_map"].items()) {
      const std::string leaf = file.is_string() ? file.get<std::string>() : "";
      if (leaf.empty() || leaf != fs::path(leaf).filename().string())
        return Error{Code::corrupt, index + ": " + name + " is in no plain file of the folder"};
      shards[dir + "/" + leaf].push_back(name);
    }
    if (shards.size() > shards_max) return Error{Code::corrupt, index + ": too many shards"};
  }
  for (const auto& [path, names] : shards) {
    folder.files_.push_back(TRY(TensorFile::open(path)));
    const auto& file = folder.files_.back();
    for (const auto& name : names)
      if (file.find(name) == nullptr)
        return Error{Code::corrupt, path + " lacks " + name + ", which the index puts there"};
    for (const auto& t : file.header().tensors) folder.where_[t.name] = folder.files_.size() - 1;
  }
  return folder;
}

bool TensorFolder::has(const std::string& name) const {
  return where_.count(name) != 0;
}

Status TensorFolder::check(const std::string& name, std::span<const std::int64_t> shape) const {
  const auto at = where_.find(name);
  if (at == where_.end()) return Error{Code::not_found, dir_ + ": no tensor " + name};
  const auto& file = files_[at->second];
  const auto& tensor = *file.find(name);
  if (std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end()))
    return file.check(tensor);
  return Error{Code::invalid, file.path() + ": " + name + " is " + text_of(tensor.shape) +
                                  ", config.json asks for " + text_of(shape)};
}

Status TensorFolder::read(const std::string& name, std::span<const std::int64_t> shape,
                          std::span<float> out) const {
  TRY(check(name, shape));
  const auto& file = files_[where_.at(name)];
  const auto& tensor = *file.find(name);
  TRY(file.read(tensor, out));
  file.release(tensor);
  return ok();
}

std::span<const float> TensorFolder::view(const std::string& name,
                                          std::span<const std::int64_t> shape) const {
  const auto at = where_.find(name);
  if (at == where_.end()) return {};
  const auto& file = files_[at->second];
  const auto& tensor = *file.find(name);
  const auto bytes = file.bytes(tensor);
  if (tensor.dtype != Dtype::f32 || reinterpret_cast<std::uintptr_t>(bytes.data()) % 4 != 0 ||
      !std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end()))
    return {};
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / 4};
}

StoredTensor TensorFolder::stored(const std::string& name) const {
  const auto& file = files_[where_.at(name)];
  return file.stored(*file.find(name));
}
void TensorFolder::release(const std::string& name) const {
  const auto& file = files_[where_.at(name)];
  file.release(*file.find(name));
}

Status write_tensors(const std::string& path, std::span<const TensorToWrite> tensors) {
  std::vector<const TensorToWrite*> order;
  for (const auto& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->name < b->name; });
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t at = 0;
  for (const auto* t : order) {
    const std::uint64_t end = at + t->values.size_bytes();
    header[t->name] = {{"dtype", "F32"}, {"shape", t->shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string prefix(8, '\0');
  const std::uint64_t length = text.size();
  std::memcpy(prefix.data(), &length, 8);
  std::vector<std::string_view> parts = {prefix, text};
  for (const auto* t : order)
    parts.emplace_back(reinterpret_cast<const char*>(t->values.data()), t->values.size_bytes());
  return write_file(path, parts);
}
}  // namespace kairo::gpu
