// tests/gpu/serve/scheduler_test.cpp - sequences that share batches get the answers they would get
// alone, each in its turn, and each ends exactly once, for the right reason.
#include "gpu/serve/scheduler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>

using namespace kairo;
using namespace kairo::gpu;
namespace {
constexpr int vocabulary = 97, stop_token = 96;

// The next token follows from the whole sequence, so a mixed-up slot or a lost token shows.
std::int32_t scripted_token(const std::vector<std::int32_t>& sequence, int adapter) {
  auto hash = static_cast<std::uint32_t>(adapter + 7);
  for (const std::int32_t token : sequence)
    hash = hash * 2654435761u + static_cast<std::uint32_t>(token);
  return static_cast<std::int32_t>((hash >> 8) % stop_token);
}
class ScriptedGenerator final : public Generator {
 public:
  ScriptedGenerator(int slots, int context)
      : sequences_(static_cast<std::size_t>(slots)), context_(context) {}
  Result<std::span<const float>> feed(std::span<const Feed> feeds) override {
    if (fail_next) {
      fail_next = false;
      return Error{Code::invalid, "scripted"};
    }
    batches.emplace_back();
    logits_.assign(feeds.size() * vocabulary, 0.0f);
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      auto& sequence = sequences_[static_cast<std::size_t>(feeds[i].slot)];
      sequence.insert(sequence.end(), feeds[i].tokens.begin(), feeds[i].tokens.end());
      batches.back().push_back(static_cast<int>(feeds[i].tokens.size()));
      const std::int32_t chosen =
          sequence.size() == stop_at ? stop_token : scripted_token(sequence, feeds[i].adapter);
      logits_[i * vocabulary + static_cast<std::size_t>(chosen)] = 1;
    }
    return std::span<const float>(logits_);
  }
  void reset(int slot) override { sequences_[static_cast<std::size_t>(slot)].clear(); }
  int length(int slot) const override {
    return static_cast<int>(sequences_[static_cast<std::size_t>(slot)].size());
  }
  int slots() const override { return static_cast<int>(sequences_.size()); }
  int context_tokens() const override { return context_; }
  int vocab() const override { return vocabulary; }

  std::vector<std::vector<int>> batches;  // tokens of each feed
  std::size_t stop_at = 1'000'000;        // length at which the stop token comes
  bool fail_next = false;

 private:
  std::vector<std::vector<std::int32_t>> sequences_;
  int context_;
  std::vector<float> logits_;
};
class Recorder final : public TokenSink {
 public:
  bool take(std::int32_t token) override {
    tokens.push_back(token);
    return tokens.size() != enough;
  }
  void end(Finish why) override {
    finish = why;
    ++ends;
    if (finished != nullptr) finished->push_back(name);
  }
  bool wanted() const override { return is_wanted; }
  std::vector<std::int32_t> tokens;
  std::size_t enough = 1'000'000;
  bool is_wanted = true;
  Finish finish = Finish::failed;
  int ends = 0;
  int name = 0;
  std::vector<int>* finished = nullptr;  // names in the order of their ends
};
Sequence sequence(int first, int prompt_tokens, int max_tokens) {
  Sequence out;
  for (int i = 0; i < prompt_tokens; ++i) out.prompt.push_back((first + i) % stop_token);
  out.max_tokens = max_tokens;
  out.stop_tokens = {stop_token};
  out.sampling.temperature = 0;
  return out;
}
struct Bench {
  explicit Bench(int slots, int context = 1000, SchedulerOptions options = {})
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
std::vector<std::int32_t> script(const Sequence& s) {
  std::vector<std::int32_t> all = s.prompt;
  for (int i = 0; i < s.max_tokens; ++i) all.push_back(scripted_token(all, s.adapter));
  return {all.begin() + static_cast<std::ptrdiff_t>(s.prompt.size()), all.end()};
}
std::vector<std::int32_t> alone(const Sequence& s) {
  Bench bench(1);
  const auto sink = bench.submit(s);
  bench.run();
  CHECK(sink->tokens == script(s));
  return sink->tokens;
}
}  // namespace

TEST_CASE("answers in one batch equal answers one at a time; more than there are slots wait") {
  Bench bench(3);
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 10; ++i) {
    Sequence s = sequence(i * 5, 1 + i * 37 % 200, 5 + i);
    s.adapter = i % 3 - 1;
    sinks.push_back(bench.submit(std::move(s)));
  }
  CHECK(bench.scheduler.counts().waiting == 10);
  bench.run();
  for (int i = 0; i < 10; ++i) {
    CAPTURE(i);
    Sequence s = sequence(i * 5, 1 + i * 37 % 200, 5 + i);
    s.adapter = i % 3 - 1;
    const Recorder& sink = *sinks[static_cast<std::size_t>(i)];
    CHECK(sink.tokens == alone(s));
    CHECK(sink.tokens.size() == static_cast<std::size_t>(5 + i));
    CHECK(sink.ends == 1);
    CHECK(sink.finish == Finish::length);
  }
  for (const auto& batch : bench.generator.batches) CHECK(batch.size() <= 3);
  CHECK(bench.scheduler.counts().answer_tokens == 95);
  CHECK(bench.scheduler.counts().running == 0);
}

