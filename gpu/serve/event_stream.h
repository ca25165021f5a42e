// gpu/serve/event_stream.h - the body of a streamed answer: server-sent events, and their end.
#pragma once
#include <chrono>
#include <string>

#include "gpu/serve/reply.h"
#include "gpu/serve/service.h"

namespace kairo::gpu {
// One answer on its way to one client; one thread. Its end, however it comes, frees the slot.
class EventStream {
 public:
  EventStream(Answer answer, Reply reply, bool include_usage)
      : answer_(std::move(answer)), reply_(std::move(reply)), include_usage_(include_usage) {}
  ~EventStream() { answer_.completion->leave(); }
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  // What is to be sent now: whole events, the last of them `data: [DONE]`. "" when nothing came in
  // that time; after silent_calls_max such calls a comment instead, which readers of events skip
  // and proxies take for life.
  std::string next(std::chrono::milliseconds patience);
  bool has_ended() const { return ended_; }  // nothing more will come

  static constexpr int silent_calls_max = 60;

 private:
  Answer answer_;
  Reply reply_;
  bool include_usage_, begun_ = false, ended_ = false;
  int silent_calls_ = 0;
};
}  // namespace kairo::gpu
