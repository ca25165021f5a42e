// What this proves: whatever a model folder, a data set, a configuration or a client holds, the
// trainer's and the server's decoders answer and do not crash.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gpu/formats/adapter.h"
#include "gpu/formats/generation_config.h"
#include "gpu/formats/gguf.h"
#include "gpu/formats/gguf_family.h"
#include "gpu/formats/gguf_keys.h"
#include "gpu/formats/gguf_tokenizer.h"
#include "gpu/formats/safetensors.h"
#include "gpu/formats/training_config.h"
#include "gpu/hf/rows.h"
#include "gpu/hf/tokenizer.h"
#include "gpu/serve/adapter_request.h"
#include "gpu/serve/request.h"
#include "tests/fuzz/fuzz.h"
#include "tests/gpu/formats/gguf_writer.h"
#include "tests/gpu/tiny_model.h"

using namespace kairo;
using namespace kairo::gpu;
namespace {
namespace fs = std::filesystem;
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "kairo-fuzz-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    REQUIRE(kairo::gpu::test::write_tiny_model(path + "/model").ok());
  }
  ~Folder() { fs::remove_all(path); }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path + "/" + name, std::ios::binary).rdbuf();
    return text.str();
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name, std::ios::binary) << text;
  }
  std::string path;
};
std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
// Deep enough to overflow the stack of whoever copies or prints it by recursion.
std::string deep(const std::string& before) {
  return before + std::string(200'000, '[') + std::string(200'000, ']') + "}";
}
// Beside the seeds: mutations of these would take the time of all others.
void feed_deep(const std::vector<kairo::test::FuzzTarget>& targets,
               const std::vector<std::pair<std::string, std::string>>& inputs) {
  for (const auto& [name, input] : inputs)
    for (const auto& target : targets)
      if (target.name == name) target.feed(input);
}
std::string safetensors_of(const std::string& header) {
  std::uint64_t size = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &size, 8);
  return out + header + std::string(8, '\0');
}
// A small model of one of the families, with its vocabulary.
std::string gguf(const std::string& family, bool is_spm) {
  gpu::test::Writer w;
  w.text("general.architecture", family);
  for (const auto* name : {"embedding_length", "feed_forward_length", "block_count",
                           "attention.head_count", "attention.head_count_kv", "context_length",
                           "rope.dimension_count", "rope.scaling.original_context_length"})
    w.number(family + "." + name, 4);
  w.real(family + ".rope.freq_base", 1e4f);
  w.real(family + ".attention.layer_norm_rms_epsilon", 1e-5f);
  w.text("tokenizer.ggml.model", is_spm ? "llama" : "gpt2");
  w.text("tokenizer.ggml.pre", "qwen2");
  w.texts("tokenizer.ggml.tokens", {"<|end|>", "a", "b", "ab"});
  w.texts("tokenizer.ggml.merges", {"a b"});
  const auto list = [&w](const std::string& name, std::uint32_t type, auto value) {
    w.key(name, 9);
    gpu::test::put(w.values, type);
    gpu::test::put<std::uint64_t>(w.values, 4);
    for (int i = 0; i < 4; ++i) gpu::test::put(w.values, value);
  };
  list("tokenizer.ggml.token_type", 5, std::int32_t{1});
  list("tokenizer.ggml.scores", 6, -1.0f);
  w.number("tokenizer.ggml.eos_token_id", 0);
  w.tensor("token_embd.weight", {4, 4}, 0, std::string(64, '\0'));
  if (is_spm)
    for (const auto* kind : {"long", "short"})
      w.tensor(std::string("rope_factors_") + kind + ".weight", {2}, 0, std::string(8, '\1'));
  return w.file();
}
// All of an import but the files.
void read_gguf(const std::string& b) {
  const auto header = parse_gguf(bytes_of(b));
  if (!header.ok()) return;
  const auto family = gguf_family(header.value());
  if (!family.ok() || !check_keys(header.value(), *family.value()).ok()) return;
  nlohmann::ordered_json config;
  (void)add_positions(config, header.value(), *family.value(), bytes_of(b));
  (void)head_dim_of(header.value(), *family.value());
  if (const auto vocabulary = vocabulary_of(header.value()); vocabulary.ok())
    (void)tokenizer_json(vocabulary.value(), true);
}
}  // namespace

