// agents/transfer/registry_status.cpp - the status table of the upload protocol, registries'
// quirks.
#include "agents/transfer/registry_status.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "agents/transfer/text.h"

namespace kairo::transfer {
namespace {
using Json = nlohmann::json;
bool is_success(Step step, int status) {
  switch (step) {
    case Step::head:
      return status == 200;
    case Step::start:
    case Step::patch:
      return status == 202;
    case Step::ask:
      return status == 204 || status == 202 || status == 200;
    case Step::finish:
    case Step::manifest:
      return status == 201 || status == 204 || status == 202 || status == 200;
  }
  return false;
}
bool is_transient(int status) {
  return status == 408 || status == 425 || status == 429 || status == 499 || status >= 500;
}
std::string printable(std::string text) {
  constexpr std::size_t text_max = 300;
  if (text.size() > text_max) text.resize(text_max);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}
const char* phrase_of(int status) {
  struct Row {
    int status;
    const char* phrase;
  };
  static constexpr Row rows[] = {
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {410, "Gone"},
      {413, "Content Too Large"},
      {416, "Range Not Satisfiable"},
      {429, "Too Many Requests"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
  };
  for (const Row& row : rows)
    if (row.status == status) return row.phrase;
  return "";
}
}  // namespace

Reaction reaction_to(Step step, int status) {
  if (is_success(step, status)) return Reaction::done;
  const bool is_upload = step == Step::patch || step == Step::ask || step == Step::finish;
  switch (status) {
    case 201:  // on PATCH: the registry keeps the first chunk only
      return step == Step::patch ? Reaction::whole_blob : Reaction::refused;
    case 301:
    case 302:
      return step == Step::head ? Reaction::redirect : Reaction::refused;
    case 307:
    case 308:
      return Reaction::redirect;
    case 400:  // SIZE_INVALID, DIGEST_INVALID, BLOB_UPLOAD_INVALID
      return is_upload ? Reaction::new_session : Reaction::refused;
    case 401:
      return Reaction::authenticate;
    case 404:
      if (step == Step::head) return Reaction::absent;
      return is_upload ? Reaction::new_session : Reaction::refused;
    case 405:
    case 501:
      return step == Step::patch ? Reaction::whole_blob : Reaction::refused;
    case 413:
      return step == Step::patch ? Reaction::smaller_chunks : Reaction::refused;
    case 416:
      return is_upload ? Reaction::ask_offset : Reaction::refused;
    default:
      return is_transient(status) ? Reaction::again : Reaction::refused;
  }
}
std::string described(int status, const std::string& body) {
  const std::string number = std::to_string(status);
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("errors") && json["errors"].is_array() &&
      !json["errors"].empty() && json["errors"][0].is_object()) {
    const Json& first = json["errors"][0];
    return printable(number + " " + string_at(first, "code") + ": " + string_at(first, "message"));
  }
  if (json.is_object() && json.contains("details"))  // a token server's
    return printable(number + " " + string_at(json, "details"));
  const std::string phrase = phrase_of(status);
  return phrase.empty() ? number : number + " " + phrase;
}
std::int64_t retry_after_s(const std::string& header, std::int64_t now_s) {
  if (header.empty()) return -1;
  std::int64_t seconds = 0;
  const char* end = header.data() + header.size();
  const auto [rest, error] = std::from_chars(header.data(), end, seconds);
  if (error == std::errc() && rest == end) return std::max<std::int64_t>(0, seconds);
  const std::int64_t at_s = curl_getdate(header.c_str(), nullptr);
  return at_s < 0 ? -1 : std::max<std::int64_t>(0, at_s - now_s);
}
std::int64_t next_offset(const std::string& range, std::uint64_t known) {
  std::string_view text = range;
  if (text.starts_with("bytes=")) text.remove_prefix(6);
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos || text.substr(0, dash) != "0") return -1;
  std::int64_t last = 0;
  const std::string_view number = text.substr(dash + 1);
  const char* end = number.data() + number.size();
  const auto [rest, error] = std::from_chars(number.data(), end, last);
  if (error != std::errc() || rest != end || last < 0) return -1;
  if (last == 0) return known == 1 ? 1 : 0;
  return last + 1;
}
bool takes_chunks(const std::string& host) {
  const auto ends = [&](std::string_view tail) { return host.ends_with(tail); };
  const bool is_ecr = ends(".amazonaws.com") || ends(".amazonaws.com.cn");
  const bool is_google = ends(".pkg.dev") || host == "gcr.io" || ends(".gcr.io");
  return !is_ecr && !is_google && !ends(".azurecr.io") && host != "ghcr.io" &&
         host != "registry-1.docker.io" && host != "quay.io";
}
}  // namespace kairo::transfer
