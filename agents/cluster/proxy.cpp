// agents/cluster/proxy.cpp - hosts, domains, addresses.
#include "agents/cluster/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <sstream>

namespace kairo::cluster {
namespace {
struct HostPort {
  std::string host, port;
};
std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}
HostPort split(const std::string& text) {  // "[::1]:443", "a:80", "a", "::1"
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string::npos) return {text, ""};
    const bool has_port = end + 1 < text.size() && text[end + 1] == ':';
    return {text.substr(1, end - 1), has_port ? text.substr(end + 2) : ""};
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || text.find(':', colon + 1) != std::string::npos)
    return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}
HostPort target_of(const std::string& url) {
  const std::size_t from = url.find("://");
  if (from == std::string::npos) return {};
  std::string authority = url.substr(from + 3, url.find_first_of("/?#", from + 3) - from - 3);
  authority = authority.substr(authority.rfind('@') + 1);  // npos + 1 = 0
  HostPort out = split(lower(authority));
  if (out.port.empty()) out.port = url.starts_with("https://") ? "443" : "80";
  return out;
}
using Address = std::array<unsigned char, 16>;  // IPv4 mapped into IPv6
std::optional<Address> address_of(const std::string& text) {
  Address out{};
  in_addr four{};
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) {
    out[10] = out[11] = 0xff;
    const auto* bytes = reinterpret_cast<const unsigned char*>(&four.s_addr);
    std::copy(bytes, bytes + 4, out.begin() + 12);
    return out;
  }
  if (inet_pton(AF_INET6, text.c_str(), out.data()) == 1) return out;
  return std::nullopt;
}
bool is_in(const Address& address, const std::string& range) {  // "10.0.0.0/8"
  const std::size_t slash = range.find('/');
  const auto network = address_of(range.substr(0, slash));
  int bits = -1;
  const char* end = range.data() + range.size();
  const auto read = std::from_chars(range.data() + slash + 1, end, bits);
  if (!network || read.ec != std::errc() || read.ptr != end || bits < 0) return false;
  const bool is_four = range.find(':') == std::string::npos;
  if (bits > (is_four ? 32 : 128)) return false;
  if (is_four) bits += 96;
  for (int i = 0; i < bits; ++i) {
    const auto at = static_cast<std::size_t>(i / 8);
    if ((((*network)[at] ^ address[at]) >> (7 - i % 8) & 1) != 0) return false;
  }
  return true;
}
bool is_local(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  const auto address = address_of(host);
  return address && is_in(*address, "127.0.0.0/8");
}
bool names(const std::string& entry, const HostPort& target) {
  if (entry == "*") return true;
  const auto address = address_of(target.host);
  if (entry.find('/') != std::string::npos) return address && is_in(*address, entry);
  HostPort wanted = split(entry);
  if (!wanted.port.empty() && wanted.port != target.port) return false;
  if (address) return address_of(wanted.host) == address;
  if (wanted.host.starts_with("*.")) wanted.host.erase(0, 1);
  if (wanted.host.empty()) return false;
  if (wanted.host.starts_with('.')) return target.host.ends_with(wanted.host);
  return target.host == wanted.host || target.host.ends_with("." + wanted.host);
}
std::string one_of(const Environment& env, const std::string& name) {
  const std::string value = env(name);
  return value.empty() ? env(lower(name)) : value;
}
}  // namespace

std::string proxy_of(const std::string& url, const Environment& env) {
  const HostPort target = target_of(url);
  if (target.host.empty() || is_local(target.host)) return "";
  const std::string proxy = one_of(env, url.starts_with("https://") ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (proxy.empty()) return "";
  std::istringstream entries(lower(one_of(env, "NO_PROXY")));
  for (std::string entry; std::getline(entries, entry, ',');) {
    const auto from = entry.find_first_not_of(" \t");
    if (from == std::string::npos) continue;
    if (names(entry.substr(from, entry.find_last_not_of(" \t") - from + 1), target)) return "";
  }
  return proxy.find("://") == std::string::npos ? "http://" + proxy : proxy;
}
}  // namespace kairo::cluster
