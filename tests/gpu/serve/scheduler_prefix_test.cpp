// tests/gpu/serve/scheduler_prefix_test.cpp - what a slot has is not fed again, and the answers are
// those of a scheduler that had nothing.
#include "tests/gpu/serve/scheduler_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;

TEST_CASE("a next turn, a prompt that begins alike, the same one again: only the rest is fed") {
  SchedulerBench bench(2);
  Sequence turn = sequence(1, 40, 6);
  const auto first = bench.submit(turn);
  bench.run();
  CHECK(first->cached == 0);
  turn.prompt.insert(turn.prompt.end(), first->tokens.begin(), first->tokens.end());
  turn.prompt.push_back(7);
  const auto second = bench.submit(turn);
  bench.generator.batches.clear();
  bench.scheduler.round();
  CHECK(second->cached == 45);  // the answer's last token was given, not fed
  CHECK(bench.generator.batches == std::vector<std::vector<int>>{{2}});
  // While the chat runs, another begins as it did: the free slot gets a copy.
  Sequence alike = sequence(1, 30, 4);
  alike.prompt.push_back(50);
  const auto third = bench.submit(alike);
  bench.scheduler.round();
  CHECK(third->cached == 30);
  CHECK(bench.generator.copies == std::vector<std::vector<int>>{{0, 1, 30}});
  CHECK(bench.generator.batches.back() == std::vector<int>{1, 1});
  bench.run();
  CHECK(second->tokens == script(turn));
  CHECK(third->tokens == script(alike));
  // The whole prompt is there: its last token is fed again, for its logits.
  const auto again = bench.submit(alike);
  bench.run();
  CHECK(again->cached == 30);
  CHECK(again->tokens == script(alike));
  // Another adapter's keys are others.
  turn.adapter = 0;
  const auto tuned = bench.submit(turn);
  bench.run();
  CHECK(tuned->cached == 0);
  CHECK(tuned->tokens == script(turn));
  CHECK(bench.scheduler.counts().cached_tokens == 105);
  CHECK(bench.scheduler.counts().queried_tokens == 40 + 47 + 31 + 31 + 47);
  CHECK(bench.scheduler.counts().prompt_tokens == 40 + 2 + 1 + 1 + 47);
}

TEST_CASE("what ended early leaves what was fed, and no more") {
  SchedulerOptions options;
  options.prompt_tokens_alone = 16;
  SchedulerBench bench(1, 1000, options);
  const auto gone = bench.submit(sequence(1, 40, 6));
  bench.scheduler.round();
  gone->is_wanted = false;
  const auto next = bench.submit(sequence(1, 40, 6));
  bench.run();
  CHECK(next->cached == 16);
  CHECK(next->tokens == script(sequence(1, 40, 6)));
  bench.submit(sequence(1, 40, 6));
  bench.generator.fail_next = true;
  bench.run();
  const auto after = bench.submit(sequence(1, 40, 6));
  bench.run();
  CHECK(after->cached == 39);
  CHECK(after->tokens == script(sequence(1, 40, 6)));
}

TEST_CASE("prompts that begin alike come at once: what they share is computed once") {
  SchedulerOptions options;
  options.prompt_tokens_alone = 100;
  SchedulerBench bench(4, 1000, options);
  const auto asks = [](int shared, int last, int adapter = -1) {
    Sequence s = sequence(1, shared, 3);
    s.prompt.push_back(last);
    s.adapter = adapter;
    return s;
  };
  std::vector<Sequence> sequences = {asks(200, 50), asks(200, 51), asks(127, 52), asks(200, 53, 0),
                                     sequence(40, 20, 3)};
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (const Sequence& s : sequences) sinks.push_back(bench.submit(s));
  bench.scheduler.round();
  // The second waits; the third would gain too little, the fourth is another adapter's. The slot
  // that is free is the second's, not the fifth's.
  const auto began = [&] {
    std::vector<int> cached;
    for (const auto& sink : sinks) cached.push_back(sink->cached);
    return cached;
  };
  CHECK(began() == std::vector<int>{0, -1, 0, 0, -1});
  CHECK(bench.generator.batches == std::vector<std::vector<int>>{{100}});
  bench.scheduler.round();  // 100 of 200 are there: it waits for the rest, too
  CHECK(began() == std::vector<int>{0, -1, 0, 0, -1});
  bench.scheduler.round();
  CHECK(began() == std::vector<int>{0, 200, 0, 0, -1});
  bench.run();
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    CAPTURE(i);
    CHECK(sinks[i]->tokens == script(sequences[i]));
  }
  CHECK(bench.scheduler.counts().prompt_tokens == 201 + 1 + 128 + 201 + 20);
}

TEST_CASE("who is waited for goes: the next one computes") {
  SchedulerOptions options;
  options.prompt_tokens_alone = 50;
  SchedulerBench bench(2, 1000, options);
  const auto gone = bench.submit(sequence(1, 300, 3)), next = bench.submit(sequence(1, 300, 3));
  bench.scheduler.round();
  CHECK(next->cached == -1);
  SUBCASE("its reader went") {
    gone->is_wanted = false;
  }
  SUBCASE("its batch failed") {
    bench.generator.fail_next = true;
    bench.scheduler.round();
  }
  bench.run();
  CHECK(gone->ends == 1);
  CHECK(next->cached == 50);
  CHECK(next->tokens == script(sequence(1, 300, 3)));
}
