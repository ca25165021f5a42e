// schemas/base/digest.cpp - SHA-256, SHA-1 and MD5 by OpenSSL.
#include "schemas/base/digest.h"

#include <openssl/evp.h>

#include <array>

#include "schemas/base/assert.h"
#include "schemas/base/md5.h"

namespace kairo {
struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
};
Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  KAIRO_ASSERT(EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) == 1,
               "OpenSSL has SHA-256");
}
Sha256::~Sha256() {
  EVP_MD_CTX_free(impl_->context);
}
void Sha256::update(std::string_view bytes) {
  EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}
namespace {
std::array<unsigned char, 32> finish(EVP_MD_CTX* context) {
  std::array<unsigned char, 32> out{};
  EVP_DigestFinal_ex(context, out.data(), nullptr);
  return out;
}
template <std::size_t N>
std::string hex_of(const std::array<unsigned char, N>& bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text.push_back("0123456789abcdef"[byte >> 4]);
    text.push_back("0123456789abcdef"[byte & 15]);
  }
  return text;
}
}  // namespace
std::string Sha256::hex() {
  return hex_of(finish(impl_->context));
}
std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}
struct Md5::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
};
Md5::Md5() : impl_(std::make_unique<Impl>()) {
  KAIRO_ASSERT(EVP_DigestInit_ex(impl_->context, EVP_md5(), nullptr) == 1, "OpenSSL has MD5");
}
Md5::~Md5() {
  EVP_MD_CTX_free(impl_->context);
}
void Md5::update(std::string_view bytes) {
  EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}
std::string Md5::hex() {
  std::array<unsigned char, 16> out{};
  EVP_DigestFinal_ex(impl_->context, out.data(), nullptr);
  return hex_of(out);
}
std::string git_blob_id(std::string_view bytes) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  KAIRO_ASSERT(EVP_DigestInit_ex(context, EVP_sha1(), nullptr) == 1, "OpenSSL has SHA-1");
  const std::string head = "blob " + std::to_string(bytes.size()) + '\0';
  EVP_DigestUpdate(context, head.data(), head.size());
  EVP_DigestUpdate(context, bytes.data(), bytes.size());
  std::array<unsigned char, 20> out{};
  EVP_DigestFinal_ex(context, out.data(), nullptr);
  EVP_MD_CTX_free(context);
  return hex_of(out);
}
std::string short_name(std::string_view bytes, std::size_t length) {
  KAIRO_ASSERT(length >= 1 && length <= 50, "32 bytes give 51 base32 characters");
  const std::string hex = sha256_hex(bytes);
  std::string bits;
  for (const char c : hex) {
    const int value = c <= '9' ? c - '0' : c - 'a' + 10;
    for (int b = 3; b >= 0; --b) bits.push_back(static_cast<char>('0' + ((value >> b) & 1)));
  }
  std::string name;
  for (std::size_t i = 0; i < length; ++i) {
    int value = 0;
    for (std::size_t b = 0; b < 5; ++b) value = value * 2 + (bits[i * 5 + b] - '0');
    if (i == 0) value %= 26;  // a letter
    name.push_back("abcdefghijklmnopqrstuvwxyz234567"[value]);
  }
  return name;
}
}  // namespace kairo
