// gpu/serve/event_stream.cpp
#include "gpu/serve/event_stream.h"

#include <algorithm>

namespace kairo::gpu {
// What has come of one choice.
std::string EventStream::events_of(std::size_t index, std::chrono::milliseconds patience) {
  Sent& sent = sent_[index];
  const auto piece = answer_.choices[index]->next(patience);
  const int number = static_cast<int>(index);
  std::string events;
  if (!piece.text.empty() || !piece.shown.empty())
    events = reply_.event(number, piece.text, piece.shown, sent.characters);
  events += reply_.call_events(number, sent.calls, piece.calls);
  sent.calls += piece.calls.size();
  sent.characters += characters_of(piece.text);
  sent.tokens = piece.tokens;
  if (index == 0) cached_tokens_ = piece.cached_tokens;  // the prompt counts once
  if (!piece.finish) return events;
  sent.has_ended = true;
  const auto failure = failure_of(*piece.finish);
  failed_ = failed_ || failure;
  return events + (failure ? error_event(*failure)
                           : reply_.last_event(number, *piece.finish, sent.calls > 0));
}

std::string EventStream::end(const std::string& events) {
  ended_ = true;
  int tokens = 0;
  for (const Sent& sent : sent_) tokens += sent.tokens;
  return events + reply_.usage_event({answer_.prompt_tokens, tokens, cached_tokens_}) + stream_end;
}

std::string EventStream::next(std::chrono::milliseconds patience) {
  std::string events;
  if (!begun_) {  // in their order, before anything else: clients append choices as they come
    begun_ = true;
    for (std::size_t i = 0; i < sent_.size(); ++i)
      events += reply_.first_event(static_cast<int>(i));
    if (!events.empty()) return events;
  }
  // All share rounds: who waits for one has news of all.
  for (std::size_t i = 0; i < sent_.size() && !failed_; ++i) {
    if (sent_[i].has_ended) continue;
    events += events_of(i, patience);
    patience = {};
  }
  const bool all_ended =
      std::all_of(sent_.begin(), sent_.end(), [](const Sent& sent) { return sent.has_ended; });
  if (failed_ || all_ended) return end(events);
  silent_calls_ = events.empty() ? silent_calls_ + 1 : 0;
  if (silent_calls_ < silent_calls_max) return events;
  silent_calls_ = 0;
  return stream_comment;
}
}  // namespace kairo::gpu
