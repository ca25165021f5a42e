// gpu/serve/completion.h - one answer that grows: tokens in (scheduler's thread), text out
// (reader).
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "gpu/hf/tokenizer.h"
#include "gpu/serve/scheduler.h"
#include "gpu/serve/stop_text.h"

namespace kairo::gpu {
class Completion final : public TokenSink {
 public:
  // The tokenizer must outlive it.
  Completion(const Tokenizer& tokenizer, std::vector<std::string> stops)
      : text_of_(tokenizer), stop_(std::move(stops)) {}
  void begin(int cached_tokens) override;
  bool take(std::int32_t token) override;
  void end(Finish why) override;
  bool wanted() const override { return wanted_; }

  struct Piece {
    std::string text;              // whole characters; may be empty in the last piece
    std::optional<Finish> finish;  // set in the last piece
    int tokens = 0;                // of the answer so far
    int cached_tokens = 0;         // of the prompt
  };
  // Waits so long for text or for the end, else the piece is empty; after the end: the end again.
  Piece next(std::chrono::milliseconds patience);
  void leave() { wanted_ = false; }  // the reader has gone: the slot is freed

 private:
  Detokenizer text_of_;  // this and the next: the scheduler's thread
  StopText stop_;
  std::atomic<bool> wanted_ = true;
  std::mutex mutex_;
  std::condition_variable news_;
  Piece piece_;  // what the reader has not taken
};
}  // namespace kairo::gpu
