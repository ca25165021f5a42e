// tests/gpu/cuda/emulator/emulator.cpp - blocks one after the other, their threads as fibers.
#include "emulator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <numeric>
#include <vector>

#include "fiber.h"
#include "memory.h"

namespace emulator {
Here here;
namespace {
enum class State { fresh, ready, at_barrier, at_exchange, done };
struct Thread {
  Fiber fiber;
  State state = State::fresh;
  dim3 index;
  Site site = {};
  unsigned mask = 0;
  std::uint64_t brought[2] = {};  // of this exchange and of the one before, which others may read
  unsigned turn = 0;
};
struct Launch {
  dim3 grid, block;
  std::unique_ptr<Call> call;
};
std::map<void*, std::vector<Launch>> streams;
std::vector<std::unique_ptr<Thread>> threads;  // those of the running block come first
Call* running = nullptr;
int count = 0;  // of threads in the block
unsigned seed_now = 0;
std::uint64_t random_state = 1, blocks_run = 0;

std::uint64_t next_random() {  // xorshift64
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}
void shuffle(std::vector<std::uint32_t>& order) {
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[next_random() % i]);
}
std::vector<std::uint32_t> order_of(std::size_t n) {  // as the seed says
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  if (seed_now == 1) std::reverse(order.begin(), order.end());
  if (seed_now > 1) shuffle(order);
  return order;
}

void body() {
  running->run();
  Thread& t = *threads[static_cast<std::size_t>(here.flat)];
  t.state = State::done;
}
void resume(int i) {
  Thread& t = *threads[static_cast<std::size_t>(i)];
  here.thread = t.index;
  here.flat = i;
  if (t.state == State::fresh) t.fiber.start(body);
  t.state = State::ready;
  t.fiber.enter();
}
Thread& wait(State why, Site site) {
  Thread& t = *threads[static_cast<std::size_t>(here.flat)];
  t.state = why;
  t.site = site;
  t.fiber.leave();
  return t;
}
bool is_same(Site a, Site b) {
  return a.line == b.line && a.file == b.file;
}

// Whether all lanes that a waiting thread's mask names are at its place.
bool are_met(const Thread& t, int first, int lanes) {
  for (int k = 0; k < lanes; ++k) {
    if ((t.mask >> k & 1) == 0) continue;
    const Thread& other = *threads[static_cast<std::size_t>(first + k)];
    if (other.state == State::done) fail("a shuffle waits for a thread that has ended", t.site);
    if (other.state != State::at_exchange || other.mask != t.mask || !is_same(other.site, t.site))
      return false;
  }
  return true;
}
bool release_warps() {
  bool any = false;
  for (int first = 0; first < count; first += 32) {
    const int lanes = std::min(32, count - first);
    for (int l = 0; l < lanes; ++l) {
      const Thread& t = *threads[static_cast<std::size_t>(first + l)];
      if (t.state != State::at_exchange) continue;
      if ((t.mask >> l & 1) == 0) fail("a thread is not in the mask of its own shuffle", t.site);
      if (!are_met(t, first, lanes)) continue;
      for (int k = 0; k < lanes; ++k)
        if ((t.mask >> k & 1) != 0)
          threads[static_cast<std::size_t>(first + k)]->state = State::ready;
      any = true;
    }
  }
  return any;
}
bool release_barrier() {
  const Thread* one = nullptr;
  int waiting = 0, done = 0;
  for (int i = 0; i < count; ++i) {
    const Thread& t = *threads[static_cast<std::size_t>(i)];
    done += t.state == State::done;
    if (t.state != State::at_barrier) continue;
    ++waiting;
    if (one == nullptr) one = &t;
    if (!is_same(one->site, t.site)) fail("threads wait at different barriers", t.site);
  }
  if (waiting == 0 || waiting + done < count) return false;
  if (done > 0) fail("a thread ended before a barrier that others wait at", one->site);
  for (int i = 0; i < count; ++i) threads[static_cast<std::size_t>(i)]->state = State::ready;
  ++here.interval;
  return true;
}
void run_block() {
  std::vector<std::uint32_t> order = order_of(static_cast<std::size_t>(count));
  for (;; seed_now > 1 ? shuffle(order) : void()) {
    bool ran = false, all_done = true;
    for (const std::uint32_t i : order) {
      const State s = threads[i]->state;
      if (s != State::fresh && s != State::ready) continue;
      resume(static_cast<int>(i));
      ran = true;
    }
    for (int i = 0; i < count; ++i)
      all_done = all_done && threads[static_cast<std::size_t>(i)]->state == State::done;
    if (all_done) return;
    if (release_warps() || release_barrier() || ran) continue;
    for (int i = 0; i < count; ++i) {
      const Thread& t = *threads[static_cast<std::size_t>(i)];
      if (t.state != State::done)
        fail(t.state == State::at_barrier ? "deadlock: some threads wait at a barrier for ever"
                                          : "deadlock: some threads wait at a shuffle for ever",
             t.site);
    }
  }
}
void run(const Launch& launch) {
  running = launch.call.get();
  here.grid_size = launch.grid;
  here.block_size = launch.block;
  count = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  while (threads.size() < static_cast<std::size_t>(count))
    threads.push_back(std::make_unique<Thread>());
  for (const std::uint32_t at :
       order_of(std::size_t{launch.grid.x} * launch.grid.y * launch.grid.z)) {
    here.block = dim3(at % launch.grid.x, at / launch.grid.x % launch.grid.y,
                      at / launch.grid.x / launch.grid.y);
    here.block_number = ++blocks_run;
    ++here.interval;
    for (int i = 0; i < count; ++i) {
      Thread& t = *threads[static_cast<std::size_t>(i)];
      const auto n = static_cast<unsigned>(i);
      t.state = State::fresh;
      t.index = dim3(n % launch.block.x, n / launch.block.x % launch.block.y,
                     n / launch.block.x / launch.block.y);
    }
    run_block();
  }
}
}  // namespace

