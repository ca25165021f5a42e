// tests/gpu/engine/stored_model_test.cpp - a model whose matrices are a GGUF's blocks trains and is
// served to the bits of the same model in fp32; in NF4 it is served with the values of a QLoRA.
#include <doctest/doctest.h>

#include <list>
#include <random>

#include "gpu/aten/aten_ops.h"
#include "gpu/engine/forward_ops.h"
#include "gpu/engine/generator.h"
#include "gpu/engine/products.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/formats/safetensors.h"
#include "gpu/kernels/nf4.h"
#include "tests/gpu/aten/emulated.h"
#include "tests/gpu/engine/tune_bench.h"

namespace kairo::gpu {
namespace {
using namespace test;

// Random blocks whose scales are of the size of weights: half precision from 2^-8 to 2^-7.
std::vector<std::byte> weight_blocks(Stored kind, std::int64_t values, std::mt19937& random) {
  const auto bytes = static_cast<std::size_t>(bytes_per_block(kind));
  const auto blocks = static_cast<std::size_t>(values / values_per_block(kind));
  std::vector<std::byte> out(blocks * bytes);
  for (auto& byte : out) byte = static_cast<std::byte>(random());
  const bool has_minimum = kind == Stored::q4_1 || kind == Stored::q5_1;
  for (std::size_t block = 0; block < blocks; ++block)
    for (std::size_t half = 0; half < (has_minimum ? 2 : 1); ++half)
      out[block * bytes + 2 * half + 1] = std::byte{0x1c};
  return out;
}
// The tiny Llama with other weights, as `dir` in blocks and as `dir`32 in fp32.
void write_both(const std::string& dir) {
  const auto plain = TensorFile::open(golden("tiny_llama") + "/model.safetensors").value();
  constexpr Stored kinds[] = {Stored::q8_0, Stored::q4_0, Stored::q4_1, Stored::q5_0, Stored::q5_1};
  std::mt19937 random(7);
  std::list<std::vector<std::byte>> blocks;
  std::list<std::vector<float>> values;
  std::vector<StoredToWrite> stored;
  std::vector<TensorToWrite> wide;
  for (const TensorInfo& t : plain.header().tensors) {
    values.emplace_back(static_cast<std::size_t>(t.count()));
    if (t.shape.size() == 2) {
      const Stored kind = kinds[stored.size() % std::size(kinds)];
      blocks.push_back(weight_blocks(kind, t.count(), random));
      stored.push_back({t.name, t.shape, {kind, blocks.back()}});
      dequantise_blocks(kind, blocks.back(), values.back());
    } else {
      REQUIRE(plain.read(t, values.back()).ok());
      stored.push_back({t.name, t.shape, {Stored::f32, plain.bytes(t)}});
    }
    wide.push_back({t.name, t.shape, values.back()});
  }
  const std::string config = read_file(golden("tiny_llama") + "/config.json", 1 << 20).value();
  for (const std::string& to : {dir, dir + "32"}) {
    REQUIRE(make_folders(to).ok());
    REQUIRE(write_file(to + "/config.json", config).ok());
  }
  REQUIRE(write_stored(dir + "/model.safetensors", stored).ok());
  REQUIRE(write_tensors(dir + "32/model.safetensors", wide).ok());
}
// The values that a QLoRA computes with in place of these.
void through_nf4(std::span<float> weights) {
  const auto n = static_cast<std::int64_t>(weights.size());
  std::vector<std::uint8_t> packed(weights.size()), scales(weights.size());
  std::vector<float> absmax(static_cast<std::size_t>(nf4_blocks(n))), groups(weights.size());
  nf4_quantize_cpu(packed.data(), absmax.data(), weights.data(), n);
  const float offset = mean(absmax);
  nf4_quantize_scales_cpu(scales.data(), groups.data(), absmax.data(), offset, nf4_blocks(n));
  nf4_dequantize_run_cpu(weights.data(), {packed.data(), scales.data(), groups.data(), offset}, 0,
                         n);
}
// The fp32 folder with the layers' matrices as NF4 has them.
void write_nf4(const std::string& from, const std::string& to) {
  const auto plain = TensorFile::open(from + "/model.safetensors").value();
  std::list<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  for (const TensorInfo& t : plain.header().tensors) {
    auto& of = values.emplace_back(static_cast<std::size_t>(t.count()));
    REQUIRE(plain.read(t, of).ok());
    if (t.name.find("proj") != std::string::npos) through_nf4(of);
    tensors.push_back({t.name, t.shape, of});
  }
  REQUIRE(make_folders(to).ok());
  REQUIRE(write_file(to + "/config.json", read_file(from + "/config.json", 1 << 20).value()).ok());
  REQUIRE(write_tensors(to + "/model.safetensors", tensors).ok());
}
// Counts what a device holds of files.
class HeldBytes final : public ForwardOps {
 public:
  HeldBytes(std::unique_ptr<Ops> base, std::int64_t& bytes)
      : ForwardOps(std::move(base), {}), bytes_(bytes) {}
  Buffer held(const void* host, std::int64_t bytes) override {
    bytes_ += bytes;
    return ForwardOps::held(host, bytes);
  }
  Buffer adopt(Buffer host) override {
    bytes_ += 4 * host.size();
    return ForwardOps::adopt(std::move(host));
  }