TEST_CASE("a long prompt comes in pieces: large ones alone, small ones beside answers") {
  SchedulerOptions options;
  options.prompt_tokens_alone = 50;
  options.prompt_tokens_shared = 8;
  Bench bench(2, 1000, options);
  const auto first = bench.submit(sequence(1, 120, 30));
  for (int i = 0; i < 3; ++i) bench.scheduler.round();
  CHECK(bench.generator.batches == std::vector<std::vector<int>>{{50}, {50}, {20}});
  const auto second = bench.submit(sequence(2, 20, 2));
  for (int i = 0; i < 3; ++i) bench.scheduler.round();
  bench.generator.batches.erase(bench.generator.batches.begin(),
                                bench.generator.batches.begin() + 3);
  CHECK(bench.generator.batches == std::vector<std::vector<int>>{{1, 8}, {1, 8}, {1, 4}});
  CHECK(first->tokens.size() == 4);
  CHECK(second->tokens.size() == 1);
  bench.run();
  CHECK(second->tokens == alone(sequence(2, 20, 2)));
}

TEST_CASE("two prompts share a round's room; the second waits when the first takes it all") {
  SchedulerOptions options;
  options.prompt_tokens_alone = 50;
  options.prompt_tokens_shared = 8;
  Bench bench(3, 1000, options);
  bench.submit(sequence(1, 30, 9));
  bench.submit(sequence(2, 60, 9));
  bench.submit(sequence(3, 5, 9));
  for (int i = 0; i < 6; ++i) bench.scheduler.round();
  // 20 of the second prompt beside the first; then 8 a round beside the first's answer, the last 5
  // of which are the third's: 60 = 20 + 5 * 8.
  CHECK(bench.generator.batches ==
        std::vector<std::vector<int>>{{30, 20}, {1, 8}, {1, 8}, {1, 8}, {1, 8}, {1, 8}});
  bench.scheduler.round();
  CHECK(bench.generator.batches.back() == std::vector<int>{1, 1, 5});
  CHECK(bench.scheduler.counts().prompt_tokens == 95);
  CHECK(bench.scheduler.counts().rounds == 7);
}

