// gpu/engine/ranks.h - processes of one machine that train one adapter together, each on a share of
// every step's rows: one a GPU. All make the same calls in the same order.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::gpu {
class Ranks {  // one thread
 public:
  // This process becomes rank 0, its children the others, at the same place of the program. Before
  // the first thread, and before a device's libraries are open: neither outlives a fork. When rank
  // 0 is gone the others' next call fails, and the other way about. unavailable: no memory or
  // process.
  static Result<std::shared_ptr<Ranks>> start(int count);
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks();  // rank 0 ends children that still run, and awaits them
  int rank() const { return rank_; }
  int count() const { return count_; }
  // All that follow: DeviceFailure, which is not of memory: a rank has ended; how, or what it said.
  // Element by element, (((rank 0 + rank 1) + rank 2) + ...) in the type's own sums: every rank has
  // the same bits, and they depend on nothing else.
  void sum(std::span<float> values);
  void sum(std::span<double> values);
  std::int64_t least(std::int64_t value);  // of all ranks' values
  bool anyone(bool said);                  // whether a rank says so
  bool first(bool said);                   // what rank 0 says
  // Of a rank that cannot go on: its reason for rank 0, which learns it from its next call.
  void give_up(const std::string& why);

 private:
  Ranks(int count, void* shared) : count_(count), shared_(static_cast<char*>(shared)) {}
  template <class T>
  void sum_parts(std::span<T> values);
  void meet();  // returns when all ranks have called it
  [[noreturn]] void fail_of(int other);
  char* block(int of) const;  // of the shared memory: each rank's, and of the results
  int count_, rank_ = 0;
  char* shared_;
  std::vector<int> others_;    // rank 0: sockets to ranks 1, 2, ..; else: the one to rank 0
  std::vector<int> children_;  // process ids; of rank 0
};
using RanksPtr = std::shared_ptr<Ranks>;  // null: alone

// Whose rank computes which row of a step: the longest first, each to who has the fewest tokens so
// far. A function of the lengths, so that all ranks agree.
std::vector<int> shares(std::span<const std::int64_t> tokens, int ranks);
// The one entry of CUDA_VISIBLE_DEVICES for a rank. visible: what the variable says; null: not set.
std::string visible_device(const char* visible, int rank);
}  // namespace kairo::gpu
