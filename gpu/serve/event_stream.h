// gpu/serve/event_stream.h - the body of a streamed answer: server-sent events, and their end.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "gpu/serve/reply.h"
#include "gpu/serve/service.h"

namespace kairo::gpu {
// The answers to one request on their way to one client; one thread. Their end, however it comes,
// frees the slots.
class EventStream {
 public:
  EventStream(Answer answer, Reply reply)
      : answer_(std::move(answer)), reply_(std::move(reply)), sent_(answer_.choices.size()) {}
  ~EventStream() {
    for (const auto& choice : answer_.choices) choice->leave();
  }
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  // What is to be sent now: whole events, the last of them `data: [DONE]`. "" when nothing came in
  // that time; after silent_calls_max such calls a comment instead, which readers of events skip
  // and proxies take for life.
  std::string next(std::chrono::milliseconds patience);
  bool has_ended() const { return ended_; }  // nothing more will come

  static constexpr int silent_calls_max = 60;

 private:
  struct Sent {
    std::size_t characters = 0;  // of the text
    int tokens = 0;
    std::size_t calls = 0;
    bool has_ended = false;
  };
  std::string events_of(std::size_t index, std::chrono::milliseconds patience);
  std::string end(const std::string& events);
  Answer answer_;
  Reply reply_;
  std::vector<Sent> sent_;
  int cached_tokens_ = 0;
  bool begun_ = false, failed_ = false, ended_ = false;
  int silent_calls_ = 0;
};
}  // namespace kairo::gpu
