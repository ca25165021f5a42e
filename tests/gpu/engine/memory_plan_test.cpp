// tests/gpu/engine/memory_plan_test.cpp - a run takes the memory that its plan says: what it grows
// by is measured, with evaluations and the best step kept.
#include <doctest/doctest.h>
#include <malloc.h>

#include <fstream>
#include <list>

#include "gpu/aten/aten_ops.h"
#include "gpu/aten/device_memory.h"
#include "gpu/aten/memory_meter.h"
#include "gpu/engine/buffer.h"
#include "gpu/engine/forward_ops.h"
#include "gpu/model/lora_choice.h"
#include "tests/gpu/aten/emulated.h"
#include "tests/gpu/engine/tune_bench.h"

namespace kairo::gpu {
namespace {
using namespace test;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_measured = false;  // a sanitizer's own memory lies between
#else
constexpr bool is_measured = true;
#endif

// Of /proc/self/status, in bytes.
std::int64_t status_bytes(const std::string& name) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) << 10;
  return 0;
}
// Large enough that buffers are rounded to huge pages: 30 million parameters.
void write_model(const std::string& dir, int layers_of_it = 6) {
  REQUIRE(make_folders(dir).ok());
  std::list<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const std::int64_t n : shape) count *= n;
    values.emplace_back(static_cast<std::size_t>(count), 0.01f);
    tensors.push_back({name, std::move(shape), values.back()});
  };
  add("model.embed_tokens.weight", {512, 768});
  add("model.norm.weight", {768});
  for (int layer = 0; layer < layers_of_it; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    add(at + "input_layernorm.weight", {768});
    add(at + "post_attention_layernorm.weight", {768});
    add(at + "self_attn.q_proj.weight", {768, 768});
    add(at + "self_attn.k_proj.weight", {256, 768});
    add(at + "self_attn.v_proj.weight", {256, 768});
    add(at + "self_attn.o_proj.weight", {768, 768});
    add(at + "mlp.gate_proj.weight", {1536, 768});
    add(at + "mlp.up_proj.weight", {1536, 768});
    add(at + "mlp.down_proj.weight", {768, 1536});
  }
  REQUIRE(write_tensors(dir + "/model.safetensors", tensors).ok());
  REQUIRE(write_file(dir + "/config.json",
                     R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 768,
    "intermediate_size": 1536, "num_attention_heads": 12, "num_key_value_heads": 4,
    "vocab_size": 512, "max_position_embeddings": 2048, "tie_word_embeddings": true,
    "num_hidden_layers": )" +
                         std::to_string(layers_of_it) + "}")
              .ok());
}
// Counts what an engine takes of a device when it is loaded, in the units that allocators give;
// nothing is given back then.
class CountedOps final : public ForwardOps {
 public:
  CountedOps(std::unique_ptr<Ops> base, std::int64_t& bytes)
      : ForwardOps(std::move(base), {}), bytes_(bytes) {}
  Buffer make(std::int64_t floats, Pages pages) override {
    bytes_ += buffer_bytes(floats);
    return ForwardOps::make(floats, pages);
  }
  Buffer adopt(Buffer host) override {
    bytes_ += buffer_bytes(host.size());
    return ForwardOps::adopt(std::move(host));
  }
  Buffer held(const void* host, std::int64_t bytes) override {
    bytes_ += buffer_bytes((bytes + 3) / 4);
    return ForwardOps::held(host, bytes);
  }

 private:
  std::int64_t& bytes_;
};
}  // namespace

