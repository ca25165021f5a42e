// tests/bench/rows_bench.cpp - how fast data becomes token rows with their targets.
// usage: rows_bench MODEL DATA THREADS...; a line "THREADS ROWS TOKENS SECONDS" for each, the best
// of three: what is measured is the code, not the machine's other work.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "gpu/data/dataset.h"

using namespace kairo::gpu;

int main(int count, char** arguments) {
  if (count < 4) {
    std::fputs("usage: rows_bench MODEL DATA THREADS...\n", stderr);
    return 2;
  }
  const auto tokenizer = Tokenizer::load(arguments[1]);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.error().what.c_str());
    return 1;
  }
  TrainingConfig config;
  config.train_test_split = 1;
  for (int i = 3; i < count; ++i) {
    LoadOptions options;
    options.threads = std::max(1, std::atoi(arguments[i]));
    double best = 0;
    std::size_t tokens = 0, rows = 0;
    for (int round = 0; round < 3; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      const auto data = load_dataset(arguments[2], config, tokenizer.value(), options);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      if (!data.ok()) {
        std::fprintf(stderr, "%s\n", data.error().what.c_str());
        return 1;
      }
      rows = data.value().rows.size();
      tokens = 0;
      for (const auto& row : data.value().rows) tokens += row.tokens.size();
      best = round == 0 ? took.count() : std::min(best, took.count());
    }
    std::printf("%d %zu %zu %.4f\n", options.threads, rows, tokens, best);
  }
  return 0;
}
