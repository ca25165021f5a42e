// gpu/serve/event_stream.cpp
#include "gpu/serve/event_stream.h"

namespace kairo::gpu {
std::string EventStream::next(std::chrono::milliseconds patience) {
  if (!begun_) {
    begun_ = true;
    if (std::string first = reply_.first_event(); !first.empty()) return first;
  }
  const auto piece = answer_.completion->next(patience);
  std::string events = piece.text.empty() ? "" : reply_.event(piece.text);
  if (piece.finish) {
    ended_ = true;
    const auto failure = failure_of(*piece.finish);
    events += failure ? error_event(*failure) : reply_.last_event(*piece.finish);
    if (include_usage_)
      events += reply_.usage_event({answer_.prompt_tokens, piece.tokens, piece.cached_tokens});
    return events + stream_end;
  }
  silent_calls_ = events.empty() ? silent_calls_ + 1 : 0;
  if (silent_calls_ < silent_calls_max) return events;
  silent_calls_ = 0;
  return stream_comment;
}
}  // namespace kairo::gpu
