// tests/gpu/cuda/emulator/emulated_shared.h - shared memory that knows who touched it: two threads
// of which one writes must have a barrier between them, whatever order they happen to run in. It
// begins as NaN in each block.
#pragma once
#include "emulator.h"

namespace kairo::cuda {
template <class T, int count>
class Shared {
 public:
  T get(int i) {
    Cell& c = cell(i);
    if (c.written == now() && c.writer != emulator::here.flat)
      emulator::fail("race: shared memory is read that another thread wrote since the barrier");
    c.reader = c.read == now() && c.reader != emulator::here.flat ? several : emulator::here.flat;
    c.read = now();
    return c.value;
  }
  void set(int i, T value) {
    Cell& c = cell(i);
    if (c.written == now() && c.writer != emulator::here.flat)
      emulator::fail("race: two threads write to one place of shared memory");
    if (c.read == now() && c.reader != emulator::here.flat)
      emulator::fail("race: shared memory is written that another thread read since the barrier");
    c.writer = emulator::here.flat;
    c.written = now();
    c.value = value;
  }

 private:
  static constexpr int several = -1;
  struct Cell {
    T value;
    int reader, writer;
    std::uint64_t read, written;  // when: intervals between barriers, counted over all blocks
  };
  static std::uint64_t now() { return emulator::here.interval; }
  Cell& cell(int i) {
    if (i < 0 || i >= count) emulator::fail("an index is out of the range of shared memory");
    if (block_ != emulator::here.block_number) {  // another block's is not this one's
      block_ = emulator::here.block_number;
      for (Cell& c : cells_) {
        c = {};
        __builtin_memset(static_cast<void*>(&c.value), 0xff, sizeof(T));
      }
    }
    return cells_[i];
  }
  std::uint64_t block_ = 0;
  Cell cells_[count] = {};
};
}  // namespace kairo::cuda
