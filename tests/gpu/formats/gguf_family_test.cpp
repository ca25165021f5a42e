// tests/gpu/formats/gguf_family_test.cpp - proves: Qwen's and Phi's files become folders that the
// engine's own readers take, with sentencepiece's vocabulary and byte-level ones.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "gpu/formats/files.h"
#include "gpu/formats/gguf.h"
#include "gpu/formats/model_config.h"
#include "gpu/formats/safetensors.h"
#include "tests/gpu/formats/gguf_writer.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
using test::floats;
using test::put;
using test::Writer;

void ints(Writer& w, const std::string& name, const std::vector<std::int32_t>& values) {
  w.key(name, 9);
  put<std::uint32_t>(w.values, 5);
  put<std::uint64_t>(w.values, values.size());
  for (const std::int32_t value : values) put(w.values, value);
}
// Two heads of two values each, of one of the families.
Writer small(const std::string& family) {
  Writer w;
  w.text("general.architecture", family);
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::uint32_t>>{{"embedding_length", 4},
                                                          {"feed_forward_length", 2},
                                                          {"block_count", 1},
                                                          {"attention.head_count", 2},
                                                          {"attention.head_count_kv", 2},
                                                          {"context_length", 64}})
    w.number(family + "." + name, value);
  w.real(family + ".rope.freq_base", 10000);
  w.real(family + ".attention.layer_norm_rms_epsilon", 1e-5f);
  w.number("tokenizer.ggml.eos_token_id", 0);
  w.tensor("token_embd.weight", {4, 4}, 0, floats(16, 0));
  return w;
}
void byte_level(Writer& w, const std::string& pre) {
  w.text("tokenizer.ggml.model", "gpt2");
  w.text("tokenizer.ggml.pre", pre);
  w.texts("tokenizer.ggml.tokens", {"<end>", "a", "b", "ab", "[PAD4]"});
  w.texts("tokenizer.ggml.merges", {"a b"});
  ints(w, "tokenizer.ggml.token_type", {3, 1, 1, 1, 5});
}
void sentencepiece(Writer& w) {
  w.text("tokenizer.ggml.model", "llama");
  w.texts("tokenizer.ggml.tokens",
          {"<|end|>", "a", "b", "ab", "ba", "aba", "<0x0A>", "<|endoftext|>", "<unk>"});
  ints(w, "tokenizer.ggml.token_type", {3, 1, 1, 1, 1, 1, 6, 3, 2});
  w.key("tokenizer.ggml.scores", 9);
  put<std::uint32_t>(w.values, 6);
  put<std::uint64_t>(w.values, 9);
  for (const float score : {0.0f, -1.0f, -2.0f, -4.0f, -3.0f, -5.0f, 0.0f, 0.0f, 0.0f})
    put(w.values, score);
  w.number("tokenizer.ggml.bos_token_id", 7);
  w.number("tokenizer.ggml.unknown_token_id", 8);
}
struct Imported {
  test::TempFolder folder;
  std::string dir = folder.path() + "/model";
  Status status = ok();
  json config, tokenizer;
  explicit Imported(const Writer& w) {
    REQUIRE(write_file(folder.path() + "/m.gguf", w.file()).ok());
    status = import_gguf(folder.path() + "/m.gguf", dir, {});
    if (!status.ok()) return;
    config = json::parse(read_file(dir + "/config.json", 1 << 20).value());
    tokenizer = json::parse(read_file(dir + "/tokenizer.json", 1 << 20).value());
  }
};
}  // namespace

TEST_CASE("gguf: Qwen 2: biases, rows as they lie, digits one by one") {
  Writer w = small("qwen2");
  byte_level(w, "qwen2");
  w.tensor("blk.0.attn_q.weight", {4, 4}, 0, floats(16, 0));
  w.tensor("blk.0.attn_q.bias", {4}, 0, floats(4, 5));
  const Imported got(w);
  REQUIRE_MESSAGE(got.status.ok(), got.status.error().what);
  const auto parsed = load_model_config(got.dir);
  REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
  CHECK(parsed.value().architecture == "Qwen2ForCausalLM");
  CHECK(parsed.value().head_dim == 2);
  CHECK(parsed.value().vocab == 5);
  const auto tensors = TensorFolder::open(got.dir);
  std::vector<float> q(16), bias(4);
  const std::int64_t shape[] = {4, 4};
  REQUIRE(tensors.value().read("model.layers.0.self_attn.q_proj.weight", shape, q).ok());
  CHECK(q[4] == 4);
  REQUIRE(tensors.value()
              .read("model.layers.0.self_attn.q_proj.bias", std::span(shape).first(1), bias)
              .ok());
  CHECK(bias == std::vector<float>{5, 6, 7, 8});
  CHECK(got.tokenizer["normalizer"]["type"] == "NFC");
  CHECK(got.tokenizer["model"]["vocab"].size() == 4);  // what is not used is left out
  CHECK(got.tokenizer["post_processor"].is_null());

  Writer with_window = small("qwen2");
  byte_level(with_window, "qwen2");
  with_window.number("qwen2.attention.sliding_window", 8);
  CHECK(Imported(with_window).status.error().what.find("sliding_window is 8") != std::string::npos);
  Writer biased = small("qwen3");
  byte_level(biased, "qwen2");
  biased.tensor("blk.0.attn_q.bias", {4}, 0, floats(4, 5));
  CHECK(Imported(biased).status.error().what.find("attn_q.bias is none of a qwen3 model's") !=
        std::string::npos);
}

