// agents/transfer/image.h - an adapter as an OCI image whose digest depends on its files only.
//
// Layers are uncompressed tars that exist nowhere: header, file bytes and padding are read where
// they are. Entries are sorted, owner and time are 0, so rebuilding gives the same digest.
//   layer 0: data/, data/adapter_config.json          layer 1: data/adapter_model.safetensors
// Other files of a folder (a checkpoint's) become an image in the same way.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::transfer {
struct Segment {  // some bytes, or a whole file of `size` bytes
  std::string bytes;
  std::string path;  // "" = bytes
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  // of the file; another value later means that it was replaced
};
struct Blob {
  std::string media_type;
  std::string digest;  // "sha256:..."
  std::uint64_t size = 0;
  std::vector<Segment> segments;
  std::string title;  // annotation org.opencontainers.image.title; "" = none
};
struct Image {
  Blob config;
  std::vector<Blob> layers;
  std::string manifest;  // the exact bytes
  std::string digest;    // of the manifest
  std::uint64_t bytes = 0;
};
struct ImageSource {
  std::string directory;  // holds adapter_config.json and adapter_model.safetensors
  std::string model_name;
  std::map<std::string, std::string> annotations;  // added to the manifest's
  std::vector<std::string> files{};  // of the directory, a layer each; empty: the adapter's two
};
// Reads each file once. not_found: a file is missing. invalid: a file is empty or not a plain file.
// conflict: a file changed meanwhile. unavailable: a disk error.
Result<Image> plan_image(const ImageSource& source);

class BlobReader {  // random access to a Blob's bytes; one thread
 public:
  explicit BlobReader(const Blob& blob);  // the blob must outlive the reader
  ~BlobReader();
  BlobReader(const BlobReader&) = delete;
  BlobReader& operator=(const BlobReader&) = delete;
  // Fills `into` from `offset` on; fewer bytes only at the end. conflict: the file was replaced or
  // cut since it was hashed. unavailable: a disk error.
  Result<std::size_t> read(std::uint64_t offset, char* into, std::size_t size);

 private:
  Result<std::size_t> read_file(std::size_t index, std::uint64_t offset, char* into,
                                std::size_t size);
  const Blob& blob_;
  std::vector<int> files_;  // descriptor of each segment, -1 = not open
};
}  // namespace kairo::transfer
