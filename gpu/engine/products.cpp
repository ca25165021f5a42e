// gpu/engine/products.cpp - what the CPU has, and a race of a few products.
#include "gpu/engine/products.h"

#include <cpuid.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "gpu/engine/buffer.h"
#include "gpu/engine/torch_cpu.h"

namespace kairo::gpu {
namespace {
constexpr std::array<std::pair<Products, std::string_view>, 4> names = {
    {{Products::fp32, "fp32"},
     {Products::mkl, "bf16 by MKL"},
     {Products::onednn, "bf16 by oneDNN"},
     {Products::device, "bf16 by the device"}}};
// How far ahead of fp32 bf16 must be, and oneDNN of MKL: converting rows costs something beside the
// products, and near a tie one machine would choose now this, now that. (Seen: with AMX MKL is 3.5
// to 6 times fp32 and oneDNN at most 1.5 times MKL; on Zen 4 oneDNN is 2.1 times fp32 and 3.5 MKL.)
constexpr double ahead_of_fp32 = 1.3, ahead_of_mkl = 2;
// Of the products that are timed: large enough to reach the speed of large ones (of a tiny model's
// own, the noise would choose), small enough for milliseconds.
constexpr std::int64_t tokens_min = 128, tokens_max = 256, side_min = 512, side_max = 2048;
constexpr int rounds = 6;  // the first one warms up; of the others the best counts
constexpr double average_seconds = 0.3;

// AVX512_BF16 (which all CPUs with AMX have), and the system keeps its registers.
bool has_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a >> 5 & 1) == 0) return false;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 27 & 1) == 0) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 0xe6) == 0xe6;
}
// Whether a library's switch leaves it one of these instruction sets.
bool leaves(const char* variable, std::initializer_list<std::string_view> sets) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return true;
  return std::ranges::any_of(sets, [text = std::string_view(value)](std::string_view set) {
    return text.find(set) != text.npos;
  });
}

// Operands of y = x w^T and dx = dy w, all values alike, made for the types that run.
class Race {
 public:
  Race(std::int64_t tokens, LinearShape shape)
      : T_(tokens), s_(shape), x_(T_ * s_.in), y_(T_ * s_.out) {
    for (Buffer* b : {&x_, &y_}) std::ranges::fill(b->span(), 0.01f);
  }
  double flops() const { return 4.0 * static_cast<double>(T_ * s_.in * s_.out); }
  void run(Products p) {
    const auto both = [&](auto multiply, const auto* x, const auto* w, const auto* y) {
      multiply({false, true, T_, s_.out, s_.in, x, s_.in, w, s_.in, y_.data(), s_.out});
      multiply({false, false, T_, s_.in, s_.out, y, s_.out, w, s_.in, x_.data(), s_.in});
    };
    if (p == Products::fp32) {
      if (w_.size() == 0) std::ranges::fill((w_ = Buffer(s_.out * s_.in)).span(), 0.01f);
      return both([](const Gemm& g) { gemm(g); }, x_.data(), w_.data(), y_.data());
    }
    const auto sized = [](std::vector<std::uint16_t>& v, std::int64_t n) {
      v.resize(static_cast<std::size_t>(n), 0x3c24);  // 0.01
      return v.data();
    };
    const auto *x = sized(x16_, x_.size()), *w = sized(w16_, s_.out * s_.in),
               *y = sized(y16_, y_.size());
    if (p == Products::mkl) return both([](const GemmBf16& g) { gemm_by_mkl(g); }, x, w, y);
    std::uint16_t* rounded = sized(rounded_, std::max(x_.size(), y_.size()));
    both([&](const GemmBf16& g) { gemm_by_onednn(g, rounded); }, x, w, y);
  }

 private:
  std::int64_t T_;
  LinearShape s_;
  Buffer x_, w_, y_;
  std::vector<std::uint16_t> x16_, w16_, y16_, rounded_;
};
double thread_seconds() {  // of the processor; no Clock has it
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
Race race_of(std::int64_t tokens, LinearShape shape) {
  return {std::clamp(tokens, tokens_min, tokens_max),
          {std::clamp(shape.out, side_min, side_max), std::clamp(shape.in, side_min, side_max)}};
}
// The candidates' speeds on one core, in turns. Of processor time: what else the machine does,
// which once made one run of two choose otherwise, does not count.
std::vector<double> speeds_of_a_core(const std::vector<Products>& candidates, Race& race) {
  set_threads(1);
  std::vector<double> best(candidates.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double began = thread_seconds();
      race.run(candidates[i]);
      const double took = thread_seconds() - began;
      if (round > 0) best[i] = std::max(best[i], race.flops() / took);
    }
  return best;
}
// As long as all threads take.
double speed_of(Products products, Race& race, int threads) {
  set_threads(threads);
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const double began = omp_get_wtime();  // finer than a Clock's milliseconds
    race.run(products);
    const double took = omp_get_wtime() - began;
    if (round > 0) best = std::max(best, race.flops() / took);
  }
  return best;
}
std::string gigaflops(double speed) {
  return std::to_string(std::llround(speed / 1e9)) + " GFLOP/s";
}
}  // namespace

std::string_view name_of(Products p) {
  return names[static_cast<std::size_t>(p)].second;
}
std::optional<Products> products_named(std::string_view name) {
  for (const auto& [products, its] : names)
    if (its == name) return products;
  return std::nullopt;
}

bool is_possible(Products p) {
  if (p == Products::fp32) return true;
  if (p == Products::device) return false;
  if (!has_instructions()) return false;
  if (p == Products::mkl) return leaves("MKL_ENABLE_INSTRUCTIONS", {"E3", "E4", "E5"});
  return has_onednn() &&
         leaves("ONEDNN_MAX_CPU_ISA", {"BF16", "FP16", "AMX", "AVX10", "DEFAULT", "ALL"});
}

ProductChoice choose_products(std::int64_t tokens, LinearShape shape, int threads,
                              std::string_view kept) {
  std::vector<Products> candidates;
  for (const auto& [products, name] : names)
    if (is_possible(products)) candidates.push_back(products);
  Race race = race_of(tokens, shape);
  const std::vector<double> speed = speeds_of_a_core(candidates, race);
  std::size_t chosen = 0;
  std::string text;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const bool is_over_mkl = candidates[chosen] == Products::mkl;
    if (speed[i] > (is_over_mkl ? ahead_of_mkl : ahead_of_fp32) * speed[chosen]) chosen = i;
    text += (i == 0 ? "" : ", ") + std::string(name_of(candidates[i])) + " " + gigaflops(speed[i]);
  }
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (name_of(candidates[i]) == kept) {
      chosen = i;
      text += "; as before";
    }
  return {candidates[chosen], speed_of(candidates[chosen], race, threads),
          "products: " + std::string(name_of(candidates[chosen])) + " (a core: " + text + ")"};
}

double seconds_there_and_back(Products p, std::int64_t tokens, LinearShape shape) {
  Race race(tokens, shape);
  race.run(p);  // warms caches and threads
  const double began = omp_get_wtime();
  int runs = 0;
  double passed = 0;
  for (; passed < 2 * average_seconds; passed = omp_get_wtime() - began, ++runs) race.run(p);
  return passed / runs;
}

ProductChoice fp32_products(std::int64_t tokens, LinearShape shape, int threads) {
  Race race = race_of(tokens, shape);
  const double speed = speed_of(Products::fp32, race, threads);
  return {Products::fp32, speed, "products: fp32 (" + gigaflops(speed) + ")"};
}
}  // namespace kairo::gpu
