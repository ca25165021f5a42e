// gpu/serve/completion.h - one answer that grows: tokens in (scheduler's thread), text out
// (reader).
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gpu/hf/grammar.h"
#include "gpu/hf/tokenizer.h"
#include "gpu/serve/scheduler.h"
#include "gpu/serve/stop_text.h"
#include "gpu/serve/timings.h"
#include "gpu/serve/tool_calls.h"

namespace kairo::gpu {
// A token of an answer: what it writes (perhaps a part of a character) and how likely it was.
struct ShownToken {
  std::string bytes;
  float logprob = 0;
  std::vector<std::pair<std::string, float>> best;  // what would have been written, likeliest first
};
class Completion final : public TokenSink {
 public:
  // Tokenizer and vocabulary must outlive it. vocabulary: null where nobody wants the tokens.
  // calls: of an answer that may call functions.
  Completion(const Tokenizer& tokenizer, const Vocabulary* vocabulary,
             std::vector<std::string> stops, RequestTimes times,
             std::optional<CallReader> calls = std::nullopt)
      : text_of_(tokenizer),
        vocabulary_(vocabulary),
        stop_(std::move(stops)),
        times_(times),
        calls_(std::move(calls)) {}
  void begin(int cached_tokens) override;
  bool take(const Token& token) override;
  void end(Finish why) override;
  bool wanted() const override { return wanted_; }

  struct Piece {
    std::string text;               // whole characters; may be empty in the last piece
    std::vector<ShownToken> shown;  // of the text, where they are wanted; a stop string's too
    std::vector<ToolCall> calls;    // that are whole
    std::optional<Finish> finish;   // set in the last piece
    int tokens = 0;                 // of the answer so far
    int cached_tokens = 0;          // of the prompt
  };
  // Waits so long for text, a call or for the end, else the piece is empty; after the end: the end
  // again.
  Piece next(std::chrono::milliseconds patience);
  void leave() { wanted_ = false; }  // the reader has gone: the slot is freed

 private:
  void show(std::string text);
  Detokenizer text_of_;  // this and the next four: the scheduler's thread
  const Vocabulary* vocabulary_;
  StopText stop_;
  RequestTimes times_;
  std::optional<CallReader> calls_;
  std::atomic<bool> wanted_ = true;
  std::mutex mutex_;
  std::condition_variable news_;
  Piece piece_;  // what the reader has not taken
};
}  // namespace kairo::gpu