TEST_CASE("one slot: first come, first served") {
  Bench bench(1);
  std::vector<int> finished;
  for (int i = 0; i < 6; ++i) {
    auto sink = std::make_shared<Recorder>();
    sink->name = i;
    sink->finished = &finished;
    REQUIRE(bench.scheduler.submit(sequence(i, 3, 7 - i), sink).ok());
  }
  bench.scheduler.round();
  CHECK(bench.scheduler.counts().running == 1);
  CHECK(bench.scheduler.counts().waiting == 5);
  bench.run();
  CHECK(finished == std::vector<int>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("nobody runs: the count says so, however the last one ended") {
  Bench bench(2);
  const auto sink = bench.submit(sequence(1, 10, 100));
  bench.scheduler.round();
  CHECK(bench.scheduler.counts().running == 1);
  SUBCASE("its reader went") {
    sink->is_wanted = false;
    CHECK_FALSE(bench.scheduler.round());
    CHECK(sink->finish == Finish::cancelled);
  }
  SUBCASE("its batch failed") {
    bench.generator.fail_next = true;
    CHECK(bench.scheduler.round());
    CHECK(sink->finish == Finish::failed);
  }
  SUBCASE("the scheduler stopped") {
    bench.scheduler.stop();
    CHECK(sink->finish == Finish::cancelled);
  }
  SUBCASE("it was complete") {
    bench.run();
    CHECK(sink->finish == Finish::length);
  }
  CHECK(sink->ends == 1);
  CHECK(bench.scheduler.counts().running == 0);
}

TEST_CASE("why an answer ends") {
  SUBCASE("the model's stop token, which is not part of the answer") {
    Bench bench(1);
    bench.generator.stop_at = 12;
    const auto sink = bench.submit(sequence(1, 10, 100));
    bench.run();
    CHECK(sink->finish == Finish::stop);
    CHECK(sink->tokens.size() == 2);
    CHECK(std::count(sink->tokens.begin(), sink->tokens.end(), stop_token) == 0);
  }
  SUBCASE("the model stops at once: an empty answer") {
    Bench bench(1);
    bench.generator.stop_at = 10;
    const auto sink = bench.submit(sequence(1, 10, 100));
    bench.run();
    CHECK(sink->finish == Finish::stop);
    CHECK(sink->tokens.empty());
    CHECK(sink->ends == 1);
    CHECK(bench.scheduler.counts().answer_tokens == 0);
  }
  SUBCASE("max_tokens, also of one") {
    Bench bench(1);
    const auto sink = bench.submit(sequence(1, 10, 1));
    bench.run();
    CHECK(sink->finish == Finish::length);
    CHECK(sink->tokens == script(sequence(1, 10, 1)));
  }
  SUBCASE("the sink has enough") {
    Bench bench(1);
    auto sink = std::make_shared<Recorder>();
    sink->enough = 4;
    REQUIRE(bench.scheduler.submit(sequence(1, 10, 100), sink).ok());
    bench.run();
    CHECK(sink->finish == Finish::stop);
    CHECK(sink->tokens.size() == 4);
  }
  SUBCASE("the context is full") {
    Bench bench(1, 16);
    const auto sink = bench.submit(sequence(1, 10, 100));
    bench.run();
    CHECK(sink->finish == Finish::length);
    CHECK(sink->tokens.size() == 7);  // 10 + 6 fed tokens fill 16; the last one needs no room
  }
  SUBCASE("the reader has gone: its slot is free for the next") {
    Bench bench(1);
    const auto gone = bench.submit(sequence(1, 10, 100));
    const auto next = bench.submit(sequence(2, 10, 3));
    bench.scheduler.round();
    gone->is_wanted = false;
    bench.run();
    CHECK(gone->finish == Finish::cancelled);
    CHECK(gone->ends == 1);
    CHECK(next->tokens.size() == 3);
  }
  SUBCASE("a reader that goes while it waits ends, and holds nobody up") {
    Bench bench(1);
    const auto first = bench.submit(sequence(1, 10, 3));
    const auto gone = bench.submit(sequence(2, 10, 3));
    gone->is_wanted = false;
    bench.scheduler.round();
    CHECK(gone->ends == 1);  // at once, while the only slot is taken
    CHECK(bench.scheduler.counts().waiting == 0);
    bench.run();
    CHECK(first->tokens.size() == 3);
    CHECK(gone->finish == Finish::cancelled);
    CHECK(gone->ends == 1);
  }
  SUBCASE("a failed batch ends all that were in it, and none that waits") {
    Bench bench(2);
    const auto one = bench.submit(sequence(1, 10, 5)), two = bench.submit(sequence(2, 10, 5));
    const auto waiting = bench.submit(sequence(3, 10, 5));
    bench.scheduler.round();
    bench.generator.fail_next = true;
    bench.run();
    for (const auto& sink : {one, two}) {
      CHECK(sink->finish == Finish::failed);
      CHECK(sink->tokens.size() == 1);
      CHECK(sink->ends == 1);
    }
    CHECK(waiting->finish == Finish::length);
    CHECK(waiting->tokens == script(sequence(3, 10, 5)));
  }
  SUBCASE("the batch failed: said, and the slot goes on") {
    Bench bench(1);
    const auto failed = bench.submit(sequence(1, 10, 5));
    bench.generator.fail_next = true;
    bench.scheduler.round();
    CHECK(failed->finish == Finish::failed);
    CHECK(failed->ends == 1);
    const auto next = bench.submit(sequence(2, 10, 3));
    bench.run();
    CHECK(next->tokens == alone(sequence(2, 10, 3)));
  }
}

TEST_CASE("what is refused, and when") {
  SchedulerOptions options;
  options.waiting_max = 2;
  Bench bench(1, 16, options);
  const auto refused = [&](Sequence s) {
    const auto status = bench.scheduler.submit(std::move(s), std::make_shared<Recorder>());
    REQUIRE_FALSE(status.ok());
    return status.error();
  };
  CHECK(refused(sequence(1, 0, 5)).what == "the prompt is empty");
  const Error long_prompt = refused(sequence(1, 16, 5));
  CHECK(long_prompt.code == Code::invalid);
  CHECK(long_prompt.what ==
        "the prompt has 16 tokens; prompt and answer together can have 16: shorten it");
  bench.submit(sequence(1, 15, 5));  // the longest that leaves room for an answer
  bench.run();
  const auto first = bench.submit(sequence(1, 4, 4)), second = bench.submit(sequence(2, 4, 4));
  const Error full = refused(sequence(3, 4, 4));
  CHECK(full.code == Code::unavailable);
  CHECK(full.what == "2 requests wait already; try again in a moment");
  bench.scheduler.stop();
  for (const auto& sink : {first, second}) {
    CHECK(sink->ends == 1);
    CHECK(sink->finish == Finish::cancelled);
  }
  CHECK(refused(sequence(3, 4, 4)).what == "the server is stopping");
}

TEST_CASE("the scheduler's own thread: every sequence ends once, also when it stops") {
  Bench bench(4);
  std::vector<std::shared_ptr<Recorder>> sinks;
  bench.scheduler.start();
  for (int i = 0; i < 60; ++i) sinks.push_back(bench.submit(sequence(i, 3, 900)));
  bench.scheduler.stop();
  for (const auto& sink : sinks) {
    CHECK(sink->ends == 1);
    const bool complete = sink->tokens.size() == 900;
    CHECK(sink->finish == (complete ? Finish::length : Finish::cancelled));
  }
  CHECK(bench.scheduler.counts().running == 0);
  CHECK(bench.scheduler.counts().waiting == 0);
}
