// tests/gpu/engine/stored_model_test.cpp - a model whose matrices are a GGUF's blocks trains to the
// bits of the same model in fp32.
#include <doctest/doctest.h>

#include <list>
#include <random>

#include "gpu/formats/safetensors.h"
#include "tests/gpu/engine/tune_bench.h"

namespace kairo::gpu {
namespace {
using namespace test;

// Random blocks whose scales are of the size of weights: half precision from 2^-8 to 2^-7.
std::vector<std::byte> random_blocks(Stored kind, std::int64_t values, std::mt19937& random) {
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
      blocks.push_back(random_blocks(kind, t.count(), random));
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
}  // namespace

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