TEST_CASE("the trainer's and the server's decoders") {
  const Folder folder;
  const RowLimits limits;
  const auto rows = [&](const std::string& name) {
    return [&folder, limits, name](const std::string& b) {
      folder.write(name, b);
      (void)read_rows(folder.path + "/" + name, limits,
                      [](std::size_t, std::string_view) { return ok(); });
    };
  };
  const std::string chat = R"({"messages":[{"role":"user","content":"hi"}],"temperature":0.5,
    "stop":["x"],"seed":1,"max_tokens":3})";
  const auto golden = [](const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(std::string(KAIRO_SOURCE_DIR) + "/tests/gpu/golden/packed/" + name,
                          std::ios::binary)
                .rdbuf();
    REQUIRE_FALSE(text.str().empty());
    return text.str();
  };
  std::vector<std::string> configs = {folder.read("model/config.json")};
  const auto families = nlohmann::json::parse(golden("../families.json"));
  for (const auto& [name, of] : families.items()) configs.push_back(of["config"].dump());
  const std::string parquet = golden("../rows.parquet");
  const std::string good_tensors = safetensors_of(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"k":"v"}})");
  const std::vector<kairo::test::FuzzTarget> targets = {
      {"safetensors",
       {good_tensors,
        safetensors_of(R"({"a":{"dtype":"U8","shape":[1,2],"data_offsets":[0,2]},)"
                       R"("q":{"dtype":"U8","shape":[0,34],"data_offsets":[2,2]},)"
                       R"("b":{"dtype":"F16","shape":[3],"data_offsets":[2,8]},)"
                       R"("__metadata__":{"kairo.blocks":"{\"version\":1,\"Q8_0\":[\"q\"]}"}})")},
       [](const std::string& b) { (void)parse_header(bytes_of(b), b.size()); }},
      {"gguf", {gguf("llama", true), gguf("qwen2", false), gguf("phi3", true)}, read_gguf},
      {"config.json", configs,
       [](const std::string& b) { (void)parse_model_config(b, "config.json"); }},
      {"generation_config.json",
       {R"({"eos_token_id":[1,2]})"},
       [&](const std::string& b) {
         folder.write("generation_config.json", b);
         ModelConfig config;
         config.vocab = 10;
         (void)load_stop_tokens(folder.path, config);
       }},
      {"adapter_config.json",
       {R"({"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":["q_proj"],"bias":"none"})",
        R"({"peft_type":"LORA","r":8,"lora_alpha":16,"init_lora_weights":"gaussian","rank_pattern":{},"eva_config":{"rho":2.0},"peft_version":"0.21.2","use_rslora":true})"},
       [&](const std::string& b) {
         folder.write("adapter_config.json", b);
         folder.write("adapter_model.safetensors", good_tensors);
         (void)load_adapter(folder.path);
       }},
      {"training_config.yaml",
       {"training_config:\n  LoraConfig: {r: 8, target_modules: [q_proj]}\n  TrainingArguments:\n"
        "    learning_rate: 1e-4\n",
        "a: &a {r: 0x10}\ntraining_config:\n  LoraConfig: {<<: *a, target_modules: "
        "'.*(q|v)_proj',\n"
        "    layers_to_transform: [0, 1], lora_dropout: .05}\n  TrainingArguments:\n"
        "    lr_scheduler_kwargs: {num_cycles: 2, min_lr: 1e-6}\n    optim: paged_adamw_8bit\n"},
       [](const std::string& b) { (void)parse_training_config(b); }},
      {"chat completion", {chat}, [](const std::string& b) { (void)parse_chat_completion(b); }},
      {"completion",
       {R"({"prompt":[1,2],"max_tokens":3})"},
       [](const std::string& b) { (void)parse_completion(b); }},
      {"KAITO chat",
       {R"({"prompt":"a","generate_kwargs":{"max_length":9}})"},
       [](const std::string& b) { (void)parse_kaito_chat(b); }},
      {"an adapter to load",
       {R"({"lora_name":"a","lora_path":"b/c","load_inplace":true})"},
       [](const std::string& b) { (void)parse_load_adapter(b), (void)parse_unload_adapter(b); }},
      {"rows.jsonl",
       {"{\"text\":\"a\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}\n"},
       rows("rows.jsonl")},
      {"rows.csv", {"text,x\n\"a\nb\",1\nc,2\n"}, rows("rows.csv")},
      {"rows.json", {"[{\"a\":1},{\"b\":[2]}]", "{\"data\":[{\"a\":1}]}"}, rows("rows.json")},
      {"rows.jsonl.gz", {golden("a.jsonl.gz")}, rows("rows.jsonl.gz")},
      {"rows.csv.zst", {golden("a.csv.zst")}, rows("rows.csv.zst")},
      {"rows.parquet",
       {parquet, golden("brotli.parquet"), golden("v2pages.parquet"), golden("large.parquet"),
        golden("typed.parquet"), golden("gzip.parquet"), golden("delta.parquet")},
       rows("rows.parquet")},
  };
  CHECK(kairo::test::fuzz(targets) > 0);
  feed_deep(targets, {{"safetensors", safetensors_of(deep(R"({"a":)"))},
                      {"config.json", deep(R"({"architectures":)")},
                      {"config.json", deep(R"({"rope_scaling":)")},
                      {"generation_config.json", deep(R"({"eos_token_id":)")},
                      {"adapter_config.json", deep(R"({"peft_type":)")},
                      {"adapter_config.json", deep(R"({"modules_to_save":)")},
                      {"completion", deep(R"({"prompt":)")},
                      {"rows.jsonl", deep(R"({"messages":)")}});
}

