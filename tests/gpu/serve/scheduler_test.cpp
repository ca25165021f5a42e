// tests/gpu/serve/scheduler_test.cpp - sequences that share batches get the answers they would get
// alone, each in its turn, and each ends exactly once, for the right reason.
#include <cmath>
#include <span>

#include "tests/gpu/serve/scheduler_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;

TEST_CASE("answers in one batch equal answers one at a time; more than there are slots wait") {
  SchedulerBench bench(3);
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

TEST_CASE("drawn answers in one batch equal those drawn alone, seed by seed") {
  const auto drawn = [](int i) {
    Sequence s = sequence(i * 5, 1 + i * 3, 20);
    s.sampling.temperature = 1;
    s.sampling.top_p = i % 2 == 0 ? 0.9f : 1.0f;
    s.sampling.seed = static_cast<std::uint64_t>(i);
    return s;
  };
  SchedulerBench together(6);
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 6; ++i) sinks.push_back(together.submit(drawn(i)));
  together.run();
  for (int i = 0; i < 6; ++i) {
    CAPTURE(i);
    SchedulerBench bench(1);
    const auto sink = bench.submit(drawn(i));
    bench.run();
    CHECK(sink->tokens == sinks[static_cast<std::size_t>(i)]->tokens);
    CHECK(sink->tokens.size() > 1);
  }
}

TEST_CASE("a long prompt comes in pieces: large ones alone, small ones beside answers") {
  SchedulerOptions options;
  options.prompt_tokens_alone = 50;
  options.prompt_tokens_shared = 8;
  SchedulerBench bench(2, 1000, options);
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
  SchedulerBench bench(3, 1000, options);
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
  SchedulerBench bench(1);
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
  SchedulerBench bench(2);
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

TEST_CASE("an adapter that is retired goes when its last answer has ended, and takes no other") {
  SchedulerBench bench(1);
  Sequence with = sequence(1, 4, 6);
  with.adapter = 3;
  const auto runs = bench.submit(with);
  const auto waits = bench.submit(with);
  bench.scheduler.round();
  bench.scheduler.retire(3);
  bench.scheduler.retire(3);
  bench.scheduler.retire(5);  // nobody uses it
  const auto late = bench.scheduler.submit(with, std::make_shared<Recorder>());
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == Code::not_found);
  bench.scheduler.round();
  CHECK(bench.generator.dropped == std::vector<int>{5});
  while (runs->ends == 0) bench.scheduler.round();
  bench.scheduler.round();
  CHECK(bench.generator.dropped == std::vector<int>{5});  // one waited with it
  bench.run();
  CHECK(bench.generator.dropped == std::vector<int>{5, 3});
  CHECK(runs->tokens == script(with));
  CHECK(waits->tokens == script(with));
  CHECK(bench.scheduler.submit(sequence(1, 4, 6), std::make_shared<Recorder>()).ok());
}

TEST_CASE("an adapter is added between two rounds, and not once they have ended") {
  SchedulerBench bench(1);
  bench.generator.added = 7;
  bench.scheduler.start();
  const auto added = bench.scheduler.add(nullptr);
  REQUIRE(added.ok());
  CHECK(added.value() == 7);
  bench.scheduler.stop();
  const auto late = bench.scheduler.add(nullptr);
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == Code::unavailable);
}

