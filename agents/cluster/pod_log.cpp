// agents/cluster/pod_log.cpp - lines by time.
#include "agents/cluster/pod_log.h"

namespace kairo::cluster {
namespace {
// "2026-01-31T12:00:00.123456789Z "; 0 = there is none.
std::size_t time_length(std::string_view line) {
  const std::size_t blank = line.find(' ');
  const std::string_view time = line.substr(0, blank);
  const bool is_time = blank != std::string_view::npos && blank >= 20 && blank <= 35 &&
                       time[4] == '-' && time[7] == '-' && time[10] == 'T' && time[13] == ':';
  return is_time ? blank : 0;
}
}  // namespace

LogNews log_news(std::string_view reply, bool is_cut, const LogPlace& place) {
  LogNews out;
  out.next = place;
  std::uint64_t seen = 0;             // lines of place.time in this reply
  bool is_past = place.time.empty();  // what comes now is news
  while (!reply.empty()) {
    const std::size_t end = reply.find('\n');
    const bool is_ended = end != std::string_view::npos;
    if (!is_ended && is_cut) break;
    const std::string_view line = reply.substr(0, is_ended ? end : reply.size());
    reply.remove_prefix(is_ended ? end + 1 : reply.size());
    const std::size_t length = time_length(line);
    const std::string_view time = line.substr(0, length);
    if (length == 0 && !is_ended) break;  // the server's own words, see pod_log.h
    std::string_view text = length == 0 ? line : line.substr(length + 1);
    if (length != 0 && !is_past) {
      if (time < place.time) continue;
      if (time == place.time && ++seen <= place.lines) continue;
      is_past = true;
    } else if (!is_past) {
      continue;
    }
    if (length != 0 && time >= out.next.time) {
      out.next.lines = time == out.next.time ? out.next.lines + 1 : 1;
      out.next.time = time;
    }
    out.text += text;
    if (is_ended) out.text += '\n';
  }
  out.next.offset += out.text.size();
  out.needs_more = out.text.empty() && is_cut;
  return out;
}
}  // namespace kairo::cluster
