// schemas/base/digest.h - SHA-256 (FIPS 180-4) and the short names made from it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace kairo {
class Sha256 {  // incremental; one thread
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::string_view bytes);
  std::string hex();  // 64 lower-case digits; the object is spent afterwards

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
std::string sha256_hex(std::string_view bytes);
// The name that git gives a file of these bytes: SHA-1 over "blob <size>\0" and them, 40 digits. It
// names; it proves nothing against a forger.
std::string git_blob_id(std::string_view bytes);
// First `length` (<= 50) characters of base32 (a-z, 2-7) of SHA-256: starts with a letter, so it
// fits every Kubernetes name rule. 11 characters are 55 bits: collision-safe to millions of names.
std::string short_name(std::string_view bytes, std::size_t length);
}  // namespace kairo
