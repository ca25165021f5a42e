// agents/transfer/url.cpp - libcurl's URL parser.
#include "agents/transfer/url.h"

#include <curl/curl.h>

#include <memory>

#include "agents/transfer/text.h"

namespace kairo::transfer {
namespace {
constexpr std::size_t url_bytes_max = 16 * 1024;
struct Free {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, Free>;

std::string part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK) return "";
  std::string out = text;
  curl_free(text);
  return out;
}
Result<Url> read(CURLU* handle, const std::string& written) {
  Url out;
  out.text = part(handle, CURLUPART_URL);
  out.scheme = lower(part(handle, CURLUPART_SCHEME));
  out.host = lower(part(handle, CURLUPART_HOST));
  out.port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  out.path = part(handle, CURLUPART_PATH);
  out.has_userinfo =
      !part(handle, CURLUPART_USER).empty() || !part(handle, CURLUPART_PASSWORD).empty();
  if (out.scheme != "http" && out.scheme != "https")
    return Error{Code::invalid, redacted_text(written) + ": only http and https URLs are fetched"};
  if (out.host.empty()) return Error{Code::invalid, redacted_text(written) + ": no host"};
  return out;
}
}  // namespace

Result<Url> parse_url(const std::string& text) {
  const Handle handle(curl_url());
  if (text.size() > url_bytes_max) return Error{Code::invalid, "a URL of more than 16 KiB"};
  if (handle == nullptr || curl_url_set(handle.get(), CURLUPART_URL, text.c_str(),
                                        CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    return Error{Code::invalid,
                 redacted_text(text) + ": not a URL; write https://host/path or http://host/path"};
  return read(handle.get(), text);
}
Result<Url> resolve_url(const Url& base, const std::string& location) {
  const Handle handle(curl_url());
  if (handle == nullptr || location.empty() || location.size() > url_bytes_max ||
      curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
          CURLUE_OK)
    return Error{Code::invalid, redacted(base) + ": its Location header is not a URL"};
  return read(handle.get(), location);
}
bool is_same_origin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}
std::string redacted(const Url& url) {
  return redacted_text(url.text);
}
std::string redacted_text(const std::string& url) {
  std::string out = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = out.find("://");
  const std::size_t start = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t at = out.substr(0, out.find('/', start)).rfind('@');
  if (at != std::string::npos && at >= start) out.erase(start, at + 1 - start);
  constexpr std::size_t text_max = 300;
  if (out.size() > text_max) out.resize(text_max);
  return out;
}
}  // namespace kairo::transfer
