// gpu/serve/scheduler.cpp
#include "gpu/serve/scheduler.h"

#include <algorithm>

#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
constexpr std::int32_t no_token = -1, no_choice = -2;  // inside a prompt; the rule failed
constexpr const char* together = " tokens; prompt and answer together can have ";
void add_once(std::vector<int>& out, int adapter) {
  if (adapter >= 0 && std::find(out.begin(), out.end(), adapter) == out.end())
    out.push_back(adapter);
}
}  // namespace

Error too_long(std::size_t tokens, std::size_t context) {
  return {Code::invalid, "the prompt has " + std::to_string(tokens) + together +
                             std::to_string(context) + ": shorten it"};
}
bool is_too_long(const Error& error) {
  return error.code == Code::invalid && error.what.find(together) != std::string::npos;
}

Scheduler::Scheduler(Generator& generator, const SchedulerOptions& options)
    : generator_(generator),
      options_(options),
      slots_(static_cast<std::size_t>(generator.slots())),
      used_(slots_.size()) {}
Scheduler::~Scheduler() {
  stop();
}

Status Scheduler::submit(Sequence sequence, std::shared_ptr<TokenSink> sink) {
  const std::size_t tokens = sequence.prompt.size();
  const auto context = static_cast<std::size_t>(generator_.context_tokens());
  if (tokens == 0) return Error{Code::invalid, "the prompt is empty"};
  if (tokens >= context) return too_long(tokens, context);
  auto job = std::make_unique<Job>();
  job->sampler.emplace(sequence.sampling, sequence.prompt);
  job->sequence = std::move(sequence);
  job->sink = std::move(sink);
  const std::scoped_lock lock(mutex_);
  if (stopping_) return Error{Code::unavailable, "the server is stopping"};
  if (retired_.contains(job->sequence.adapter))
    return Error{Code::not_found, "the adapter has just been unloaded"};
  if (waiting_.size() >= options_.waiting_max)
    return Error{Code::unavailable,
                 std::to_string(waiting_.size()) + " requests wait already; try again in a moment"};
  waiting_.push_back(std::move(job));
  work_.notify_one();
  return ok();
}

Result<int> Scheduler::add(ServedAdapterPtr adapter) {
  std::future<int> index;
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return Error{Code::unavailable, "the server is stopping"};
    arrivals_.push_back({std::move(adapter), {}});
    index = arrivals_.back().index.get_future();
    work_.notify_one();
  }
  const int at = index.get();
  if (at < 0) return Error{Code::unavailable, "the server is stopping"};
  return at;
}

void Scheduler::retire(int adapter) {
  const std::scoped_lock lock(mutex_);
  if (!retired_.insert(adapter).second) return;
  leaving_.push_back(adapter);
  work_.notify_one();
}

bool Scheduler::is_used(int adapter) const {
  const auto uses = [&](const auto& job) { return job && job->sequence.adapter == adapter; };
  return std::ranges::any_of(slots_, uses) || std::ranges::any_of(waiting_, uses);
}

void Scheduler::change_adapters() {
  const std::scoped_lock lock(mutex_);
  for (Arrival& arrival : arrivals_)
    arrival.index.set_value(generator_.add(std::move(arrival.adapter)));
  arrivals_.clear();
  std::erase_if(leaving_, [&](int adapter) {
    if (is_used(adapter)) return false;
    generator_.drop(adapter);
    return true;
  });
}