TEST_CASE("chat templates and tokenizers") {
  const Folder folder;
  const std::string good = folder.read("model/tokenizer.json");
  fs::create_directories(folder.path + "/t");
  fs::copy(folder.path + "/model/tokenizer_config.json", folder.path + "/t/tokenizer_config.json");
  auto tokenizer = Tokenizer::load(folder.path + "/model");
  REQUIRE(tokenizer.ok());
  Tokenizer loaded = std::move(tokenizer).value();
  const std::string good_config = folder.read("model/tokenizer_config.json");
  fs::copy(folder.path + "/model/tokenizer.json", folder.path + "/t/tokenizer.json");
  const std::vector<kairo::test::FuzzTarget> targets = {
      {"tokenizer_config.json",
       {good_config},
       [&](const std::string& b) {
         folder.write("t/tokenizer_config.json", b);
         (void)Tokenizer::load(folder.path + "/t");
         folder.write("t/tokenizer_config.json", good_config);
       }},
      {"chat template",
       {"{% for m in messages %}{{ m['role'] + m['content'] | trim }}{% endfor %}",
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}",
        "{% macro f(a, b=1) %}{{ a ~ b }}{{ caller() }}{% endmacro %}{% call f(2) %}x{% endcall %}"
        "{%- set ns = namespace(n=[1, 2.5e-7]) -%}{% set ns.n = ns.n + [{'a': (1,)}] %}{{ "
        "ns.n[::-1] }}",
        "{% for k, v in {'a': 'x y'}.items() if v %}{{ loop.index }}{{ v.split(' ', 1)[0].title() "
        "}}"
        "{{ '%5.2f|%s' % (1.5, k) }}{{ '{:>4}'.format(k) }}{% break %}{% else %}n{% endfor %}",
        "{{ [3, 1] | sort | map('string') | join(', ') | indent(2) | truncate(5) | "
        "tojson(indent=2) }}"
        "{% raw %}{{ }}{% endraw %}{# c #}{{ 'a' if 1 else none is not defined and 2 ** 3 // 4 % 5 "
        "}}"},
       [&](const std::string& b) {
         if (loaded.set_chat_template(b).ok())
           (void)loaded.apply_chat(R"([{"role":"user","content":"hi"}])", true);
       }},
      {"tokenizer.json",
       {good},
       [&](const std::string& b) {
         folder.write("t/tokenizer.json", b);
         const auto t = Tokenizer::load(folder.path + "/t");
         if (t.ok()) (void)t.value().encode("hello", true);
       }},
  };
  CHECK(kairo::test::fuzz(targets) > 0);
  feed_deep(targets, {{"tokenizer_config.json", deep(R"({"chat_template":)")},
                      {"tokenizer_config.json", deep(R"({"eos_token":)")},
                      {"tokenizer.json", deep(R"({"model":)")}});
}
