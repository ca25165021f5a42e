// agents/transfer/reference.cpp - the grammar of distribution/reference, by hand.
#include "agents/transfer/reference.h"

#include <algorithm>
#include <string_view>

namespace kairo::transfer {
namespace {
constexpr std::size_t name_max = 255, tag_max = 128;

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}
// [a-z0-9]+ joined by one of . _ __ or any number of -
bool is_path_component(std::string_view text) {
  const auto is_word = [](char c) { return is_lower(c) || is_digit(c); };
  if (text.empty() || !is_word(text.front()) || !is_word(text.back())) return false;
  for (std::size_t i = 0; i < text.size();) {
    if (is_word(text[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && text[end] == text[i]) ++end;
    const std::size_t count = end - i;
    const bool is_separator =
        (text[i] == '.' && count == 1) || (text[i] == '_' && count <= 2) || text[i] == '-';
    if (!is_separator || !is_word(text[end])) return false;
    i = end;
  }
  return true;
}
bool is_repository(std::string_view text) {
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('/', start), text.size());
    if (!is_path_component(text.substr(start, end - start))) return false;
    start = end + 1;
  }
  return true;
}
bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 && std::all_of(text.begin(), text.end(), is_digit);
}
bool is_domain(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const std::string_view inside = text.substr(1, end - 1);
    const auto is_address = [](char c) {
      return is_hex(c) || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
    };
    if (!std::all_of(inside.begin(), inside.end(), is_address)) return false;
    return end + 1 == text.size() || (text[end + 1] == ':' && is_port(text.substr(end + 2)));
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && !is_port(text.substr(colon + 1))) return false;
  const std::string_view host = text.substr(0, colon);
  for (std::size_t start = 0; start <= host.size();) {
    const std::size_t end = std::min(host.find('.', start), host.size());
    const std::string_view label = host.substr(start, end - start);
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    for (const char c : label)
      if (!is_letter(c) && !is_digit(c) && c != '-') return false;
    start = end + 1;
  }
  return true;
}
bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > tag_max) return false;
  if (text.front() == '.' || text.front() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == '-';
  });
}
bool names_a_domain(std::string_view first) {
  if (first.find_first_of(".:") != std::string_view::npos || first == "localhost") return true;
  return std::any_of(first.begin(), first.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}
}  // namespace

Result<Reference> parse_reference(const std::string& text) {
  const auto bad = [&](const std::string& why) {
    return Error{Code::invalid, "Unable to parse image reference \"" + text.substr(0, 300) +
                                    "\": " + why + "; write it as registry/repository:tag"};
  };
  Reference out;
  std::string rest = text;
  if (const std::size_t at = rest.find('@'); at != std::string::npos) {
    out.digest = rest.substr(at + 1);
    rest.resize(at);
    if (!is_sha256_digest(out.digest))
      return bad("the digest is not sha256: and 64 hexadecimal digits");
  }
  const std::size_t slash = rest.rfind('/');
  const std::size_t colon = rest.rfind(':');
  if (colon != std::string::npos && (slash == std::string::npos || colon > slash)) {
    out.tag = rest.substr(colon + 1);
    rest.resize(colon);
    if (!is_tag(out.tag)) return bad("invalid reference format: the tag");
  }
  const std::size_t first = rest.find('/');
  if (first != std::string::npos && names_a_domain(std::string_view(rest).substr(0, first))) {
    out.domain = rest.substr(0, first);
    out.repository = rest.substr(first + 1);
  } else {
    out.domain = "docker.io";
    out.repository = rest;
  }
  if (out.domain == "index.docker.io") out.domain = "docker.io";
  if (out.domain == "docker.io" && out.repository.find('/') == std::string::npos)
    out.repository.insert(0, "library/");
  if (!is_domain(out.domain)) return bad("invalid reference format: the registry");
  if (std::any_of(out.repository.begin(), out.repository.end(),
                  [](char c) { return c >= 'A' && c <= 'Z'; }))
    return bad("invalid reference format: repository name must be lowercase");
  if (!is_repository(out.repository)) return bad("invalid reference format: the repository");
  if (out.domain.size() + 1 + out.repository.size() > name_max)
    return bad("repository name must not be more than 255 characters");
  if (out.tag.empty() && out.digest.empty()) out.tag = "latest";
  return out;
}
std::string text_of(const Reference& reference) {
  return reference.domain + "/" + reference.repository +
         (reference.tag.empty() ? "" : ":" + reference.tag) +
         (reference.digest.empty() ? "" : "@" + reference.digest);
}
std::string api_host_of(const Reference& reference) {
  return reference.domain == "docker.io" ? "registry-1.docker.io" : reference.domain;
}
bool is_loopback_host(const std::string& host) {
  if (host.starts_with("[")) return host.starts_with("[::1]");
  const std::string name = host.substr(0, host.find(':'));
  if (name == "localhost") return true;
  if (!name.starts_with("127.") || std::count(name.begin(), name.end(), '.') != 3) return false;
  return name.find_first_not_of("0123456789.") == std::string::npos;
}
bool is_sha256_digest(const std::string& text) {
  constexpr std::string_view prefix = "sha256:";
  return text.size() == prefix.size() + 64 && text.starts_with(prefix) &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(prefix.size()), text.end(), is_hex);
}
}  // namespace kairo::transfer