void Scheduler::admit() {
  const std::scoped_lock lock(mutex_);
  std::erase_if(waiting_, [&](std::unique_ptr<Job>& job) {
    if (job->sink->wanted()) return false;
    job->sink->end(Finish::cancelled);
    return true;
  });
  auto free = std::count(slots_.begin(), slots_.end(), nullptr);
  for (auto next = waiting_.begin(); next != waiting_.end() && free > 0; --free) {
    const Start start = choose(**next);
    (*next)->waits = should_wait(**next, start);
    if ((*next)->waits) {
      ++next;  // the slot that was counted stays free for it
      continue;
    }
    take(start);
    std::unique_ptr<Job> job = std::move(*next);
    next = waiting_.erase(next);
    job->fed = static_cast<std::size_t>(start.tokens);
    job->sink->begin(start.tokens);
    totals_.queried_tokens += job->sequence.prompt.size();
    totals_.cached_tokens += job->fed;
    slots_[static_cast<std::size_t>(start.slot)] = std::move(job);
  }
}

Start Scheduler::choose(const Job& job) const {
  std::vector<SlotState> states;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const int slot = static_cast<int>(i);
    states.push_back({generator_.tokens(slot), generator_.adapter(slot), !slots_[i], used_[i]});
  }
  return start_of(states, job.sequence.prompt, job.sequence.adapter, generator_.turns_at());
}

// Whether prompts that are being fed will soon have much more of this one than is there; who has
// begun to wait waits for all of it.
bool Scheduler::should_wait(const Job& job, const Start& start) const {
  std::vector<SlotState> fed;
  for (const auto& other : slots_)
    if (other && !other->is_answering())
      fed.push_back({other->sequence.prompt, other->sequence.adapter, false, 0});
  const int soon =
      longest_prefix(fed, job.sequence.prompt, job.sequence.adapter, generator_.turns_at());
  return soon - start.tokens >= (job.waits ? 1 : options_.worth_waiting);
}

// Makes a free slot have what is gone on from, and no more.
void Scheduler::take(const Start& start) {
  if (start.from == start.slot)
    generator_.cut(start.slot, start.tokens);
  else
    generator_.copy(start.from, start.slot, start.tokens);
  used_[static_cast<std::size_t>(start.slot)] = ++turns_;
}

void Scheduler::end(int slot, Finish why) {
  auto& job = slots_[static_cast<std::size_t>(slot)];
  job->sink->end(why);
  job.reset();
  used_[static_cast<std::size_t>(slot)] = ++turns_;
}

Result<Token> Scheduler::choose_token(Job& job, std::span<const float> logits) {
  Sequence& s = job.sequence;
  if (s.rule) {
    job.allowed.resize((logits.size() + 31) / 32);
    TRY(s.rule->mask(job.allowed));
  }
  Token token{job.sampler->pick(logits, job.allowed), {}};
  if (s.rule) TRY(s.rule->take(token.number));
  if (s.likely >= 0) token.likely = likely_of(logits, token.number, s.likely);
  return token;
}

// Each feed's next token; none inside a prompt, where logits mean nothing yet. All at once: it
// stands between two rounds.
std::vector<Token> Scheduler::pick(std::span<const Feed> feeds, std::span<const float> logits) {
  const auto vocab = static_cast<std::size_t>(generator_.vocab());
  std::vector<Token> tokens(feeds.size());
#pragma omp parallel for schedule(dynamic) if (feeds.size() > 1)
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    Job& job = *slots_[static_cast<std::size_t>(feeds[i].slot)];
    tokens[i].number = no_token;
    if (!job.is_answering()) job.fed += feeds[i].tokens.size();
    if (!job.is_answering()) continue;
    auto chosen = choose_token(job, logits.subspan(i * vocab, vocab));
    if (!chosen.ok()) log::error("an answer's grammar failed", {{"why", chosen.error().what}});
    tokens[i] = chosen.ok() ? std::move(chosen).value() : Token{no_choice, {}};
  }
  return tokens;
}

void Scheduler::advance(int slot, const Token& token) {
  if (token.number == no_token) return;
  if (token.number == no_choice) return end(slot, Finish::failed);
  Job& job = *slots_[static_cast<std::size_t>(slot)];
  const auto& stops = job.sequence.stop_tokens;
  if (std::find(stops.begin(), stops.end(), token.number) != stops.end())
    return end(slot, Finish::stop);
  job.last = token.number;
  ++job.answered;
  ++totals_.answer_tokens;
  if (!job.sink->take(token)) return end(slot, Finish::stop);
  if (job.answered == job.sequence.max_tokens ||
      generator_.length(slot) == generator_.context_tokens())
    end(slot, Finish::length);
}

