// agents/cluster/watch_stream.cpp - lines, deadlines, ends.
#include "agents/cluster/watch_stream.h"

#include "agents/cluster/api_errors.h"
#include "agents/cluster/json.h"

namespace kairo::cluster {
namespace {
constexpr std::int64_t silent_ms_max = (watch_timeout_s + 15) * 1000;
constexpr std::int64_t silent_with_bookmarks_ms_max = 100'000;  // they come once a minute
// TCP finds a peer that is gone (http.h); through a proxy it finds the proxy, so one looks anew.
constexpr std::int64_t silent_behind_proxy_ms_max = 40'000;
constexpr std::int64_t short_ms = 1000;
constexpr std::size_t line_events_max = 1000;

Result<Event> event_of(const std::string& line) {
  Json json = TRY(parse_object(line, "watch event"));
  const std::string type = text(json, {"type"});
  const Json& object = at(json, {"object"});
  if (type == "ERROR")
    return error_of(static_cast<int>(integer(object, {"code"}, 500)), object.dump(), "watch");
  Event::Type kind = Event::Type::added;
  if (type == "MODIFIED")
    kind = Event::Type::modified;
  else if (type == "DELETED")
    kind = Event::Type::deleted;
  else if (type == "BOOKMARK")
    kind = Event::Type::bookmark;
  else if (type != "ADDED")
    return Error{Code::unavailable, "watch: unknown event type \"" + type.substr(0, 40) + "\""};
  return Event{kind, object.dump()};
}
std::string version_of(const std::string& object) {
  return text(Json::parse(object, nullptr, false), {"metadata", "resourceVersion"});
}
}  // namespace

WatchStream::WatchStream(const HttpRequest& request, std::string version, const Clock& clock)
    : stream_(request),
      has_proxy_(request.peer && !request.peer->proxy.empty()),
      clock_(clock),
      version_(std::move(version)),
      opened_ms_(clock.monotonic_ms()),
      heard_ms_(opened_ms_) {}

Result<std::vector<Event>> WatchStream::parse_lines() {
  std::vector<Event> out;
  std::string& buffer = stream_.buffer();
  std::size_t from = 0;
  while (out.size() < line_events_max) {
    const std::size_t end = buffer.find('\n', from);
    if (end == std::string::npos) break;
    const std::string line = buffer.substr(from, end - from);
    from = end + 1;
    if (line.find_first_not_of(" \r\t") == std::string::npos) continue;
    auto event = event_of(line);
    if (!event.ok()) {
      is_open_ = false;
      if (out.empty()) return event.error();
      break;  // first what came before it; the next watch meets the error again
    }
    has_events_ = true;
    has_bookmarks_ = has_bookmarks_ || event.value().type == Event::Type::bookmark;
    out.push_back(std::move(event).value());
  }
  buffer.erase(0, from);
  if (!out.empty()) version_ = version_of(out.back().object);
  return out;
}

Result<std::vector<Event>> WatchStream::ended() {
  is_open_ = false;
  if (stream_.status() != 200) return error_of(stream_.status(), stream_.buffer(), "watch");
  if (!has_events_ && clock_.monotonic_ms() - opened_ms_ < short_ms)
    return Error{Code::unavailable, "watch: the server ended it at once"};
  return std::vector<Event>{};
}

Result<std::vector<Event>> WatchStream::next(std::int64_t wait_ms) {
  const std::int64_t deadline = clock_.monotonic_ms() + wait_ms;
  for (;;) {
    if (stream_.status() == 200) {
      auto found = TRY(parse_lines());
      if (!found.empty()) return found;
    }
    if (stream_.is_ended()) return ended();
    const std::int64_t now = clock_.monotonic_ms();
    const std::size_t before = stream_.buffer().size();
    const Status polled = stream_.poll(std::max<std::int64_t>(deadline - now, 0));
    if (!polled.ok()) {
      is_open_ = false;
      return polled.error();
    }
    const std::int64_t later = clock_.monotonic_ms();
    if (stream_.buffer().size() != before) {
      heard_ms_ = later;
      continue;
    }
    if (stream_.is_ended()) continue;
    const std::int64_t limit = has_proxy_       ? silent_behind_proxy_ms_max
                               : has_bookmarks_ ? silent_with_bookmarks_ms_max
                                                : silent_ms_max;
    if (later - heard_ms_ > limit) is_open_ = false;  // dead: the caller opens another
    if (later >= deadline || !is_open_) return std::vector<Event>{};
  }
}
}  // namespace kairo::cluster