TEST_CASE("why an answer ends") {
  SUBCASE("the model's stop token, which is not part of the answer") {
    SchedulerBench bench(1);
    bench.generator.stop_at = 12;
    const auto sink = bench.submit(sequence(1, 10, 100));
    bench.run();
    CHECK(sink->finish == Finish::stop);
    CHECK(sink->tokens.size() == 2);
    CHECK(std::count(sink->tokens.begin(), sink->tokens.end(), stop_token) == 0);
  }
  SUBCASE("the model stops at once: an empty answer") {
    SchedulerBench bench(1);
    bench.generator.stop_at = 10;
    const auto sink = bench.submit(sequence(1, 10, 100));
    bench.run();
    CHECK(sink->finish == Finish::stop);
    CHECK(sink->tokens.empty());
    CHECK(sink->ends == 1);
    CHECK(bench.scheduler.counts().answer_tokens == 0);
  }
  SUBCASE("max_tokens, also of one") {
    SchedulerBench bench(1);
    const auto sink = bench.submit(sequence(1, 10, 1));
    bench.run();
    CHECK(sink->finish == Finish::length);
    CHECK(sink->tokens == script(sequence(1, 10, 1)));
  }
  SUBCASE("the sink has enough") {
    SchedulerBench bench(1);
    auto sink = std::make_shared<Recorder>();
    sink->enough = 4;
    REQUIRE(bench.scheduler.submit(sequence(1, 10, 100), sink).ok());
    bench.run();
    CHECK(sink->finish == Finish::stop);
    CHECK(sink->tokens.size() == 4);
  }
  SUBCASE("the context is full") {
    SchedulerBench bench(1, 16);
    const auto sink = bench.submit(sequence(1, 10, 100));
    bench.run();
    CHECK(sink->finish == Finish::length);
    CHECK(sink->tokens.size() == 7);  // 10 + 6 fed tokens fill 16; the last one needs no room
  }
  SUBCASE("the reader has gone: its slot is free for the next") {
    SchedulerBench bench(1);
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
    SchedulerBench bench(1);
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
    SchedulerBench bench(2);
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
    SchedulerBench bench(1);
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

namespace {
// Allows each of its tokens in turn, then the stop.
class Line final : public TokenRule {
 public:
  Line(std::vector<std::int32_t> tokens, std::size_t fails_at)
      : tokens_(std::move(tokens)), fails_at_(fails_at) {}
  Status mask(std::span<std::uint32_t> allowed) override {
    if (at_ == fails_at_) return Error{Code::invalid, "scripted"};
    std::ranges::fill(allowed, 0u);
    const auto next = static_cast<std::size_t>(at_ < tokens_.size() ? tokens_[at_] : stop_token);
    allowed[next / 32] |= 1u << (next % 32);
    return ok();
  }
  Status take(std::int32_t token) override {
    CHECK(token == (at_ < tokens_.size() ? tokens_[at_] : stop_token));
    ++at_;
    return ok();
  }

 private:
  const std::vector<std::int32_t> tokens_;
  const std::size_t fails_at_;
  std::size_t at_ = 0;
};
}  // namespace

TEST_CASE("an answer that is bound to a rule says what the rule allows, others what they would") {
  SchedulerBench bench(2);
  Sequence bound = sequence(1, 10, 50);
  bound.rule = std::make_shared<Line>(std::vector<std::int32_t>{0, 31, 32, 95}, 99);
  bound.likely = 1;
  const auto first = bench.submit(std::move(bound)), free = bench.submit(sequence(2, 10, 9));
  bench.run();
  CHECK(first->tokens == std::vector<std::int32_t>{0, 31, 32, 95});
  CHECK(first->finish == Finish::stop);
  CHECK(free->tokens == script(sequence(2, 10, 9)));
  // What the model would have said is seen beside: its logit is 1, all others' are 0.
  CHECK(first->likely[0].best[0].first == scripted_token(sequence(1, 10, 50).prompt, -1));
  CHECK(first->likely[0].chosen == doctest::Approx(-std::log(96 + std::exp(1.0))));
  CHECK(free->likely[0].best.empty());
  Sequence fails = sequence(1, 10, 50);
  fails.rule = std::make_shared<Line>(std::vector<std::int32_t>{0, 31, 32, 95}, 2);
  const auto failed = bench.submit(std::move(fails));
  bench.run();
  CHECK(failed->tokens == std::vector<std::int32_t>{0, 31});
  CHECK(failed->finish == Finish::failed);
  CHECK(failed->ends == 1);
}

TEST_CASE("what is refused, and when") {
  SchedulerOptions options;
  options.waiting_max = 2;
  SchedulerBench bench(1, 16, options);
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
  SchedulerBench bench(4);
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