TEST_CASE_FIXTURE(TuneBench, "a device's plan holds the buffers that an engine takes of it") {
  write_model(folder.path() + "/model");
  struct Row {
    Method method;
    Type type;
    std::int64_t budget;
    bool keeps_all;
  };
  for (const Row& row : {Row{Method::lora, Type::f32, std::int64_t{2} << 30, true},
                         {Method::lora, Type::bf16, std::int64_t{2} << 30, true},
                         {Method::qlora, Type::bf16, std::int64_t{2} << 30, true},
                         {Method::qlora, Type::f32, 780 << 20, false}}) {
    CAPTURE(static_cast<int>(row.method));
    CAPTURE(static_cast<int>(row.type));
    std::int64_t taken = 0;
    EngineOptions o;
    o.model_dir = folder.path() + "/model";
    o.method = row.method;
    o.type = row.type;
    o.rank = 32;
    o.targets = {"all-linear"};
    o.dropout = 0.1;
    o.tokens_per_step = 3000;
    o.longest_row = 500;
    o.budget_bytes = row.budget;
    o.threads = 1;
    o.device = std::make_shared<const Device>(
        Device{"aten-cpu", "counted", "", 0, [&](int threads) -> Result<std::unique_ptr<Ops>> {
                 return std::unique_ptr<Ops>(
                     std::make_unique<CountedOps>(make_aten_ops("cpu", threads), taken));
               }});
    const auto engine = Engine::load(o);
    REQUIRE_MESSAGE(engine.ok(), engine.error().what);
    const MemoryPlan& plan = engine.value()->plan();
    CHECK((plan.microbatch_tokens == 3000 && plan.kept_layers == 6) == row.keeps_all);
    std::int64_t planned = 0;
    for (const auto& item : plan.items)
      if (item.what != "libraries on the device" && item.what != "operators' own" &&
          item.what != "allocator's slack")
        planned += item.bytes;
    CAPTURE(plan.text());
    CAPTURE(taken >> 20);
    CHECK(planned >= taken / 1000 * 995);
    CHECK(planned <= taken / 100 * 105);
  }
}

TEST_CASE_FIXTURE(TuneBench, "a device's plan is what steps and evaluations take of it, at most") {
  write_model(folder.path() + "/model", 2);
  struct Row {
    const char* name;
    Method method;
    Type type;
    std::int64_t budget;
    double dropout;
    bool by_kernels;
  };
  constexpr std::int64_t bag_rows = 4, row_tokens = 129;
  const std::vector<std::int32_t> tokens(row_tokens, 7);
  const std::vector<std::uint8_t> trained(row_tokens, 1);
  const std::vector<TrainRow> bag(bag_rows, TrainRow{tokens, trained});
  for (const Row& row : {Row{"lora", Method::lora, Type::f32, std::int64_t{4} << 30, 0.1, false},
                         {"lora-bf16", Method::lora, Type::bf16, std::int64_t{4} << 30, 0, false},
                         {"qlora-bf16", Method::qlora, Type::bf16, std::int64_t{4} << 30, 0, false},
                         {"uncached", Method::qlora, Type::bf16, 590 << 20, 0, false},
                         {"kernels", Method::qlora, Type::f32, std::int64_t{4} << 30, 0.1, true}}) {
    CAPTURE(row.name);
    const auto meter = std::make_shared<MemoryMeter>();
    EngineOptions o;
    o.model_dir = row.by_kernels ? golden("tiny_llama") : folder.path() + "/model";
    o.method = row.method;
    o.type = row.type;
    o.rank = 16;
    o.targets = {"all-linear"};
    o.dropout = row.dropout;
    o.tokens_per_step = bag_rows * (row_tokens - 1);
    o.longest_row = row_tokens - 1;
    o.budget_bytes = row.budget;
    o.threads = 1;
    o.device = std::make_shared<const Device>(Device{
        "aten-cpu", "metered", "", 0,
        [&](int threads) -> Result<std::unique_ptr<Ops>> {
          auto memory = memory_of("cpu", meter);
          if (row.by_kernels)
            return std::unique_ptr<Ops>(make_cuda_ops("cpu", threads, emulated_kernels(), memory));
          return make_aten_ops("cpu", threads, memory);
        },
        row.by_kernels});
    const auto engine = Engine::load(o);
    REQUIRE_MESSAGE(engine.ok(), engine.error().what);
    REQUIRE(engine.value()->accumulate(bag, bag_rows * (row_tokens - 1), 0).ok());
    REQUIRE(engine.value()->evaluate(bag).ok());
    engine.value()->update({1e-3}, 1);
    const MemoryPlan& plan = engine.value()->plan();
    std::int64_t planned = 0;
    for (const auto& item : plan.items)
      if (item.what != "libraries on the device" && item.what != "allocator's slack")
        planned += item.bytes;
    CAPTURE(plan.text());
    const double share = static_cast<double>(planned) / static_cast<double>(meter->peak());
    CAPTURE(meter->peak() >> 20);
    CHECK((plan.cached_layers == 2) ==
          (row.name != std::string_view("uncached") && row.method == Method::qlora));
    CHECK(share >= 0.99);
    CHECK(share <= 1.05);
  }
}

