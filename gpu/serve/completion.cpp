// gpu/serve/completion.cpp
#include "gpu/serve/completion.h"

#include <algorithm>
#include <iterator>

#include "schemas/base/log.h"

namespace kairo::gpu {
void Completion::begin(int cached_tokens) {
  times_.begins();
  const std::scoped_lock lock(mutex_);
  piece_.cached_tokens = cached_tokens;
}

bool Completion::take(const Token& token) {
  times_.token();
  const auto text = text_of_.push(token.number);
  if (!text.ok()) log::error("a token has no text", {{"why", text.error().what}});
  std::string shown = text.ok() ? stop_.push(text.value()) : std::string();
  if (calls_) shown = calls_->push(shown);
  std::optional<ShownToken> seen;
  if (vocabulary_ != nullptr) {
    seen = {vocabulary_->bytes_of(token.number), token.likely.chosen, {}};
    for (const auto& [number, logprob] : token.likely.best)
      seen->best.emplace_back(vocabulary_->bytes_of(number), logprob);
  }
  const std::scoped_lock lock(mutex_);
  if (seen) piece_.shown.push_back(std::move(*seen));
  ++piece_.tokens;
  show(std::move(shown));
  return !stop_.stopped();
}

void Completion::end(Finish why) {
  times_.ends(why);
  const auto rest = text_of_.finish();
  std::string shown = rest.ok() ? stop_.push(rest.value()) : std::string();
  shown += stop_.finish();
  if (calls_) {
    shown = calls_->push(shown);
    shown += calls_->finish();
  }
  const std::scoped_lock lock(mutex_);
  show(std::move(shown));
  piece_.finish = why == Finish::length && stop_.stopped() ? Finish::stop : why;
  news_.notify_one();
}

// With the lock.
void Completion::show(std::string text) {
  std::vector<ToolCall> calls;
  if (calls_) calls = calls_->take();
  if (!text.empty() || !calls.empty()) news_.notify_one();
  piece_.text += text;
  std::move(calls.begin(), calls.end(), std::back_inserter(piece_.calls));
}

Completion::Piece Completion::next(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const auto has_news = [&] {
    return piece_.finish || !piece_.text.empty() || !piece_.calls.empty();
  };
  news_.wait_for(lock, patience, has_news);
  if (!has_news()) return {{}, {}, {}, {}, piece_.tokens, piece_.cached_tokens};
  Piece out = piece_;
  piece_.text.clear();
  piece_.shown.clear();
  piece_.calls.clear();
  return out;
}
}  // namespace kairo::gpu