void Scheduler::publish() {
  totals_.running = static_cast<int>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& job) { return job != nullptr; }));
  totals_.running_adapters.clear();
  std::int64_t held = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i]) continue;
    add_once(totals_.running_adapters, slots_[i]->sequence.adapter);
    held += generator_.length(static_cast<int>(i));
  }
  totals_.kv_usage = static_cast<double>(held) /
                     (static_cast<double>(slots_.size()) * generator_.context_tokens());
  const std::scoped_lock lock(mutex_);
  counts_ = totals_;
}

bool Scheduler::round() {
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i] && !slots_[i]->sink->wanted()) end(static_cast<int>(i), Finish::cancelled);
  change_adapters();
  admit();
  const bool someone_answers = std::any_of(slots_.begin(), slots_.end(), [](const auto& job) {
    return job != nullptr && job->is_answering();
  });
  auto room = static_cast<std::size_t>(someone_answers ? options_.prompt_tokens_shared
                                                       : options_.prompt_tokens_alone);
  std::vector<Feed> feeds;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Job* job = slots_[i].get();
    if (job == nullptr) continue;
    std::span<const std::int32_t> tokens(&job->last, 1);
    if (!job->is_answering()) {
      const std::size_t rest = job->sequence.prompt.size() - job->fed;
      tokens = std::span(job->sequence.prompt).subspan(job->fed, std::min(rest, room));
      room -= tokens.size();
      totals_.prompt_tokens += tokens.size();
    }
    if (!tokens.empty()) feeds.push_back({static_cast<int>(i), tokens, job->sequence.adapter});
  }
  if (feeds.empty()) {
    publish();  // the last readers may have gone
    return false;
  }
  const auto logits = generator_.feed(feeds);
  if (!logits.ok()) {  // the requests were checked: ours is the error, theirs is an answer
    log::error("a batch failed", {{"why", logits.error().what}});
    for (const Feed& feed : feeds) end(feed.slot, Finish::failed);
    publish();
    return true;
  }
  const auto tokens = pick(feeds, logits.value());
  for (std::size_t i = 0; i < feeds.size(); ++i) advance(feeds[i].slot, tokens[i]);
  ++totals_.rounds;
  publish();
  return true;
}

SchedulerCounts Scheduler::counts() const {
  const std::scoped_lock lock(mutex_);
  SchedulerCounts counts = counts_;
  counts.waiting = static_cast<int>(waiting_.size());
  for (const auto& job : waiting_) add_once(counts.waiting_adapters, job->sequence.adapter);
  return counts;
}

bool Scheduler::is_stopping() const {
  const std::scoped_lock lock(mutex_);
  return stopping_;
}

void Scheduler::loop() {
  for (;;) {
    while (!is_stopping() && round()) {
    }
    std::unique_lock lock(mutex_);
    work_.wait(lock, [&] {
      return stopping_ || !waiting_.empty() || !arrivals_.empty() || !leaving_.empty();
    });
    if (stopping_) return;
  }
}

void Scheduler::start() {
  thread_ = std::thread([this] { loop(); });
}

void Scheduler::stop() {
  std::deque<std::unique_ptr<Job>> waiting;
  std::deque<Arrival> arrivals;
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    waiting.swap(waiting_);
    arrivals.swap(arrivals_);
    work_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  for (Arrival& arrival : arrivals) arrival.index.set_value(-1);
  for (auto& job : waiting) job->sink->end(Finish::cancelled);
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i]) end(static_cast<int>(i), Finish::cancelled);
  publish();
}
}  // namespace kairo::gpu
