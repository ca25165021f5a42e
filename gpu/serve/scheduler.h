// gpu/serve/scheduler.h - many sequences through one Generator: continuous batching.
//
// Each round runs one batch: a token of every sequence that is being answered, and a piece of the
// prompts that wait, so that a long prompt does not stop the answers of others. A sequence that
// ends frees its slot at once for the next that waits, first come first served. What a slot
// computed stays until another sequence needs the room: one that begins alike goes on from it
// (prefix.h), and waits, with a free slot kept for it, while another computes what both begin with.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "gpu/engine/generator.h"
#include "gpu/serve/prefix.h"
#include "gpu/serve/sampler.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
enum class Finish : std::uint8_t { stop, length, cancelled, failed };
// What an answer is bound to: a JSON schema's grammar, say. The scheduler's thread.
class TokenRule {
 public:
  virtual ~TokenRule() = default;
  // A bit a token in words of 32: which may come next, the stop tokens among them where it can end.
  virtual Status mask(std::span<std::uint32_t> allowed) = 0;
  virtual Status take(std::int32_t token) = 0;  // the one that was chosen
};
struct Token {
  std::int32_t number = -1;
  Likely likely;  // where the sequence wants it
};
// Where a sequence's tokens go. Called from the scheduler's thread; must be quick.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  // Once, first, when its turn has come: tokens of its prompt that need not be computed.
  virtual void begin(int cached_tokens) = 0;
  virtual bool take(const Token& token) = 0;  // false: the answer is complete (a stop string)
  virtual void end(Finish why) = 0;           // once, last
  virtual bool wanted() const = 0;            // false: the reader has gone; any thread
};
struct Sequence {
  std::vector<std::int32_t> prompt;       // at least one token
  int adapter = -1;                       // index, -1 = base model
  int max_tokens = 16;                    // of the answer, at least 1
  std::vector<std::int32_t> stop_tokens;  // end the answer; not given to the sink
  Sampling sampling;
  int likely = -1;  // tokens come with their probability and that of so many best; -1: without
  std::shared_ptr<TokenRule> rule;  // its own; null: the answer is free
};
struct SchedulerOptions {
  std::size_t waiting_max = 64;
  int prompt_tokens_alone = 512;  // of a round, when nothing else is being answered
  int prompt_tokens_shared = 64;  // of a round, beside answers
  int worth_waiting = 128;        // tokens that a prompt on its way will have computed
};
struct SchedulerCounts {
  std::uint64_t prompt_tokens = 0, answer_tokens = 0, rounds = 0;  // prompt_tokens: computed
  std::uint64_t queried_tokens = 0, cached_tokens = 0;  // of prompts begun; what was there of it
  int running = 0, waiting = 0;
  std::vector<int> running_adapters, waiting_adapters;  // indices, each once
  double kv_usage = 0;                                  // of the slots' room, 0 to 1
};
// Of a prompt that leaves no room for an answer; clients look for it by a code of its own.
Error too_long(std::size_t tokens, std::size_t context);
bool is_too_long(const Error& error);  // made by too_long()
class Scheduler {
 public:
  // The generator must outlive it and is used by the thread that calls round() or by run's.
  Scheduler(Generator& generator, const SchedulerOptions& options);
  ~Scheduler();  // stops
  // invalid: the prompt is empty, or with one answer token larger than the context.
  // unavailable: waiting_max sequences wait already. not_found: the adapter is retired. Any thread.
  Status submit(Sequence sequence, std::shared_ptr<TokenSink> sink);
  bool round();                    // one batch; false: nothing to do
  void start();                    // rounds in an own thread until stop()
  void stop();                     // what runs or waits ends with `cancelled`
  SchedulerCounts counts() const;  // any thread
  // An adapter from now on, between two rounds: its index. Any thread but the rounds', while those
  // go on; unavailable: they do not.
  Result<int> add(ServedAdapterPtr adapter);
  // Who runs or waits with it gets its whole answer, nobody else may come; then it is dropped.
  void retire(int adapter);  // any thread

 private:
  struct Job {
    Sequence sequence;
    std::shared_ptr<TokenSink> sink;
    std::optional<Sampler> sampler;
    std::vector<std::uint32_t> allowed;  // of the rule
    std::size_t fed = 0;                 // tokens of the prompt that the generator has
    std::int32_t last = -1;              // the answer's newest token, not yet fed
    int answered = 0;
    bool waits = false;  // for what another request computes
    bool is_answering() const { return fed == sequence.prompt.size(); }
  };
  void admit();  // those that are still wanted
  Start choose(const Job& job) const;
  bool should_wait(const Job& job, const Start& start) const;
  void take(const Start& start);
  std::vector<Token> pick(std::span<const Feed> feeds, std::span<const float> logits);
  static Result<Token> choose_token(Job& job, std::span<const float> logits);
  void advance(int slot, const Token& token);
  void end(int slot, Finish why);
  void publish();  // the counts, after slots changed
  void change_adapters();
  bool is_used(int adapter) const;  // holding mutex_
  void loop();
  bool is_stopping() const;
  Generator& generator_;
  const SchedulerOptions options_;
  std::vector<std::unique_ptr<Job>> slots_;  // this and the next three: round()'s thread only
  std::vector<std::uint64_t> used_;          // when each slot was taken or came free last
  std::uint64_t turns_ = 0;                  // that were taken or came free so far
  SchedulerCounts totals_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::unique_ptr<Job>> waiting_;
  SchedulerCounts counts_;
  struct Arrival {
    ServedAdapterPtr adapter;
    std::promise<int> index;
  };
  std::deque<Arrival> arrivals_;
  std::set<int> retired_;  // of them those that are not dropped yet are in leaving_ too
  std::vector<int> leaving_;
  bool stopping_ = false;
  std::thread thread_;
};
}  // namespace kairo::gpu
