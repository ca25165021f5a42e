// agents/admission/admit_words.cpp - names, references, URLs.
#include "agents/admission/admit_words.h"

#include <arpa/inet.h>

#include <regex>

#include "schemas/catalogue/catalogue.h"

namespace kairo::admission {
namespace {
bool is_dns(const std::string& name, std::size_t longest, bool dots) {
  if (name.empty() || name.size() > longest) return false;
  bool start = true;  // of a label
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool last = i + 1 == name.size() || (dots && name[i + 1] == '.');
    if (dots && c == '.' && !start && !last) {
      start = true;
      continue;
    }
    if (!word && !(c == '-' && !start && !last)) return false;
    start = false;
  }
  return true;
}
struct Ip {
  bool is = false, loopback = false, reserved = false;  // reserved: private or link-local
};
Ip ip_of(const std::string& host) {
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    const std::uint32_t a = ntohl(v4.s_addr);
    const bool loop = a >> 24 == 127;
    const bool reserved =
        a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe || a == 0;
    return {true, loop, reserved};
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return {};
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
    return ip_of(text);
  }
  const bool reserved =
      (v6.s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_LINKLOCAL(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6);
  return {true, static_cast<bool>(IN6_IS_ADDR_LOOPBACK(&v6)), reserved};
}
std::string host_of(const std::string& authority) {
  std::string host = authority.substr(authority.rfind('@') + 1);  // npos + 1 = 0
  if (host.starts_with("[")) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}
}  // namespace

const Json& field(const Json& object, const char* key) {
  static const Json none;
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}
std::string text_of(const Json& object, const char* key) {
  const Json& value = field(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}
bool is_empty_text(const Json& value) {
  return value.is_string() && value.get_ref<const std::string&>().empty();
}
std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
std::string wrong_with_label(const std::string& name) {
  if (name.size() > 63) return "must be no more than 63 bytes";
  if (is_dns(name, 63, false)) return {};
  return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
         "and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
         "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
}
bool is_dns_subdomain(const std::string& name) {
  return is_dns(name, 253, true);
}

bool is_image_reference(const std::string& text) {
  static const std::regex grammar(
      "(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?/)?"
      "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*"
      "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?");
  return text.size() <= 512 && std::regex_match(text, grammar);
}

bool is_preset(const std::string& name) {
  if (catalogue::find_preset(name) != nullptr) return true;
  const std::size_t slash = name.find('/');
  return slash != std::string::npos && slash > 0 && slash + 1 < name.size() &&
         name.find('/', slash + 1) == std::string::npos;
}

void check_url(Findings& out, const std::string& url, bool allow_loopback) {
  const std::size_t colon = url.find("://");
  const std::string scheme = colon == std::string::npos ? "" : lower(url.substr(0, colon));
  const std::size_t from = colon == std::string::npos ? url.size() : colon + 3;
  const std::string host = lower(host_of(url.substr(from, url.find_first_of("/?#", from) - from)));
  if (colon == std::string::npos || host.empty() || url.find_first_of(" \t\n") != std::string::npos)
    return out.invalid("invalid data source URL", "tuning.Input.URLs");
  if (scheme != "http" && scheme != "https")
    return out.invalid("data source URL must use HTTP or HTTPS", "tuning.Input.URLs");
  const bool local = host == "localhost" || host.ends_with(".localhost");
  const bool metadata = host == "metadata.google.internal" || host == "metadata.google" ||
                        host == "instance-data.ec2.internal";
  if (metadata || (local && !allow_loopback))
    return out.invalid("data source URL must not target a local or metadata endpoint",
                       "tuning.Input.URLs");
  const Ip ip = ip_of(host);
  if (ip.is && (ip.reserved || (ip.loopback && !allow_loopback)))
    out.invalid("data source URL must not target a loopback, private, or link-local address",
                "tuning.Input.URLs");
}
}  // namespace kairo::admission
