// gpu/serve/routes.h - which paths take which methods, and what a request's head is refused for
// before a byte of its body is read. Pure.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kairo::gpu {
constexpr std::size_t body_bytes_max = 4 << 20;

struct Head {
  std::string method, path;
  std::optional<std::string> length, coding;  // Content-Length, Transfer-Encoding
  bool says_twice = false;                    // one of the two, more than once
  bool is_form = false;                       // multipart/form-data
};
struct Refusal {
  int status = 400;
  std::string why;
  std::string allow = {};  // 405: the methods that the path takes
  // There is no body, or one that is framed and small enough to be heard first.
  bool can_go_on = false;
};

// "GET, HEAD" or "POST"; "": there is no such path.
std::string_view methods_of(std::string_view path);
bool is_chunked(const Head& head);
bool has_body(const Head& head);
std::optional<Refusal> refusal_of(const Head& head);
// Whether a request with that Authorization header may have the path: probes and metrics are for
// all, what asks the model is for who knows the key. How long it takes tells nothing of the key.
bool may_ask(const std::string& key, std::string_view path, const std::string& authorization);
}  // namespace kairo::gpu