TEST_CASE("gguf: Qwen 3: norms of heads of a size of their own") {
  Writer w = small("qwen3");
  byte_level(w, "qwen2");
  w.number("qwen3.attention.key_length", 6);
  w.number("qwen3.attention.value_length", 6);
  w.tensor("blk.0.attn_q_norm.weight", {6}, 0, floats(6, 1));
  const Imported got(w);
  REQUIRE_MESSAGE(got.status.ok(), got.status.error().what);
  CHECK(load_model_config(got.dir).value().head_dim == 6);
  CHECK(TensorFolder::open(got.dir)
            .value()
            .check("model.layers.0.self_attn.q_norm.weight", std::vector<std::int64_t>{6})
            .ok());
}

TEST_CASE("gguf: Phi-3: fused matrices, factors of the frequencies, sentencepiece") {
  Writer w = small("phi3");
  sentencepiece(w);
  w.number("phi3.rope.dimension_count", 2);
  w.number("phi3.rope.scaling.original_context_length", 16);
  w.real("phi3.rope.scaling.attn_factor", 1.2247449f);  // what follows from the positions
  w.number("phi3.attention.sliding_window", 32);
  w.tensor("rope_factors_long.weight", {1}, 0, floats(1, 4.5f));
  w.tensor("rope_factors_short.weight", {1}, 0, floats(1, 1.1f));
  w.tensor("blk.0.attn_qkv.weight", {4, 12}, 0, floats(48, 0));
  w.tensor("blk.0.ffn_up.weight", {4, 4}, 0, floats(16, 0));
  const Imported got(w);
  REQUIRE_MESSAGE(got.status.ok(), got.status.error().what);
  const auto parsed = load_model_config(got.dir);
  REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
  const ModelConfig& c = parsed.value();
  CHECK(c.fused_qkv);
  CHECK(c.rope.kind == RopeKind::longrope);
  CHECK(c.rope.long_factors == std::vector<double>{4.5});
  CHECK(c.rope.short_factors == std::vector<double>{1.1});
  CHECK(c.rope.original_positions == 16);
  CHECK(c.rope.strength == doctest::Approx(1.22474487).epsilon(1e-8));
  CHECK(c.kind(0).window == 32);
  const auto tensors = TensorFolder::open(got.dir);
  CHECK(tensors.value()
            .check("model.layers.0.mlp.gate_up_proj.weight", std::vector<std::int64_t>{4, 4})
            .ok());
  // Of "aba" the cut with the longer first part comes first; "ba" has the better score.
  CHECK(got.tokenizer["model"]["merges"].dump() ==
        R"([["b","a"],["a","b"],["ab","a"],["a","ba"]])");
  CHECK(got.tokenizer["model"]["byte_fallback"] == true);
  CHECK(got.tokenizer["model"]["unk_token"] == "<unk>");
  CHECK(got.tokenizer["added_tokens"][0]["rstrip"] == true);
  CHECK(got.tokenizer["added_tokens"][1]["rstrip"] == false);  // <|endoftext|>
  CHECK(got.tokenizer["post_processor"]["single"][0]["SpecialToken"]["id"] == "<|endoftext|>");
}

TEST_CASE("gguf: Phi-3: a strength of the angles that does not follow from the positions") {
  Writer w = small("phi3");
  sentencepiece(w);
  w.number("phi3.rope.dimension_count", 2);
  w.number("phi3.rope.scaling.original_context_length", 16);
  w.real("phi3.rope.scaling.attn_factor", 1.5f);
  w.tensor("rope_factors_long.weight", {1}, 0, floats(1, 4.5f));
  w.tensor("rope_factors_short.weight", {1}, 0, floats(1, 1.1f));
  const Imported got(w);
  REQUIRE_MESSAGE(got.status.ok(), got.status.error().what);
  CHECK(load_model_config(got.dir).value().rope.strength == 1.5);
}

TEST_CASE("gguf: other families and vocabularies are refused by name") {
  Writer other = small("gemma2");
  CHECK(Imported(other).status.error().what.find(
            "general.architecture is \"gemma2\"; imported are llama, qwen2, qwen3, phi3") !=
        std::string::npos);
  Writer pre = small("llama");
  byte_level(pre, "dbrx");
  CHECK(Imported(pre).status.error().what.find("tokenizer.ggml.pre is \"dbrx\"; imported are") !=
        std::string::npos);
}
}  // namespace kairo::gpu
