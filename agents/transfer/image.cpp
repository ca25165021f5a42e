// agents/transfer/image.cpp - ustar headers, one pass of SHA-256, canonical JSON.
#include "agents/transfer/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "schemas/base/digest.h"

namespace kairo::transfer {
namespace {
using Ordered = nlohmann::ordered_json;
constexpr std::size_t block_bytes = 512, read_bytes = 1 << 20;
constexpr std::uint64_t ustar_size_max = (1ULL << 33) - 1;  // 11 octal digits
constexpr const char* layer_type = "application/vnd.oci.image.layer.v1.tar";
constexpr const char* config_type = "application/vnd.oci.image.config.v1+json";
constexpr const char* manifest_type = "application/vnd.oci.image.manifest.v1+json";

void put_octal(std::string& block, std::size_t at, std::size_t digits, std::uint64_t value) {
  for (std::size_t i = digits; i-- > 0; value >>= 3)
    block[at + i] = static_cast<char>('0' + (value & 7));
}
// One header: owner 0:0 without names, time 0.
std::string tar_header(const std::string& name, char type, std::uint64_t size) {
  std::string block(block_bytes, '\0');
  name.copy(block.data(), 100);
  put_octal(block, 100, 7, type == '5' ? 0755 : 0644);
  put_octal(block, 108, 7, 0);
  put_octal(block, 116, 7, 0);
  put_octal(block, 124, 11, std::min(size, ustar_size_max));
  put_octal(block, 136, 11, 0);
  std::fill_n(block.begin() + 148, 8, ' ');
  block[156] = type;
  std::memcpy(block.data() + 257, "ustar\00000", 8);
  put_octal(block, 329, 7, 0);
  put_octal(block, 337, 7, 0);
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_octal(block, 148, 6, sum);
  block[154] = '\0';
  return block;
}
std::string padding(std::uint64_t size) {
  return std::string((block_bytes - size % block_bytes) % block_bytes, '\0');
}
// A pax record before a file that ustar cannot count (8 GiB and more).
std::string size_record(std::uint64_t size) {
  const std::string body = " size=" + std::to_string(size) + "\n";
  const std::string record = std::to_string(body.size() + 2) + body;  // two digits: 24 to 33 bytes
  return tar_header("PaxHeaders/size", 'x', record.size()) + record + padding(record.size());
}
Error no_file(const std::string& path, int number) {
  const Code code = number == ENOENT ? Code::not_found : Code::unavailable;
  return {code, "read " + path + ": " + std::strerror(number)};
}
Result<Segment> file_segment(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return no_file(path, errno);
  if (!S_ISREG(info.st_mode)) return Error{Code::invalid, path + " is not a plain file"};
  if (info.st_size == 0) return Error{Code::invalid, path + " is empty"};
  Segment out;
  out.path = path;
  out.size = static_cast<std::uint64_t>(info.st_size);
  out.modified_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
  return out;
}
Segment literal(std::string bytes) {
  Segment out;
  out.size = bytes.size();
  out.bytes = std::move(bytes);
  return out;
}
Status close_blob(Blob& blob) {  // size and digest of its segments
  for (const Segment& segment : blob.segments) blob.size += segment.size;
  BlobReader reader(blob);
  Sha256 hash;
  std::vector<char> buffer(read_bytes);
  for (std::uint64_t at = 0; at < blob.size;) {
    const std::size_t got = TRY(reader.read(at, buffer.data(), buffer.size()));
    hash.update({buffer.data(), got});
    at += got;
  }
  blob.digest = "sha256:" + hash.hex();
  return ok();
}
Result<Blob> layer_of(const std::string& before, const std::string& directory,
                      const std::string& file) {
  Segment data = TRY(file_segment(directory + "/" + file));
  std::string head = before;
  if (data.size > ustar_size_max) head += size_record(data.size);
  head += tar_header("data/" + file, '0', data.size);
  std::string tail = padding(data.size) + std::string(2 * block_bytes, '\0');
  Blob out;
  out.media_type = layer_type;
  out.title = file.substr(0, file.find('.')) + ".tar";
  out.segments.push_back(literal(std::move(head)));
  out.segments.push_back(std::move(data));
  out.segments.push_back(literal(std::move(tail)));
  TRY(close_blob(out));
  return out;
}
Ordered descriptor(const Blob& blob) {
  Ordered out = {{"mediaType", blob.media_type}, {"digest", blob.digest}, {"size", blob.size}};
  if (!blob.title.empty()) out["annotations"] = {{"org.opencontainers.image.title", blob.title}};
  return out;
}
}  // namespace

Result<Image> plan_image(const ImageSource& source) {
  Image image;
  std::vector<std::string> files = source.files;
  if (files.empty()) files = {"adapter_config.json", "adapter_model.safetensors"};
  for (const std::string& file : files) {
    const std::string before = image.layers.empty() ? tar_header("data/", '5', 0) : "";
    image.layers.push_back(TRY(layer_of(before, source.directory, file)));
  }
  Ordered diff_ids = Ordered::array(), layers = Ordered::array();
  for (const Blob& layer : image.layers) {
    diff_ids.push_back(layer.digest);  // uncompressed: the layer is its own diff
    layers.push_back(descriptor(layer));
    image.bytes += layer.size;
  }
  std::map<std::string, std::string> annotations = source.annotations;
  if (!source.model_name.empty()) annotations["sh.kaito.model.name"] = source.model_name;
  const Ordered config = {{"architecture", "amd64"},
                          {"os", "linux"},
                          {"config", {{"Labels", annotations}}},
                          {"rootfs", {{"type", "layers"}, {"diff_ids", std::move(diff_ids)}}}};
  image.config.media_type = config_type;
  try {  // dump() throws when a caller's annotation is not UTF-8
    image.config.segments.push_back(literal(config.dump()));
    TRY(close_blob(image.config));
    Ordered manifest = {{"schemaVersion", 2},
                        {"mediaType", manifest_type},
                        {"config", descriptor(image.config)},
                        {"layers", std::move(layers)}};
    if (!annotations.empty()) manifest["annotations"] = annotations;
    image.manifest = manifest.dump();
  } catch (const Ordered::exception&) {
    return Error{Code::invalid, "an annotation of the image is not UTF-8"};
  }
  image.digest = "sha256:" + sha256_hex(image.manifest);
  image.bytes += image.config.size + image.manifest.size();
  return image;
}

BlobReader::BlobReader(const Blob& blob) : blob_(blob), files_(blob.segments.size(), -1) {}
BlobReader::~BlobReader() {
  for (const int file : files_)
    if (file >= 0) close(file);
}
Result<std::size_t> BlobReader::read_file(std::size_t index, std::uint64_t offset, char* into,
                                          std::size_t size) {
  const Segment& segment = blob_.segments[index];
  int& file = files_[index];
  if (file < 0) file = open(segment.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return no_file(segment.path, errno);
  ssize_t got = -1;
  do got = pread(file, into, size, static_cast<off_t>(offset));
  while (got < 0 && errno == EINTR);
  if (got < 0) return no_file(segment.path, errno);
  struct stat info {};
  if (fstat(file, &info) != 0) return no_file(segment.path, errno);
  const std::int64_t modified_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
  if (got == 0 || modified_ns != segment.modified_ns ||
      static_cast<std::uint64_t>(info.st_size) != segment.size)
    return Error{Code::conflict, segment.path + " changed while it was read"};
  return static_cast<std::size_t>(got);
}
Result<std::size_t> BlobReader::read(std::uint64_t offset, char* into, std::size_t size) {
  std::size_t done = 0;
  std::uint64_t start = 0;
  for (std::size_t i = 0; i < blob_.segments.size() && done < size; ++i) {
    const Segment& segment = blob_.segments[i];
    while (done < size && offset >= start && offset < start + segment.size) {
      const std::uint64_t inside = offset - start;
      const std::size_t want =
          static_cast<std::size_t>(std::min<std::uint64_t>(size - done, segment.size - inside));
      std::size_t got = want;
      if (segment.path.empty())
        segment.bytes.copy(into + done, want, static_cast<std::size_t>(inside));
      else
        got = TRY(read_file(i, inside, into + done, want));
      done += got;
      offset += got;
    }
    start += segment.size;
  }
  return done;
}
}  // namespace kairo::transfer