TEST_CASE("plans: the cheapest that fits, and ever smaller ones where a device has too little") {
  const auto config = load_model_config(test::golden("tiny_llama")).value();
  const auto lora = make_lora_layout(config, 4, 1.0, {"all-linear"}).value();
  MemoryRequest request;
  request.method = Method::qlora;
  request.tokens_per_step = 4096;
  request.longest_row = 100;
  request.budget_bytes = std::int64_t{1} << 40;
  request.on_device = true;
  const MemoryPlan roomy = plan_memory(config, lora, request).value();
  CHECK(roomy.microbatch_tokens == 4096);
  CHECK(roomy.kept_layers == 2);
  CHECK(roomy.cached_layers == 2);
  CHECK_FALSE(smaller_plan(config, lora, request, smallest_plan(config, lora, request)));
  MemoryPlan plan = roomy;
  int downs = 0;
  while (auto next = smaller_plan(config, lora, request, plan)) {
    CHECK(next->peak_bytes() < plan.peak_bytes());
    CHECK(next->microbatch_tokens <= plan.microbatch_tokens);
    CHECK(next->kept_layers <= plan.kept_layers);
    CHECK(next->cached_layers <= plan.cached_layers);
    CHECK(next->budget_bytes == request.budget_bytes);
    if (downs++ == 0)  // a smaller bag is cheaper than recomputing
      CHECK(change_of(plan, *next) == "2048 tokens at a time instead of 4096");
    plan = *next;
  }
  CHECK(plan.peak_bytes() == smallest_plan(config, lora, request).peak_bytes());
  CHECK(downs >= 3);
  CHECK(downs <= 20);
  request.as_before = {512, 16, 1, {}, {}, {}};
  request.limits = {1, 0};
  plan = plan_memory(config, lora, request).value();
  CHECK(plan.microbatch_tokens == 512);
  CHECK(plan.head_rows == 16);
  CHECK(plan.kept_layers == 1);
  CHECK(plan.cached_layers == 0);
}

TEST_CASE("plans: flash attention's own memory counts where it is used, in bf16") {
  // 4096 tokens in 8 segments, 32 heads of 128 over 8 of keys: output and its gradient and dq
  // 3 x 32 MiB, dk and dv 16, those for each head 64; of sums 3 x 512 KiB and 128 x 32 x 4 x 8
  // bytes of them for the segments, of dq (4096 + 8 x 128) x 32 x 128 x 4 = 80 MiB.
  CHECK(flash_to_train(4096, 8, 32, 8, 128) ==
        ((96 + 16 + 64 + 80) << 20) + 2 * 4096 * 32 * 4 + 8 * 128 * 32 * 4);
  CHECK(flash_to_train(100, 1, 2, 2, 80) == 2 * 100 * 80 * 10 + 4 * 2 * (100 + 228 + 228 * 96));
  const auto config = load_model_config(test::golden("tiny_llama")).value();
  const auto lora = make_lora_layout(config, 4, 1.0, {"all-linear"}).value();
  MemoryRequest request;
  request.tokens_per_step = request.longest_row = 512;
  request.on_device = request.by_kernels = request.in_bf16 = true;
  const auto operators = [&] {
    const MemoryPlan plan = smallest_plan(config, lora, request);
    for (const auto& item : plan.items)
      if (item.what == "operators' own") return item.bytes;
    return std::int64_t{0};
  };
  const std::int64_t without = operators();
  request.by_flash = true;
  CHECK(operators() - without ==
        flash_to_train(512, 3, config.heads, config.kv_heads, config.head_dim));
  request.in_bf16 = false;
  CHECK(operators() == without);
}

