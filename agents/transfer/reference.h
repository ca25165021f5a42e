// agents/transfer/reference.h - the name of an image: registry, repository, tag or digest.
#pragma once
#include <string>

#include "schemas/base/result.h"

namespace kairo::transfer {
struct Reference {
  std::string domain;      // "docker.io", "localhost:5000", "[::1]:5000": as credentials name it
  std::string repository;  // "library/busybox"
  std::string tag;         // "latest" when neither tag nor digest was written
  std::string digest;      // "sha256:<64 hex>", "" = by tag
};
// docker's grammar and defaults. invalid: "Unable to parse image reference ...", with the rule.
Result<Reference> parse_reference(const std::string& text);
std::string text_of(const Reference& reference);      // normalised, with tag and digest
std::string api_host_of(const Reference& reference);  // "registry-1.docker.io" for docker.io
// localhost, 127.0.0.0/8 or [::1], any port: there plain http is common and safe.
bool is_loopback_host(const std::string& host);
// "sha256:" and 64 lower-case hexadecimal digits.
bool is_sha256_digest(const std::string& text);
}  // namespace kairo::transfer
