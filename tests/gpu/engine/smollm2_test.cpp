// tests/gpu/engine/smollm2_test.cpp - a real model: the first losses equal those of transformers +
// peft (+ bitsandbytes) on gsm8k rows, from the same documented initial adapter.
#include <doctest/doctest.h>

#include <cstdio>

#include "gpu/engine/engine.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
// bf16: where the CPU has its instructions, fewer steps (without AMX they are slow).
TEST_CASE("optimizer steps on SmolLM2-135M follow the oracle: fp32 within 1e-4, bf16 within 5e-3") {
  struct Case {
    std::string name, golden;
    Method method;
    Type type;
    std::size_t steps;
    double bound;
  };
  for (const auto& c :
       {Case{"lora", "smollm2_lora.safetensors", Method::lora, Type::f32, 5, 1e-4},
        Case{"qlora", "smollm2_qlora.safetensors", Method::qlora, Type::f32, 5, 1e-4},
        Case{"lora in bf16", "smollm2_lora.safetensors", Method::lora, Type::bf16, 2, 5e-3},
        Case{"qlora in bf16", "smollm2_qlora.safetensors", Method::qlora, Type::bf16, 1, 5e-3}}) {
    CAPTURE(c.name);
    if (c.type == Type::bf16 && !is_possible(Products::mkl)) {
      MESSAGE("SKIP: this CPU has no bf16 instructions");
      continue;
    }
    const test::Golden file(c.golden);
    const auto rows = test::golden_rows(file);
    EngineOptions options;
    options.model_dir = test::smollm2_dir();
    options.method = c.method;
    options.type = c.type;
    options.products = Products::mkl;
    options.rank = 16;
    options.alpha = 32;
    options.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
    options.seed = 7;
    options.tokens_per_step = 1400;
    options.longest_row = 512;
    auto loaded = Engine::load(options);
    REQUIRE_MESSAGE(loaded.ok(), loaded.error().what);
    const auto engine = std::move(loaded).value();
    const auto losses = file.floats("losses");
    for (std::size_t step = 0; step < c.steps; ++step) {
      REQUIRE(step < losses.size());
      std::vector<TrainRow> batch;
      for (std::size_t r = step * 4; r < step * 4 + 4; ++r)
        batch.push_back({rows.tokens[r], rows.trained[r]});
      const std::int64_t targets = rows.targets(step * 4, 4);
      const auto sum = engine->accumulate(batch, targets, 0);
      REQUIRE_MESSAGE(sum.ok(), sum.error().what);
      CAPTURE(step);
      CHECK(sum.value() / static_cast<double>(targets) ==
            doctest::Approx(static_cast<double>(losses[step])).epsilon(c.bound));
      Update settings;
      settings.learning_rate = 2e-4;
      engine->update(settings, static_cast<std::int64_t>(step) + 1);
    }
  }
}
}  // namespace kairo::gpu

int main(int argc, char** argv) {
  if (kairo::gpu::test::smollm2_dir().empty()) {
    std::puts(
        "SKIP: SmolLM2 is not in the cache's models/smollm2-135m-instruct (kairo-tune import)");
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
