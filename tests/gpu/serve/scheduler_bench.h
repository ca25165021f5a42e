// tests/gpu/serve/scheduler_bench.h - a scheduler over a generator that plays a script, and readers
// that write down what they get.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gpu/serve/scheduler.h"

namespace kairo::gpu::test {
constexpr int scheduled_vocabulary = 97, stop_token = 96;

// The next token follows from the whole sequence, so a mixed-up slot or a lost token shows.
inline std::int32_t scripted_token(const std::vector<std::int32_t>& sequence, int adapter) {
  auto hash = static_cast<std::uint32_t>(adapter + 7);
  for (const std::int32_t token : sequence)
    hash = hash * 2654435761u + static_cast<std::uint32_t>(token);
  return static_cast<std::int32_t>((hash >> 8) % stop_token);
}
class ScriptedGenerator final : public Generator {
 public:
  ScriptedGenerator(int slots, int context)
      : sequences_(static_cast<std::size_t>(slots)),
        adapters_(static_cast<std::size_t>(slots), -1),
        context_(context) {}
  Result<std::span<const float>> feed(std::span<const Feed> feeds) override {
    if (fail_next) {
      fail_next = false;
      return Error{Code::invalid, "scripted"};
    }
    batches.emplace_back();
    logits_.assign(feeds.size() * scheduled_vocabulary, 0.0f);
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      auto& sequence = sequences_[static_cast<std::size_t>(feeds[i].slot)];
      sequence.insert(sequence.end(), feeds[i].tokens.begin(), feeds[i].tokens.end());
      adapters_[static_cast<std::size_t>(feeds[i].slot)] = feeds[i].adapter;
      batches.back().push_back(static_cast<int>(feeds[i].tokens.size()));
      const std::int32_t chosen =
          sequence.size() == stop_at ? stop_token : scripted_token(sequence, feeds[i].adapter);
      logits_[i * scheduled_vocabulary + static_cast<std::size_t>(chosen)] = 1;
    }
    return std::span<const float>(logits_);
  }
  std::span<const std::int32_t> tokens(int slot) const override {
    return sequences_[static_cast<std::size_t>(slot)];
  }
  int adapter(int slot) const override { return adapters_[static_cast<std::size_t>(slot)]; }
  void cut(int slot, int length) override {
    sequences_[static_cast<std::size_t>(slot)].resize(static_cast<std::size_t>(length));
  }
  void copy(int from, int to, int length) override {
    copies.push_back({from, to, length});
    const auto all = tokens(from).first(static_cast<std::size_t>(length));
    sequences_[static_cast<std::size_t>(to)].assign(all.begin(), all.end());
    adapters_[static_cast<std::size_t>(to)] = adapter(from);
  }
  int turns_at() const override { return context_; }
  Result<ServedAdapterPtr> read(const AdapterSource& source) const override {
    return Error{Code::not_found, source.name};
  }
  int add(ServedAdapterPtr) override { return added++; }
  void drop(int adapter) override { dropped.push_back(adapter); }
  int slots() const override { return static_cast<int>(sequences_.size()); }
  int context_tokens() const override { return context_; }
  int vocab() const override { return scheduled_vocabulary; }

  std::vector<std::vector<int>> batches;  // tokens of each feed
  std::vector<std::vector<int>> copies;   // from, to, tokens
  std::size_t stop_at = 1'000'000;        // length at which the stop token comes
  bool fail_next = false;
  int added = 0;
  std::vector<int> dropped;

 private:
  std::vector<std::vector<std::int32_t>> sequences_;
  std::vector<int> adapters_;
  int context_;
  std::vector<float> logits_;
};
class Recorder final : public TokenSink {
 public:
  void begin(int cached_tokens) override { cached = cached_tokens; }
  bool take(const Token& token) override {
    tokens.push_back(token.number);
    likely.push_back(token.likely);
    return tokens.size() != enough;
  }
  void end(Finish why) override {
    finish = why;
    ++ends;
    if (finished != nullptr) finished->push_back(name);
  }
  bool wanted() const override { return is_wanted; }
  std::vector<std::int32_t> tokens;
  std::vector<Likely> likely;
  int cached = -1;  // tokens; -1: its turn has not come
  std::size_t enough = 1'000'000;
  bool is_wanted = true;
  Finish finish = Finish::failed;
  int ends = 0;
  int name = 0;
  std::vector<int>* finished = nullptr;  // names in the order of their ends
};
inline Sequence sequence(int first, int prompt_tokens, int max_tokens) {
  Sequence out;
  for (int i = 0; i < prompt_tokens; ++i) out.prompt.push_back((first + i) % stop_token);
  out.max_tokens = max_tokens;
  out.stop_tokens = {stop_token};
  out.sampling.temperature = 0;
  return out;
}
struct SchedulerBench {
  explicit SchedulerBench(int slots, int context = 1000, SchedulerOptions options = {})
      : generator(slots, context), scheduler(generator, options) {}
  std::shared_ptr<Recorder> submit(Sequence s) {
    auto sink = std::make_shared<Recorder>();
    const auto submitted = scheduler.submit(std::move(s), sink);
    REQUIRE_MESSAGE(submitted.ok(), (submitted.ok() ? "" : submitted.error().what));
    return sink;
  }
  void run() {
    for (int i = 0; i < 10'000 && scheduler.round(); ++i) {
    }
    CHECK_FALSE(scheduler.round());
  }
  ScriptedGenerator generator;
  Scheduler scheduler;
};
// The script without a scheduler: what one sequence answers until max_tokens.
inline std::vector<std::int32_t> script(const Sequence& s) {
  std::vector<std::int32_t> all = s.prompt;
  for (int i = 0; i < s.max_tokens; ++i) all.push_back(scripted_token(all, s.adapter));
  return {all.begin() + static_cast<std::ptrdiff_t>(s.prompt.size()), all.end()};
}
inline std::vector<std::int32_t> alone(const Sequence& s) {
  SchedulerBench bench(1);
  const auto sink = bench.submit(s);
  bench.run();
  CHECK(sink->tokens == script(s));
  return sink->tokens;
}
}  // namespace kairo::gpu::test