void fail(const char* what, Site site) {
  std::fprintf(stderr, "emulator: %s", what);
  if (site.file != nullptr) std::fprintf(stderr, ", %s:%d", site.file, site.line);
  std::fprintf(stderr, " (block %u, thread %d)\n", here.block.x, here.flat);
  std::abort();
}
void check_aligned(const void* at, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(at) % bytes != 0)
    fail("values that are written at once are not aligned");
}
void block_barrier(Site site) {
  wait(State::at_barrier, site);
}

std::uint64_t exchange(std::uint64_t value, unsigned mask, unsigned source, Site site) {
  Thread& t = *threads[static_cast<std::size_t>(here.flat)];
  const unsigned slot = t.turn++ % 2;
  t.brought[slot] = value;
  t.mask = mask;
  wait(State::at_exchange, site);
  const int from = here.flat / 32 * 32 + static_cast<int>(source % 32);
  if ((mask >> source % 32 & 1) == 0 || from >= count)
    fail("a shuffle reads a lane that is not there", site);
  return threads[static_cast<std::size_t>(from)]->brought[slot];
}
unsigned ballot(bool predicate, unsigned mask, Site site) {
  const int lanes = std::min(32, count - here.flat / 32 * 32);
  unsigned votes = 0;
  for (unsigned l = 0; l < static_cast<unsigned>(lanes); ++l)
    if ((mask >> l & 1) != 0) votes |= (exchange(predicate, mask, l, site) != 0 ? 1u : 0u) << l;
  return votes;
}

int queue(void* stream, dim3 grid, dim3 block, Call* call) {
  std::unique_ptr<Call> owned(call);
  const auto is_count = [](unsigned n, unsigned largest) { return n > 0 && n <= largest; };
  if (!is_count(grid.x, 0x7fffffff) || !is_count(grid.y, 65535) || !is_count(grid.z, 65535) ||
      !is_count(block.x, 1024) || !is_count(block.y, 1024) || !is_count(block.z, 64) ||
      block.x * block.y * block.z > 1024)
    return 9;  // cudaErrorInvalidConfiguration
  streams[stream].push_back({grid, block, std::move(owned)});
  return 0;
}
void finish(void* stream) {
  std::vector<Launch> work = std::move(streams[stream]);
  streams[stream].clear();
  if (work.empty()) return;
  const OpenMemory open;
  for (const Launch& launch : work) run(launch);
}
void finish_all() {
  for (auto& [stream, work] : streams) finish(stream);
}
}  // namespace emulator

extern "C" void emulator_seed(unsigned seed) {
  emulator::seed_now = seed;
  emulator::random_state = seed * 0x9e3779b97f4a7c15ull + 1;
}