 private:
  std::int64_t& bytes_;
};
std::vector<float> logits_of(const std::string& dir, ServedWeights weights,
                             DevicePtr device = nullptr) {
  GeneratorOptions options;
  options.model_dir = dir;
  options.weights = weights;
  options.slots = 1;
  options.context_tokens = 16;
  options.threads = 1;
  options.device = std::move(device);
  auto generator = Generator::load(options);
  REQUIRE_MESSAGE(generator.ok(), generator.error().what);
  const std::vector<std::int32_t> tokens = {5, 9, 3, 77, 12};
  const std::vector<Feed> feeds = {{0, tokens, -1}};
  const auto logits = generator.value()->feed(feeds);
  REQUIRE(logits.ok());
  return {logits.value().begin(), logits.value().end()};
}
}  // namespace

TEST_CASE_FIXTURE(TuneBench,
                  "blocks are served to the bits of their values, as they are or in NF4") {
  const std::string dir = folder.path() + "/model";
  write_both(dir);
  write_nf4(dir + "32", dir + "nf4");
  const auto stored = logits_of(dir, ServedWeights::stored);
  CHECK(stored == logits_of(dir + "32", ServedWeights::stored));
  const auto nf4 = logits_of(dir, ServedWeights::nf4);
  CHECK(nf4 == logits_of(dir + "nf4", ServedWeights::stored));
  CHECK(nf4 != stored);
}

TEST_CASE_FIXTURE(TuneBench,
                  "a device keeps blocks as they are, and computes with the bits of their values") {
  const std::string dir = folder.path() + "/model";
  write_both(dir);
  std::int64_t held = 0;
  const auto on = [&](bool has_kernels) {
    return std::make_shared<const Device>(
        Device{"cuda", "a device", "", 0,
               [&held, has_kernels](int threads) -> Result<std::unique_ptr<Ops>> {
                 std::unique_ptr<Ops> ops = make_aten_ops("cpu", threads);
                 if (has_kernels) ops = make_cuda_ops("cpu", threads, emulated_kernels());
                 return std::unique_ptr<Ops>(std::make_unique<HeldBytes>(std::move(ops), held));
               }});
  };
  for (const bool has_kernels : {false, true}) {
    CAPTURE(has_kernels);
    held = 0;
    const auto in_blocks = logits_of(dir, ServedWeights::stored, on(has_kernels));
    const std::int64_t blocks = held;
    held = 0;
    const auto wide = logits_of(dir + "32", ServedWeights::stored, on(has_kernels));
    CHECK(largest_difference(in_blocks, wide) == 0);
    CHECK(relative_difference(in_blocks, logits_of(dir, ServedWeights::stored)) < 1e-5);
    // A quarter for Q8_0 and an eighth or so for the others; norms stay.
    CHECK(blocks > 0);
    CHECK(blocks * 4 < held);
  }
}

namespace {
int launched = 0;
CudaKernels counted_kernels() {
  CudaKernels kernels = emulated_kernels();
#define KAIRO_COUNTED(name)                              \
  {                                                      \
    [[maybe_unused]] static decltype(kernels.name) real; \
    real = kernels.name;                                 \
    kernels.name = [](auto... args) -> std::int32_t {    \
      ++launched;                                        \
      return real(args...);                              \
    };                                                   \
  }
  KAIRO_CUDA_LAUNCHES(KAIRO_COUNTED)
#undef KAIRO_COUNTED
  return kernels;
}
}  // namespace

TEST_CASE("a token that is generated on a device is 14 launches a layer, and four") {
  GeneratorOptions options;
  options.model_dir = golden("tiny_llama");
  options.slots = 1;
  options.context_tokens = 16;
  options.threads = 1;
  options.device = std::make_shared<const Device>(
      Device{"cuda", "the emulator", "", 0, [](int threads) -> Result<std::unique_ptr<Ops>> {
               return std::unique_ptr<Ops>(make_cuda_ops("cpu", threads, counted_kernels()));
             }});
  auto generator = Generator::load(options);
  REQUIRE_MESSAGE(generator.ok(), generator.error().what);
  const auto feed = [&](std::vector<std::int32_t> tokens) {
    launched = 0;
    const std::vector<Feed> feeds = {{0, tokens, -1}};
    REQUIRE(generator.value()->feed(feeds).ok());
    return launched;
  };
  const int layers = static_cast<int>(load_model_config(golden("tiny_llama")).value().layers);
  CHECK(feed({5, 9, 3}) == 14 * layers + 4);
  CHECK(feed({77}) == 14 * layers + 4);  // docs/serving.md says what follows from it
}

TEST_CASE_FIXTURE(TuneBench, "blocks train to the bits of their values, in fp32, bf16 and NF4") {
  const std::string dir = folder.path() + "/model";
  write_both(dir);
  struct Row {
    std::string name;
    Method method;
    Type type;
  };
  for (const Row& row :
       {Row{"lora", Method::lora, Type::f32}, Row{"bf16", Method::lora, Type::bf16},
        Row{"qlora", Method::qlora, Type::f32}}) {
    CAPTURE(row.name);
    std::string adapters[2];
    double losses[2];
    for (const std::size_t i : {0, 1}) {
      TuneJob j = job(row.name + std::to_string(i));
      j.model_dir = i == 0 ? dir : dir + "32";
      j.method = row.method;
      j.type = row.type;
      if (is_possible(Products::mkl)) j.products = Products::mkl;  // not the winner of a race
      REQUIRE(run(j, never()) == TuneExit::done);
      adapters[i] = adapter_bytes(j);
      losses[i] = progress(j).back()["loss"].get<double>();
    }
    CHECK(losses[0] == losses[1]);
    CHECK(losses[0] > 0);
    CHECK(adapters[0] == adapters[1]);
  }
}
}  // namespace kairo::gpu
