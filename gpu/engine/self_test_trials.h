// gpu/engine/self_test_trials.h - what a self-test calls. Private to self_test*.cpp.
#pragma once
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "gpu/engine/forward_ops.h"
#include "gpu/kernels/bf16.h"

namespace kairo::gpu {
// Matrices on a device, the same whatever it is, and what came out.
class Desk {
 public:
  explicit Desk(Ops& on) : ops(on) {}
  Ops& ops;
  std::vector<float> said;

  // Values in [-size, size) that bf16 can hold; beside them, too, so that what is written there
  // shows.
  Mat put(std::int64_t rows, std::int64_t cols, Type type = Type::f32, float size = 1,
          std::int64_t beside = 3) {
    const std::int64_t ld = cols + beside, count = rows * ld;
    Buffer host(floats_of(type, count));
    auto* narrow = reinterpret_cast<std::uint16_t*>(host.data());
    for (std::int64_t i = 0; i < count; ++i) {
      const std::uint16_t value = bf16_of_float(next() * size);
      if (type == Type::bf16)
        narrow[i] = value;
      else
        host.data()[i] = float_of_bf16(value);
    }
    memory_.push_back(ops.adopt(std::move(host)));
    return Mat::of(type, memory_.back().data(), rows, cols, ld);
  }
  Mat dense(std::int64_t rows, std::int64_t cols, Type type = Type::f32, float size = 1) {
    return put(rows, cols, type, size, 0);
  }
  template <class T>
  const T* held(std::vector<T> values) {
    memory_.push_back(
        ops.held(values.data(), static_cast<std::int64_t>(values.size() * sizeof(T))));
    kept_.emplace_back(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    if (memory_.back().data() == static_cast<const void*>(values.data()))
      memory_.back() =
          ops.held(kept_.back().data(), static_cast<std::int64_t>(kept_.back().size()));
    return static_cast<const T*>(static_cast<const void*>(memory_.back().data()));
  }
  template <class T>
  const T* placed(const std::vector<T>& values) {
    kept_.emplace_back(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    return static_cast<const T*>(
        ops.placed_bytes(kept_.back().data(), static_cast<std::int64_t>(kept_.back().size())));
  }
  std::vector<std::uint8_t> bytes(std::int64_t count) {
    std::vector<std::uint8_t> out;
    for (std::int64_t i = 0; i < count; ++i)
      out.push_back(static_cast<std::uint8_t>(128 + 127 * next()));
    return out;
  }
  // A matrix in GGUF's blocks, whose scales are ordinary numbers.
  Frozen blocks(Stored kind, std::int64_t rows, std::int64_t cols) {
    const std::int64_t block = bytes_per_block(kind), count = rows * cols / values_per_block(kind);
    std::vector<std::uint8_t> out = bytes(count * block);
    for (std::size_t i = 0; i < out.size(); i += static_cast<std::size_t>(block))
      for (const std::int64_t upper : {1, 3, 209})  // the upper byte of an f16, or just a byte
        if (upper < block) out[i + static_cast<std::size_t>(upper)] &= 0xbfu;
    return Frozen::of(kind, held(std::move(out)), rows, cols);
  }
  void say(const Mat& m) { say_only(m.columns_at(0, m.ld)); }
  void say_only(const Mat& whole) {  // not what lies beside
    memory_.push_back(ops.make(whole.rows * whole.cols));
    const Mat wide = Mat::f32(memory_.back().data(), whole.rows, whole.cols);
    ops.copy(wide, whole);
    const float* seen = ops.seen(wide);
    said.insert(said.end(), seen, seen + wide.rows * wide.cols);
  }

 private:
  float next() {
    seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(seed_ >> 40) / 8388608.0f - 1;
  }
  std::list<Buffer> memory_;
  std::list<std::string> kept_;
  std::uint64_t seed_ = 7;
};

// One call on values of its own; bound: of the largest value that it says.
struct Trial {
  Call call;
  std::string shape;
  double bound;
  std::function<void(Desk&)> run;
};
std::vector<Trial> self_test_trials();  // copy first: what all others say is copied
// Of attention's rows: what a CPU's scratch is made for.
constexpr std::int64_t trial_longest = 130, trial_dim = 24;
}  // namespace kairo::gpu
