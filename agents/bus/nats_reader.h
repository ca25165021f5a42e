// agents/bus/nats_reader.h - one reading of the facts: an ordered consumer and what has arrived.
#pragma once
#include <memory>

#include "agents/bus/bus.h"
#include "agents/bus/names.h"

struct __jsCtx;             // nats.c's jsCtx
struct __natsSubscription;  // nats.c's natsSubscription

namespace kairo::bus {
// The client library keeps the order, finds gaps, answers flow control and goes on where it was
// after a pause of the broker. It does not know of another life of the stream or of a lost tail: a
// reconnect needs a new reader.
class NatsReader {  // next() from one thread; wake() from any
 public:
  // Reads on after `from`; all last values when the stream's message there is another one, or none.
  // unavailable: nothing is being read.
  // subjects: as NatsOptions::reads.
  static Result<std::unique_ptr<NatsReader>> start(__jsCtx* context, const Names& names,
                                                   const std::string& subjects, Cursor from);
  // That has them.
  static std::string stream_of(const Names& names, const std::string& subjects);
  ~NatsReader();
  NatsReader(const NatsReader&) = delete;
  NatsReader& operator=(const NatsReader&) = delete;
  Batch next(std::size_t limit, std::chrono::milliseconds wait);
  void wake();
  const std::string& stream() const { return cursor_.stream; }  // its life

 private:
  struct Arrivals;
  NatsReader() = default;
  std::shared_ptr<Arrivals> arrivals_;  // the library's thread may hold it longer than we live
  __natsSubscription* subscription_ = nullptr;
  Cursor cursor_;
  std::uint64_t last_ = 0;  // the stream's newest message when the reading began
  bool goes_on_ = false;    // from a cursor
  bool is_whole_ = false;
};
}  // namespace kairo::bus
