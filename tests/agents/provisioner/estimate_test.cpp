// tests/agents/provisioner/estimate_test.cpp - what a tuning needs is what the trainer plans, and
// both sides know the same families.
#include "agents/provisioner/estimate.h"

#include <doctest/doctest.h>

#include <set>

#include "gpu/formats/model_config.h"
#include "gpu/plan/memory_plan.h"

namespace kairo::provisioner {
namespace {
const catalogue::Preset& preset(const char* name) {
  const catalogue::Preset* found = catalogue::find_preset(name);
  REQUIRE(found != nullptr);
  return *found;
}
}  // namespace

TEST_CASE("estimate: the presets of a family that the engine runs, and no others, are its own") {
  std::set<std::string> native;
  for (const catalogue::Preset& p : catalogue::presets()) {
    CAPTURE(p.name);
    CHECK(is_native(p) == (gpu::is_computed(p.architecture) && p.quantization.empty()));
    if (is_native(p)) native.insert(p.name);
    CHECK(p.config.empty() == !is_native(p));
    if (p.config.empty()) continue;
    // The trainer's own reader takes it, and its sizes give the weights that are published; of a
    // model for images and text the images' part is beside.
    const auto config = gpu::parse_model_config(p.config, p.name);
    REQUIRE_MESSAGE(config.ok(), config.error().what);
    const gpu::ModelConfig& c = config.value();
    CHECK(c.architecture == p.architecture);
    CHECK(c.positions == p.context_tokens);
    std::int64_t weights = (c.tied_head ? 1 : 2) * c.vocab * c.hidden;
    for (const gpu::Group g : gpu::all_groups)
      weights += c.layers * gpu::shape_of(c, g).out * gpu::shape_of(c, g).in;
    if (c.architecture.ends_with("ForConditionalGeneration")) weights += 420'000'000;
    CHECK(static_cast<double>(weights) ==
          doctest::Approx(static_cast<double>(p.parameters)).epsilon(2e-3));
  }
  CHECK(native ==
        std::set<std::string>{
            "deepseek-r1-distill-llama-8b", "deepseek-r1-distill-qwen-14b", "gemma-3-27b-instruct",
            "gemma-3-4b-instruct", "ibm-granite/granite-4.1-8b", "llama-3.1-8b-instruct",
            "llama-3.3-70b-instruct", "mistral-7b", "mistral-7b-instruct",
            "phi-3-medium-128k-instruct", "phi-3-medium-4k-instruct", "phi-3-mini-128k-instruct",
            "phi-3-mini-4k-instruct", "phi-3.5-mini-instruct", "phi-4", "phi-4-mini-instruct",
            "qwen2.5-coder-32b-instruct", "qwen2.5-coder-7b-instruct", "smollm2-135m-instruct"});
  CHECK(gpu::computed_families() ==
        "llama, mistral, ministral3, qwen2, qwen3, smollm3, phi3, granite, granitemoehybrid, "
        "olmo2, olmo3, gemma2, gemma3_text, falcon");
  CHECK(why_not_native(preset("qwen/qwen3-8b-awq")) == "unquantised weights: these are awq4");
  CHECK(why_not_native(preset("gpt-oss-20b"))
            .starts_with("an engine for its family: kairo's own has llama, mistral"));
}

TEST_CASE("estimate: a server needs its weights as they are stored, on a CPU and on a GPU") {
  const catalogue::Preset& smollm2 = preset("smollm2-135m-instruct");
  const Need wide = serving_need(smollm2, 0, true);
  const Need stored = serving_need(smollm2, 0, true, 96'614'944);
  CHECK(wide.memory_bytes - stored.memory_bytes == smollm2.parameters * 4 - 96'614'944);
  CHECK(stored.why.starts_with("weights 0.1 GiB, "));
  CHECK(serving_need(smollm2, 0, false).memory_bytes -
            serving_need(smollm2, 0, false, 96'614'944).memory_bytes ==
        smollm2.parameters * 2 - 96'614'944);
}

TEST_CASE("estimate: a tuning on a CPU needs the trainer's smallest plan") {
  for (const char* method : {"lora", "qlora"}) {
    CAPTURE(method);
    const auto& p = preset("smollm2-135m-instruct");
    const auto config = gpu::parse_model_config(p.config, p.name).value();
    const auto lora = gpu::lay_out(config, 16, 1, [](std::int64_t, gpu::Module) { return true; });
    gpu::MemoryRequest request;
    request.method = std::string(method) == "lora" ? gpu::Method::lora : gpu::Method::qlora;
    request.tokens_per_step = request.longest_row = 2048;
    request.threads = 16;
    request.budget_bytes = 1;
    CHECK(tuning_need(p, method, true).memory_bytes ==
          gpu::smallest_plan(config, lora, request).peak_bytes());
  }
  struct Row {
    const char* preset;
    std::string method, bytes, why;
  };
  for (const Row& row :
       {Row{"smollm2-135m-instruct", "lora", "1.1 GiB",
            "weights 0.5 GiB, adapter and moments 0.1, activations 0.3, program 0.2"},
        Row{"smollm2-135m-instruct", "qlora", "0.7 GiB",
            "NF4 weights 0.2 GiB, adapter and moments 0.1, activations 0.3, program 0.2"},
        Row{"llama-3.1-8b-instruct", "lora", "33.3 GiB",
            "weights 30.2 GiB, adapter and moments 1.1, activations 1.8, program 0.2"},
        Row{"llama-3.1-8b-instruct", "qlora", "10.8 GiB",
            "NF4 weights 7.7 GiB, adapter and moments 1.1, activations 1.8, program 0.2"},
        Row{"phi-3-mini-128k-instruct", "qlora", "4.8 GiB",
            "NF4 weights 2.7 GiB, adapter and moments 0.7, activations 1.3, program 0.2"},
        Row{"mistral-7b", "qlora", "7.9 GiB",
            "NF4 weights 4.8 GiB, adapter and moments 1.1, activations 1.8, program 0.2"},
        Row{"llama-3.3-70b-instruct", "qlora", "54.6 GiB",
            "NF4 weights 42.5 GiB, adapter and moments 5.4, activations 6.5, program 0.2"}}) {
    CAPTURE(row.preset);
    CAPTURE(row.method);
    const Need need = tuning_need(preset(row.preset), row.method, true);
    CHECK(gib(need.memory_bytes) == row.bytes);
    CHECK(need.why == row.why);
  }
}

TEST_CASE("estimate: a tuning on a GPU needs what its smallest plan leaves of a GPU, too") {
  const auto& p = preset("llama-3.1-8b-instruct");
  const auto config = gpu::parse_model_config(p.config, p.name).value();
  const auto lora = gpu::lay_out(config, 16, 1, [](std::int64_t, gpu::Module) { return true; });
  gpu::MemoryRequest request;
  request.tokens_per_step = request.longest_row = 2048;
  request.on_device = request.in_bf16 = request.by_kernels = request.by_flash = true;
  const gpu::MemoryPlan plan = gpu::smallest_plan(config, lora, request);
  const std::int64_t free_bytes = tuning_need(p, "lora", false).memory_bytes - (1 << 29);
  CHECK(free_bytes / 10 * 9 ==
        doctest::Approx(static_cast<double>(plan.peak_bytes())).epsilon(1e-6));
  struct Row {
    const char* preset;
    std::string method, bytes, why;
  };
  for (const Row& row :
       {Row{"smollm2-135m-instruct", "lora", "2.1 GiB",
            "weights 0.3 GiB, adapter and moments 0.1, activations 0.2, program and reserve 1.5"},
        Row{"llama-3.1-8b-instruct", "lora", "21.5 GiB",
            "weights 15.2 GiB, adapter and moments 0.7, activations 1.9, program and reserve 3.7"},
        Row{"llama-3.1-8b-instruct", "qlora", "10.4 GiB",
            "NF4 weights 5.5 GiB, adapter and moments 0.7, activations 1.9, program and reserve "
            "2.3"},
        Row{"phi-3-mini-128k-instruct", "qlora", "5.7 GiB",
            "NF4 weights 2.2 GiB, adapter and moments 0.4, activations 1.4, program and reserve "
            "1.7"},
        Row{"llama-3.3-70b-instruct", "qlora", "56.0 GiB",
            "NF4 weights 37.7 GiB, adapter and moments 3.5, activations 6.7, program and reserve "
            "8.1"}}) {
    CAPTURE(row.preset);
    CAPTURE(row.method);
    const Need need = tuning_need(preset(row.preset), row.method, false);
    CHECK(gib(need.memory_bytes) == row.bytes);
    CHECK(need.why == row.why);
  }
}

TEST_CASE("estimate: what the catalogue has no sizes of is guessed") {
  CHECK(tuning_need(preset("gpt-oss-20b"), "qlora", true).why ==
        "NF4 weights 8.6 GiB, adapter and moments 12.9, activations 14.3, program 0.4");
  CHECK(tuning_need(preset("gpt-oss-20b"), "qlora", false).why ==
        "NF4 weights 7.4 GiB, adapter and moments 12.9, activations 7.2, program 1.5");
}
}  // namespace kairo::provisioner
