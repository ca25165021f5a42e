// gpu/serve/routes.cpp
#include "gpu/serve/routes.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace kairo::gpu {
namespace {
constexpr std::string_view questions[] = {"/v1/chat/completions", "/v1/completions", "/chat",
                                          "/v1/load_lora_adapter", "/v1/unload_lora_adapter"};
constexpr std::string_view states[] = {"/", "/health", "/metrics", "/version", "/v1/models"};
constexpr std::string_view one_model = "/v1/models/";

bool is_among(const auto& paths, std::string_view path) {
  return std::find(std::begin(paths), std::end(paths), path) != std::end(paths);
}
// Of a length that has_sane_length() has seen.
std::size_t bytes_of(const std::string& length) {
  std::size_t bytes = 0;
  const auto read = std::from_chars(length.data(), length.data() + length.size(), bytes);
  return read.ec == std::errc::result_out_of_range ? SIZE_MAX : bytes;
}
bool has_sane_length(const std::string& length) {
  return !length.empty() && length.find_first_not_of("0123456789") == std::string::npos;
}
// Where the body ends is not known, or not the same to everybody.
std::optional<std::string> ill_framed(const Head& head) {
  if (head.says_twice) return "Content-Length or Transfer-Encoding is there twice: send one";
  if (head.coding && head.length)
    return "Content-Length and Transfer-Encoding are both there: send one";
  if (head.coding && !is_chunked(head))
    return "Transfer-Encoding is " + *head.coding + ": only chunked is taken";
  if (head.length && !has_sane_length(*head.length))
    return "Content-Length is " + *head.length + ": it must be a number of bytes";
  return std::nullopt;
}
}  // namespace

std::string_view methods_of(std::string_view path) {
  if (is_among(questions, path)) return "POST";
  const bool is_model = path.starts_with(one_model) && path.size() > one_model.size();
  return is_among(states, path) || is_model ? "GET, HEAD" : "";
}
bool is_chunked(const Head& head) {
  return head.coding && ::strcasecmp(head.coding->c_str(), "chunked") == 0;
}
bool has_body(const Head& head) {
  return head.coding || (head.length && *head.length != "0");
}

bool may_ask(const std::string& key, std::string_view path, const std::string& authorization) {
  if (key.empty() || !(path.starts_with("/v1/") || path == "/chat")) return true;
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() < scheme.size() ||
      ::strncasecmp(authorization.c_str(), scheme.data(), scheme.size()) != 0)
    return false;
  const std::string_view given = std::string_view(authorization).substr(scheme.size());
  unsigned differs = given.size() == key.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i)
    differs |= static_cast<unsigned char>(given[i] ^ key[i % key.size()]);
  return differs == 0;
}

std::optional<Refusal> refusal_of(const Head& head) {
  if (auto why = ill_framed(head)) return Refusal{400, std::move(*why)};
  const std::size_t bytes = head.length ? bytes_of(*head.length) : 0;
  const bool fits = bytes <= body_bytes_max;
  const std::string_view methods = methods_of(head.path);
  if (head.path == "/v1/embeddings")
    return Refusal{404, "embeddings are not computed here: these models answer", {}, fits};
  if (methods.empty())
    return Refusal{404,
                   "no such path; there are POST /v1/chat/completions, /v1/completions, /chat, "
                   "/v1/load_lora_adapter, /v1/unload_lora_adapter and "
                   "GET /v1/models, /v1/models/NAME, /health, /metrics, /version",
                   {},
                   fits};
  const bool takes =
      methods == "POST" ? head.method == "POST" : head.method == "GET" || head.method == "HEAD";
  if (!takes)
    return Refusal{405, "no such method here; there is " + std::string(methods),
                   std::string(methods), fits};
  if (head.method != "POST") return std::nullopt;
  if (!head.length && !head.coding)
    return Refusal{411, "the request needs a Content-Length, or Transfer-Encoding: chunked"};
  if (!fits)
    return Refusal{413, "the body is larger than " + std::to_string(body_bytes_max >> 20) + " MiB"};
  if (head.is_form) return Refusal{415, "the body must be JSON (Content-Type: application/json)"};
  return std::nullopt;
}
}  // namespace kairo::gpu
