// agents/gateway/answer.cpp - errors, paths, pages.
#include "agents/gateway/answer.h"

#include <algorithm>
#include <charconv>

namespace kairo::gateway {
namespace {
constexpr int depth_max = 64;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
std::string unescaped(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() && text[i] == '%' ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_blank && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}
Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}
std::string id_of(const Json& item) {
  return item.value("id", "");
}
}  // namespace

Refusal refusal_of(const Error& error) {
  Refusal out;
  out.message = error.what;
  switch (error.code) {
    case Code::invalid:
      return out;
    case Code::not_found:
      out.status = 404;
      return out;
    case Code::conflict:
      out.status = 409;
      return out;
    case Code::unavailable:
    case Code::pending:
    case Code::expired:
      out.status = 503;
      out.retry_after_s = 2;
      break;
    case Code::corrupt:
      out.status = 500;
      break;
  }
  out.type = "server_error";
  return out;
}
Refusal no_such(const std::string& what, const std::string& id, const std::string& param,
                const std::string& code) {
  return {404, "no such " + what + ": \"" + id.substr(0, 200) + "\"", param, code};
}
std::string error_body(const Refusal& refusal) {
  const Json body = {{"error",
                      {{"message", refusal.message},
                       {"type", refusal.type},
                       {"param", text_or_null(refusal.param)},
                       {"code", text_or_null(refusal.code)}}}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Request::header(const std::string& lower_name) const {
  const auto found = headers.find(lower_name);
  return found == headers.end() ? "" : found->second;
}
Reply reply(const Json& body) {
  Reply out;
  out.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return out;
}
Reply reply(const Refusal& refusal) {
  Reply out;
  out.status = refusal.status;
  out.body = error_body(refusal);
  if (refusal.retry_after_s >= 0)
    out.headers.emplace_back("Retry-After", std::to_string(refusal.retry_after_s));
  else if (refusal.status == 409 || refusal.status == 429 || refusal.status >= 500)
    out.headers.emplace_back("x-should-retry", "false");  // the SDKs would ask twice more
  return out;
}
Reply reply(const Answer<Json>& answer) {
  return answer.ok() ? reply(answer.value()) : reply(answer.error());
}
Answer<Json> json_body(const Request& request, std::size_t bytes_max) {
  std::string text;
  bool is_too_large = false;
  const bool is_whole = !request.read || request.read([&](std::string_view bytes) {
    is_too_large = bytes.size() > bytes_max - text.size();
    if (!is_too_large) text.append(bytes);
    return !is_too_large;
  });
  if (is_too_large)
    return Refusal{413, "the body is larger than " + std::to_string(bytes_max >> 10) + " KiB"};
  if (!is_whole) return Refusal{400, "the body did not come whole"};
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return Json::object();
  int deepest = 0;
  const auto watch_depth = [&](int depth, Json::parse_event_t, Json&) {
    deepest = std::max(deepest, depth);
    return depth <= depth_max;
  };
  Json json = Json::parse(text, watch_depth, false);
  if (deepest > depth_max)
    return Refusal{400, "the body is nested deeper than " + std::to_string(depth_max)};
  if (!json.is_object()) return Refusal{400, "the body is not a JSON object in UTF-8"};
  return json;
}

std::vector<std::string> split_path(std::string_view target) {
  std::string_view rest = target.substr(0, target.find_first_of("?#"));
  std::vector<std::string> out;
  if (rest.starts_with('/')) rest.remove_prefix(1);
  while (!rest.empty()) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    out.push_back(unescaped(rest.substr(0, slash), false));
    rest.remove_prefix(std::min(rest.size(), slash + 1));
  }
  return out;
}
Query parse_query(std::string_view target) {
  Query out;
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return out;
  std::string_view rest = target.substr(mark + 1, target.find('#') - mark - 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (!pair.empty())
      out.emplace(unescaped(pair.substr(0, equals), true),
                  unescaped(pair.substr(std::min(pair.size(), equals + 1)), true));
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  return out;
}

Answer<std::int64_t> number_in(const Query& query, const std::string& name, std::int64_t otherwise,
                               std::int64_t least, std::int64_t most) {
  const auto found = query.find(name);
  if (found == query.end() || found->second.empty()) return otherwise;
  std::int64_t value = 0;
  const char* end = found->second.data() + found->second.size();
  const auto read = std::from_chars(found->second.data(), end, value);
  if (read.ec == std::errc() && read.ptr == end && value >= least && value <= most) return value;
  return Refusal{400,
                 name + " is \"" + found->second.substr(0, 50) + "\"; use a number from " +
                     std::to_string(least) + " to " + std::to_string(most),
                 name};
}
Answer<Json> page(const std::vector<Json>& items, const Query& query, std::int64_t limit,
                  std::int64_t limit_max) {
  const auto wanted = static_cast<std::size_t>(TRY(number_in(query, "limit", limit, 1, limit_max)));
  const auto order = query.find("order");
  const bool is_ascending = order != query.end() && order->second == "asc";
  if (order != query.end() && !is_ascending && order->second != "desc")
    return Refusal{400, "order is \"" + order->second.substr(0, 50) + "\"; use asc or desc",
                   "order"};
  const std::size_t count = items.size();
  const auto at = [&](std::size_t i) -> const Json& {
    return items[is_ascending ? count - 1 - i : i];
  };
  std::size_t first = 0;
  if (const auto after = query.find("after"); after != query.end() && !after->second.empty()) {
    while (first < count && id_of(at(first)) != after->second) ++first;
    if (first == count)
      return Refusal{400,
                     "after is \"" + after->second.substr(0, 200) +
                         "\", which is no id of this list; use the id of the last item",
                     "after"};
    ++first;
  }
  const std::size_t end = std::min(count, first + wanted);
  Json data = Json::array();
  for (std::size_t i = first; i < end; ++i) data.push_back(at(i));
  const Json first_id = data.empty() ? Json() : data.front()["id"];
  const Json last_id = data.empty() ? Json() : data.back()["id"];
  return Json{{"object", "list"},
              {"data", std::move(data)},
              {"has_more", end < count},
              {"first_id", first_id},
              {"last_id", last_id}};
}
}  // namespace kairo::gateway