TEST_CASE("a large buffer takes whole huge pages, a small one what it holds") {
  CHECK(buffer_bytes(0) == 0);
  CHECK(buffer_bytes(1) == 64);
  CHECK(buffer_bytes((2 << 20) - 16) == (8 << 20) - 64);
  CHECK(buffer_bytes(2 << 20) == 8 << 20);
  CHECK(buffer_bytes((2 << 20) + 1) == 10 << 20);
}

TEST_CASE_FIXTURE(TuneBench, "a run grows by what its memory plan says, the best step's copy too") {
  if (!is_measured || !std::ofstream("/proc/self/clear_refs").is_open()) {
    MESSAGE("SKIP: the peak of this process's memory cannot be measured here");
    return;
  }
  REQUIRE(run(job("first"), never()) == TuneExit::done);  // libtorch's own memory is there
  write_model(folder.path() + "/model");
  const std::vector<std::int32_t> tokens(1101, 7);
  const std::vector<std::uint8_t> trained(1101, 1);
  std::vector<std::int64_t> peaks;
  for (const Type type : {Type::f32, Type::bf16}) {
    if (type == Type::bf16 && !is_possible(Products::mkl)) {
      MESSAGE("SKIP: this CPU has no bf16 instructions");
      continue;
    }
    TuneJob j = job(type == Type::f32 ? "fp32" : "bf16");
    j.type = type;
    j.products = Products::mkl;
    j.model_dir = folder.path() + "/model";
    j.rank = 32;
    j.targets = {"all-linear"};
    j.rows = {{tokens, trained}};
    j.held_out = j.rows;
    j.rows_of_step = [](std::int64_t) { return std::vector<std::size_t>{0}; };
    j.total_steps = 2;
    j.save_steps = 1;
    j.evaluation = {1, 0, false, true, true};
    const auto config = load_model_config(j.model_dir).value();
    const auto lora = make_lora_layout(config, j.rank, 1.0, j.targets).value();
    const EngineOptions o = engine_options(j);
    const auto plan = plan_memory(config, lora,
                                  {o.method,
                                   o.tokens_per_step,
                                   o.longest_row,
                                   1,
                                   j.budget_bytes,
                                   {},
                                   o.keeps_best,
                                   o.data_bytes,
                                   type == Type::bf16})
                          .value();
    CHECK(o.data_bytes >= 2 * 1101 * 5);
    REQUIRE(plan.items[0].what == "process");
    const std::int64_t planned = plan.peak_bytes() - plan.items[0].bytes;
    ::malloc_trim(0);  // what the first run has freed would be used again
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak counts from here
    const std::int64_t before = status_bytes("VmRSS");
    REQUIRE(run(j, never()) == TuneExit::done);
    const std::int64_t grown = status_bytes("VmHWM") - before;
    CAPTURE(plan.text());
    CAPTURE(grown >> 20);
    CHECK(grown <= planned + (8 << 20));
    CHECK(grown >= planned / 10 * 8);  // what other tests have freed may be used again
    peaks.push_back(planned);
  }
  if (peaks.size() == 2) CHECK(peaks[1] <= peaks[0] / 4 * 3);
}
}  // namespace kairo::gpu
