// What data parallel costs a step beside its computing: an adapter's gradients summed over all
// ranks in shared memory, and what a device adds to it, at the sizes of an 8B Llama's adapters.
//   ranks_bench [RANKS [REPEATS]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "gpu/engine/ranks.h"

using namespace kairo::gpu;
namespace {
double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}
// 32 layers, hidden 4,096, 1,024 values of keys, 14,336 of the gate.
std::int64_t parameters(std::int64_t rank, bool all) {
  constexpr std::int64_t hidden = 4096, keys = 1024, inner = 14336;
  const std::int64_t attention = all ? 2 * (hidden + hidden) + 2 * (hidden + keys)  // q o, k v
                                     : (hidden + hidden) + (hidden + keys);         // q, v
  return 32 * rank * (attention + (all ? 3 * (hidden + inner) : 0));
}
}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 2, repeats = argc > 2 ? std::atoi(argv[2]) : 9;
  auto started = Ranks::start(count);
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.error().what.c_str());
    return 1;
  }
  Ranks& ranks = *started.value();
  const auto say = [&](const char* format, auto... values) {
    if (ranks.rank() == 0) std::printf(format, values...);
  };
  say("  %-34s %10s %8s %8s %10s\n", "adapter of an 8B Llama", "values", "MiB", "ms", "GB/s");
  struct Row {
    const char* name;
    std::int64_t rank;
    bool all;
  };
  for (const Row& row :
       {Row{"r 8, q_proj and v_proj", 8, false}, Row{"r 8, all linear modules", 8, true},
        Row{"r 64, q_proj and v_proj", 64, false}, Row{"r 64, all linear modules", 64, true}}) {
    std::vector<float> values(static_cast<std::size_t>(parameters(row.rank, row.all)), 1.0f);
    std::vector<double> took;
    for (int i = 0; i < repeats; ++i) {
      std::fill(values.begin(), values.end(), 1.0f);
      ranks.sum(values);  // all have come
      const double began = now_ms();
      ranks.sum(values);
      took.push_back(now_ms() - began);
    }
    const double bytes = 4.0 * static_cast<double>(values.size());
    say("  %-34s %10lld %8.0f %8.1f %10.1f\n", row.name, static_cast<long long>(values.size()),
        bytes / (1 << 20), median(took), bytes / median(took) / 1e6);
  }
  std::fflush(stdout);
  ranks.anyone(false);  // nobody ends before all are done
  return 0;
}
