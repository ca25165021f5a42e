// gpu/formats/safetensors.cpp - mapped files, folders of shards and the writer.
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
#include "gpu/formats/stored_tensors.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr std::int64_t index_bytes_max = 32 << 20;
constexpr std::size_t shards_max = 4096;

std::string text_of(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const auto d : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(d);
  return text + "]";
}
}  // namespace

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
  if (tensor.stored) return ok();
  return Error{Code::invalid, path_ + ": " + tensor.name +
                                  " is not f32, f16, bf16 or blocks of a GGUF that was imported; "
                                  "use unquantised weights"};
}

StoredTensor TensorFile::stored(const TensorInfo& tensor) const {
  return {tensor.stored.value(), bytes(tensor)};
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

std::string TensorFolder::matrices() const {
  StoredValues values{};
  for (const auto& [name, at] : where_) {
    const TensorInfo& tensor = *files_[at].find(name);
    if (tensor.stored && tensor.shape.size() > 1)
      values[static_cast<std::size_t>(*tensor.stored)] += tensor.count();
  }
  return names_of(values);
}

namespace {
constexpr std::pair<Stored, const char*> plain_dtypes[] = {
    {Stored::f32, "F32"}, {Stored::f16, "F16"}, {Stored::bf16, "BF16"}};

// Bytes that all values of a kind lie at a multiple of.
std::int64_t alignment(Stored kind) {
  return is_quantised(kind) ? 1 : bytes_per_block(kind);
}
nlohmann::ordered_json entry(const StoredToWrite& t, std::uint64_t at) {
  std::vector<std::int64_t> shape = t.shape;
  const Stored kind = t.as.kind;
  std::string dtype = "U8";
  for (const auto& [plain, name] : plain_dtypes)
    if (plain == kind) dtype = name;
  if (is_quantised(kind))
    shape.back() = shape.back() / values_per_block(kind) * bytes_per_block(kind);
  return {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {at, at + t.as.bytes.size()}}};
}
}  // namespace

Status write_stored(const std::string& path, std::span<const StoredToWrite> tensors) {
  std::vector<const StoredToWrite*> order;
  for (const auto& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) {
    const std::int64_t wide = alignment(a->as.kind), other = alignment(b->as.kind);
    return wide != other ? wide > other : a->name < b->name;
  });
  std::map<Stored, std::vector<std::string>> blocks;
  for (const auto* t : order)
    if (is_quantised(t->as.kind)) blocks[t->as.kind].push_back(t->name);
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  if (!blocks.empty()) header["__metadata__"][stored_tensors_key] = stored_tensors_text(blocks);
  std::uint64_t at = 0;
  for (const auto* t : order) {
    header[t->name] = entry(*t, at);
    at += t->as.bytes.size();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string prefix(8, '\0');
  const std::uint64_t length = text.size();
  std::memcpy(prefix.data(), &length, 8);
  std::vector<std::string_view> parts = {prefix, text};
  for (const auto* t : order)
    parts.emplace_back(reinterpret_cast<const char*>(t->as.bytes.data()), t->as.bytes.size());
  return write_file(path, parts);
}

Status write_tensors(const std::string& path, std::span<const TensorToWrite> tensors) {
  std::vector<StoredToWrite> plain;
  for (const auto& t : tensors)
    plain.push_back({t.name, t.shape, {Stored::f32, std::as_bytes(t.values)}});
  return write_stored(path, plain);
}
}  // namespace kairo::gpu
