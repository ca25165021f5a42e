// agents/cluster/pod_log.h - a container's log read piece by piece from a server that knows times
// and no offsets. Pure. Private to cluster/.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kairo::cluster {
// How far a log has been read. A server's sinceTime is precise to the second: what was read of that
// second comes again, and is known by its time and how many lines of this very time there were.
struct LogPlace {
  std::uint64_t offset = 0;  // bytes that were handed out
  std::string time;          // the last one, "2026-01-31T12:00:00.123456789Z"; "" = at the start
  std::uint64_t lines = 0;   // of that time that were handed out
};
struct LogNews {
  std::string text;         // without the times
  LogPlace next;            // where to go on
  bool needs_more = false;  // all that came was known, and it was cut: ask for more bytes
};
// `reply`: lines that begin with their time, from place.time's second on; is_cut: the server ended
// it at the asked number of bytes. A line that was cut is left out and comes again. So is an open
// last line without a time: a kubelet whose container is gone says status 200 and "unable to
// retrieve container logs for ...".
LogNews log_news(std::string_view reply, bool is_cut, const LogPlace& place);
}  // namespace kairo::cluster
