// tests/gpu/formats/training_config_test.cpp - proves: KAITO's files are taken as KAITO means them,
// and what cannot be done is refused by field and value.
#include "gpu/formats/training_config.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
const std::string qlora_template =
    "training_config:\n"
    "  ModelConfig:\n"
    "    torch_dtype: \"bfloat16\"\n"
    "    local_files_only: true\n"
    "    device_map: \"auto\"\n"
    "  QuantizationConfig:\n"
    "    load_in_4bit: true\n"
    "    bnb_4bit_quant_type: \"nf4\"\n"
    "    bnb_4bit_compute_dtype: \"bfloat16\"\n"
    "    bnb_4bit_use_double_quant: true\n"
    "  LoraConfig:\n"
    "    r: 16\n"
    "    lora_alpha: 32\n"
    "    lora_dropout: 0.0\n"
    "    target_modules: ['q_proj', 'v_proj']\n"
    "  TrainingArguments:\n"
    "    output_dir: \"/mnt/results\"\n"
    "    ddp_find_unused_parameters: false\n"
    "    save_strategy: \"no\"\n"
    "    learning_rate: 2e-4\n"
    "    per_device_train_batch_size: 1\n"
    "  DataCollator:\n"
    "    mlm: true\n"
    "  DatasetConfig:\n"
    "    shuffle_dataset: true\n"
    "    train_test_split: 1\n"
    "    loss_on: all\n";
std::string with(const std::string& section, const std::string& line) {
  return "training_config:\n  " + section + ":\n    " + line + "\n";
}
}  // namespace

TEST_CASE("training config: KAITO's template") {
  const auto parsed = parse_training_config(qlora_template);
  REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
  const auto& c = parsed.value();
  CHECK(c.load_in_4bit == true);
  CHECK(c.rank == 16);
  CHECK(c.alpha == 32);
  CHECK(c.targets.names == std::vector<std::string>{"q_proj", "v_proj"});
  CHECK(c.learning_rate == 2e-4);
  CHECK(c.batch_size == 1);
  CHECK(c.train_test_split == 1);
  CHECK(c.loss_on == LossOn::all);
  CHECK(c.num_train_epochs == 3);  // a default
  CHECK(c.wants_bf16());
  REQUIRE(c.notes.size() == 5);
  CHECK(c.notes[0] ==
        "ModelConfig.local_files_only changes nothing here: the model is read from its folder as "
        "it is");
}

TEST_CASE("training config: defaults") {
  for (const std::string yaml :
       {"training_config:\n", "training_config: {}\n", "training_config:\n  LoraConfig:\n"}) {
    CAPTURE(yaml);
    const auto parsed = parse_training_config(yaml);
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
    CHECK(parsed.value().rank == 8);
    CHECK(parsed.value().learning_rate == 2e-5);
    CHECK(parsed.value().max_length == 1024);
    CHECK(parsed.value().train_test_split == 0.8);
    CHECK_FALSE(parsed.value().loss_on);
    CHECK(parsed.value().notes.empty());
  }
}

TEST_CASE("training config: refused values name field and value") {
  struct RefusedRow {
    std::string name, yaml, error;
  };
  const RefusedRow cases[] = {
      {"empty", "", "must hold the map training_config"},
      {"not yaml", "a: [1\n", "training_config.yaml:2:1: "},
      {"twice", "training_config:\n  LoraConfig: {r: 4}\n  LoraConfig: {r: 16}\n",
       "training_config.yaml:3:3: "},
      {"two documents", "training_config:\n---\ntraining_config:\n", "training_config.yaml:"},
      {"an alias of itself", "training_config: &a {LoraConfig: *a}\n", "training_config.yaml:1"},
      {"aliases that grow",
       "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
       "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
       "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
       "training_config:\n",
       "training_config.yaml:"},
      {"a list", "training_config: [1]\n", "must be a map of sections"},
      {"section", with("LoraConfg", "r: 8"),
       "LoraConfg is not a known section; did you mean LoraConfig?"},
      {"section is a number", "training_config:\n  LoraConfig: 3\n", "LoraConfig must be a map"},
      {"key", with("TrainingArguments", "learning_rte: 1"),
       "TrainingArguments.learning_rte is not a known setting; did you mean learning_rate?"},
      {"far key", with("LoraConfig", "zzzzzzzzzzzzzzzzz: 1"),
       "LoraConfig.zzzzzzzzzzzzzzzzz is not a known setting; remove it"},
      {"number", with("LoraConfig", "r: eight"), "LoraConfig.r: \"eight\" must be a number"},
      {"whole number", with("LoraConfig", "r: 1.5"),
       "LoraConfig.r: \"1.5\" must be a whole number"},
      {"range", with("LoraConfig", "r: 0"), "LoraConfig.r: \"0\" must be at least 1"},
      {"infinite", with("TrainingArguments", "learning_rate: inf"), "\"inf\" must be a number"},
      {"boolean", with("LoraConfig", "use_rslora: maybe"), "must be true or false"},
      {"a map", with("LoraConfig", "r: {a: 1}"), "LoraConfig.r: (a map) must be a number"},
      {"dropout", with("LoraConfig", "lora_dropout: 1"),
       "LoraConfig.lora_dropout: \"1\" must be in [0, 0.999]"},
      {"dora", with("LoraConfig", "use_dora: true"), "DoRA is not supported"},
      {"8 bit", with("QuantizationConfig", "load_in_8bit: true"),
       "8-bit weights are not supported"},
      {"fp4", with("QuantizationConfig", "load_in_4bit: true"), "which means fp4"},
      {"packing that splits", with("TrainingArguments", "packing_strategy: wrapped"),
       "rows are kept whole"},
      {"optimizer", with("TrainingArguments", "optim: sgd"), "AdamW is the only optimizer"},
      {"paged lion", with("TrainingArguments", "optim: paged_lion_32bit"),
       "\"paged_lion_32bit\" must be adamw_torch"},
      {"in order", with("TrainingArguments", "train_sampling_strategy: sequential"),
       "shuffle_dataset: false"},
      {"prepared rows", with("TrainingArguments", "dataset_kwargs: {skip_prepare_dataset: true}"),
       "TrainingArguments.dataset_kwargs: skip_prepare_dataset must be false"},
      {"tokens between rows",
       with("TrainingArguments", "dataset_kwargs: {append_concat_token: true}"),
       "append_concat_token is not supported"},
      {"end token", with("TrainingArguments", "eos_token: <end>"), "tokenizer_config.json"},
      {"text column", with("TrainingArguments", "dataset_text_field: body"), "response_column"},
      {"ends are kept", with("TrainingArguments", "truncation_mode: keep_end"), "lose their end"},
      {"scales", with("QuantizationConfig", "bnb_4bit_use_double_quant: false"),
       "\"false\" must be true"},
      {"layers left out", with("QuantizationConfig", "llm_int8_skip_modules: [o_proj]"),
       "all linear layers but the head are quantised"},
      {"4 bit of the model", with("ModelConfig", "load_in_4bit: true"),
       "QuantizationConfig.load_in_4bit"},
      {"alora", with("LoraConfig", "alora_invocation_tokens: [1]"), "it is not supported"},
      {"bias of B", with("LoraConfig", "lora_bias: true"), "it is not supported"},
      {"drop last", with("TrainingArguments", "dataloader_drop_last: true"),
       "every row is trained"},
      {"optimizer's arguments", with("TrainingArguments", "optim_args: a=1"), "see adam_beta1"},
      {"warm-up", with("TrainingArguments", "warmup_steps: -1"), "must be at least 0"},
      {"saves", with("TrainingArguments", "save_steps: 0"), "must be a whole number of steps, or"},
      {"saves", with("TrainingArguments", "save_steps: 2.5"), "a share of all steps above 0"},
      {"saves", with("TrainingArguments", "save_steps: -0.5"), "a share of all steps above 0"},
      {"arguments of the schedule", with("TrainingArguments", "lr_scheduler_kwargs: 3"),
       "\"3\" must be a map"},
      {"split 0", with("DatasetConfig", "train_test_split: 0"), "above 0 and at most 1"},
      {"split above 1", with("DatasetConfig", "train_test_split: 1.01"), "above 0 and at most 1"},
      {"held out twice",
       with("DatasetConfig", "validation_file: v.jsonl\n    train_test_split: 0.9"),
       "leave train_test_split out, or validation_file"},
      {"loss_on", with("DatasetConfig", "loss_on: some"), "\"some\" must be answer or all"},
      {"half a pair", with("DatasetConfig", "context_column: a"), "set both"},
      {"no steps", with("TrainingArguments", "max_steps: 0"), "must be at least 1, or -1"},
      {"too deep", "training_config: " + std::string(20'000, '['), "training_config.yaml:1:"},
      {"too long", std::string((1 << 20) + 1, ' '), "larger than 1 MiB"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto parsed = parse_training_config(c.yaml);
    REQUIRE_FALSE(parsed.ok());
    CAPTURE(parsed.error().what);
    CHECK(parsed.error().code == Code::invalid);
    CHECK(parsed.error().what.find(c.error) != std::string::npos);
  }
}

TEST_CASE("training config: values that mean the same") {
  CHECK(parse_training_config(with("TrainingArguments", "learning_rate: '2e-5'"))
            .value()
            .learning_rate == 2e-5);
  for (const std::string split : {"", "\n    train_test_split: 1"})
    CHECK(parse_training_config(with("DatasetConfig", "validation_file: v.jsonl" + split))
              .value()
              .train_test_split == 1);
  CHECK(parse_training_config(with("LoraConfig", "target_modules: all-linear"))
            .value()
            .targets.names == std::vector<std::string>{"all-linear"});
  const auto lora = [](const std::string& line) {
    return parse_training_config(with("LoraConfig", line)).value().targets;
  };
  CHECK(lora("target_modules: ALL-linear").names == std::vector<std::string>{"all-linear"});
  CHECK(lora("target_modules: '.*(q|v)_proj'").pattern == ".*(q|v)_proj");
  CHECK(lora("layers_to_transform: 3").layers == std::vector<std::int64_t>{3});
  CHECK(lora("layers_to_transform: [0, 2]").layers == std::vector<std::int64_t>{0, 2});
  CHECK(lora("layers_pattern: layers").layers_pattern == std::vector<std::string>{"layers"});
  CHECK(lora("exclude_modules: [down_proj]").exclude == std::vector<std::string>{"down_proj"});
  CHECK(lora("exclude_modules: '.*0.*'").exclude_pattern == ".*0.*");
  for (const std::string line :
       {"layers_to_transform: -1", "layers_to_transform: {a: 1}", "target_modules: ''",
        "init_lora_weights: pissa", "init_lora_weights: false"})
    CHECK_FALSE(parse_training_config(with("LoraConfig", line)).ok());
  CHECK(parse_training_config(with("LoraConfig", "init_lora_weights: gaussian"))
            .value()
            .gaussian_init);
  CHECK(parse_training_config(with("LoraConfig", "lora_dropout: 0.05")).value().dropout == 0.05);
  CHECK(parse_training_config(with("LoraConfig", "bias: \"none\"")).ok());
  CHECK(parse_training_config(with("TrainingArguments", "max_length: null")).value().max_length ==
        0);
  const auto switches =
      parse_training_config(
          with("TrainingArguments", "completion_only_loss: false\n    assistant_only_loss: true"))
          .value();
  CHECK_FALSE(switches.loss_on);
  CHECK(switches.completion_only_loss == false);
  CHECK(switches.assistant_only_loss == true);
  CHECK(parse_training_config(with("TrainingArguments", "loss_type: chunked_nll")).ok());
  const auto share = parse_training_config(with("TrainingArguments", "warmup_steps: 0.1")).value();
  CHECK(share.warmup_ratio == 0.1);
  CHECK(share.warmup_steps == 0);
  for (const std::string steps : {"7", "7.9"})
    CHECK(parse_training_config(with("TrainingArguments", "warmup_steps: " + steps))
              .value()
              .warmup_steps == 7);
  const auto arguments = parse_training_config(
      with("TrainingArguments", "lr_scheduler_kwargs: {num_cycles: 2, power: null, lr_end: 1e-8}"));
  REQUIRE_MESSAGE(arguments.ok(), arguments.error().what);
  CHECK(arguments.value().lr_scheduler_kwargs ==
        std::vector<std::pair<std::string, std::string>>{{"num_cycles", "2"}, {"lr_end", "1e-8"}});
  CHECK(parse_training_config(with("TrainingArguments", "dataloader_drop_last: false")).ok());
}

// The values that yaml.safe_load and then Python's own conversions give.
TEST_CASE("training config: YAML as PyYAML reads it") {
  struct YamlRow {
    std::string name, yaml;
    std::function<bool(const TrainingConfig&)> holds;
  };
  const auto arguments = [](const std::string& line) { return with("TrainingArguments", line); };
  const YamlRow rows[] = {
      {"a merge key of an anchor beside",
       "defaults: &d {r: 4}\ntraining_config:\n  LoraConfig: {<<: *d, lora_alpha: 8}\n",
       [](const auto& c) { return c.rank == 4 && c.alpha == 8 && c.notes.size() == 1; }},
      {"the key itself wins", "training_config:\n  LoraConfig: {r: 2, <<: {r: 4, lora_alpha: 3}}\n",
       [](const auto& c) { return c.rank == 2 && c.alpha == 3; }},
      {"a list of maps, the first wins",
       "training_config:\n  LoraConfig: {<<: [{r: 4}, {r: 6, lora_alpha: 3}]}\n",
       [](const auto& c) { return c.rank == 4 && c.alpha == 3; }},
      {"a section merged whole", "a: &a {LoraConfig: {r: 4}}\ntraining_config:\n  <<: *a\n",
       [](const auto& c) { return c.rank == 4; }},
      {"1e-4", arguments("learning_rate: 1e-4"),
       [](const auto& c) { return c.learning_rate == 1e-4; }},
      {"+1.0e-4", arguments("learning_rate: +1.0e-4"),
       [](const auto& c) { return c.learning_rate == 1e-4; }},
      {".0001", arguments("learning_rate: .0001"),
       [](const auto& c) { return c.learning_rate == 1e-4; }},
      {"text with blanks", arguments("learning_rate: ' 2e-5 '"),
       [](const auto& c) { return c.learning_rate == 2e-5; }},
      {"0x10", arguments("seed: 0x10"), [](const auto& c) { return c.seed == 16; }},
      {"010 is octal", arguments("seed: 010"), [](const auto& c) { return c.seed == 8; }},
      {"0b11", arguments("seed: 0b11"), [](const auto& c) { return c.seed == 3; }},
      {"1_000", arguments("max_steps: 1_000"), [](const auto& c) { return c.max_steps == 1000; }},
      {"base 60", arguments("max_steps: 1:30"), [](const auto& c) { return c.max_steps == 90; }},
      {"!!str", arguments("max_steps: !!str 12"), [](const auto& c) { return c.max_steps == 12; }},
      {"!!int", arguments("max_steps: !!int '12'"),
       [](const auto& c) { return c.max_steps == 12; }},
      {"yes",
       "training_config:\n  QuantizationConfig: {load_in_4bit: yes, bnb_4bit_quant_type: nf4}\n",
       [](const auto& c) { return c.load_in_4bit == true; }},
      {"off", with("DatasetConfig", "shuffle_dataset: off"),
       [](const auto& c) { return !c.shuffle; }},
      {"quoted", with("DatasetConfig", "shuffle_dataset: 'False'"),
       [](const auto& c) { return !c.shuffle; }},
      {"no, where only false is done", with("LoraConfig", "use_dora: no"),
       [](const auto&) { return true; }},
      {"~ keeps the default", with("LoraConfig", "r: ~"),
       [](const auto& c) { return c.rank == 8; }},
      {"a byte order mark", "\xEF\xBB\xBFtraining_config:\n  LoraConfig: {r: 4}\n",
       [](const auto& c) { return c.rank == 4; }},
      {"begin and end of a document", "---\ntraining_config:\n  LoraConfig: {r: 4}\n...\n",
       [](const auto& c) { return c.rank == 4; }},
      {"a tab after the colon", "training_config:\n  LoraConfig:\t{r: 4}\n",
       [](const auto& c) { return c.rank == 4; }},
      {"Windows line ends", "training_config:\r\n  LoraConfig:\r\n    r: 4\r\n",
       [](const auto& c) { return c.rank == 4; }},
      {"a block of text", with("ModelConfig", "chat_template: |\n      a\n      b"),
       [](const auto& c) { return c.chat_template == "a\nb\n"; }},
      {"JSON", R"({"training_config": {"LoraConfig": {"r": 4}}})",
       [](const auto& c) { return c.rank == 4; }}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto parsed = parse_training_config(row.yaml);
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
    CHECK(row.holds(parsed.value()));
  }
}

TEST_CASE("training config: which type products are of") {
  struct TypeRow {
    std::string model, arguments, quantization;
    bool is_bf16;
  };
  for (const auto& row : std::initializer_list<TypeRow>{
           {"", "", "", true},  // as KAITO's defaults say
           {"torch_dtype: bfloat16", "bf16: true", "", true},
           {"torch_dtype: bfloat16", "bf16: false", "", true},
           {"dtype: torch.bfloat16", "", "", true},
           {"torch_dtype: float16", "", "", true},
           {"torch_dtype: float32", "bf16: false", "", false},
           {"torch_dtype: float32", "", "", false},
           {"torch_dtype: float32", "bf16: true", "", true},
           {"torch_dtype: float32", "fp16: true", "", true},
           {"torch_dtype: auto", "", "", true},
           {"torch_dtype: null", "bf16: false", "", false},
           {"", "bf16: \"no\"", "", false},
           {"", "fp16: true", "", true},
           {"", "", "bnb_4bit_compute_dtype: float32", false},
           {"torch_dtype: float32", "bf16: false", "bnb_4bit_compute_dtype: bfloat16", true}}) {
    CAPTURE(row.model);
    CAPTURE(row.arguments);
    CAPTURE(row.quantization);
    std::string yaml = "training_config:\n";
    const auto section = [&yaml](const std::string& name, const std::string& lines) {
      if (!lines.empty()) yaml += "  " + name + ":\n    " + lines + "\n";
    };
    section("ModelConfig", row.model);
    section("TrainingArguments", row.arguments);
    if (!row.quantization.empty())
      section("QuantizationConfig",
              "load_in_4bit: true\n    bnb_4bit_quant_type: nf4\n    " + row.quantization);
    const auto parsed = parse_training_config(yaml);
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
    CHECK(parsed.value().wants_bf16() == row.is_bf16);
  }
  const auto refused = parse_training_config(with("ModelConfig", "torch_dtype: float64"));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what ==
        "training_config.yaml: ModelConfig.torch_dtype: \"float64\" must be bfloat16, float16, "
        "float32 or auto");
}

TEST_CASE("training config: done, or as good as done") {
  const auto taken = [](const std::string& line) {
    const auto parsed = parse_training_config(with("TrainingArguments", line));
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
    return parsed.value();
  };
  for (const std::string name : {"adamw_torch", "adamw_torch_fused", "ADAMW_TORCH", "adamw_hf"})
    CHECK(taken("optim: " + name).notes.empty());
  for (const std::string name : {"paged_adamw_32bit", "adamw_bnb_8bit", "paged_adamw_8bit",
                                 "adamw_8bit", "adamw_apex_fused", "adamw_torch_4bit"}) {
    const auto notes = taken("optim: " + name).notes;
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("TrainingArguments.optim changes nothing here: it is AdamW") == 0);
  }
  CHECK(taken("group_by_length: true").group_by_length);
  CHECK(taken("train_sampling_strategy: group_by_length").group_by_length);
  CHECK_FALSE(taken("train_sampling_strategy: random").group_by_length);
  CHECK(taken("data_seed: 7").data_seed == 7u);
  CHECK(taken("packing: true\n    packing_strategy: bfd").notes.size() == 1);
  CHECK(taken("packing: false").notes.empty());
  CHECK(taken("dataset_kwargs: {skip_prepare_dataset: false}").notes.empty());
  CHECK(parse_training_config(with("QuantizationConfig", "llm_int8_skip_modules: [lm_head]")).ok());
}

// The fields of trl 1.16's SFTConfig and peft 0.21's LoraConfig, with their defaults.
TEST_CASE("training config: every field of trl and peft is known, and its default is taken") {
  for (const std::string section : {"TrainingArguments", "LoraConfig"}) {
    const auto fields = nlohmann::ordered_json::parse(
        read_file(test::golden("config_fields.json"), 1 << 20).value())[section];
    CHECK(fields.size() > 40);
    for (const auto& [name, value] : fields.items()) {
      CAPTURE(name);
      const auto parsed = parse_training_config(with(section, name + ": " + value.dump()));
      CHECK_MESSAGE(parsed.ok(), parsed.error().what);
    }
  }
}

TEST_CASE("training config: changed bytes never crash the parser") {
  const char* text = std::getenv("SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
  MESSAGE("SEED=" << seed);
  std::mt19937_64 random(seed);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string yaml = qlora_template;
    for (std::uint64_t i = random() % 8 + 1; i > 0; --i)
      yaml[random() % yaml.size()] = static_cast<char>(random());
    if (round % 3 == 0) yaml.resize(random() % yaml.size());
    const auto parsed = parse_training_config(yaml);
    if (parsed.ok()) continue;
    ++refused;
    CHECK(parsed.error().what.starts_with("training_config.yaml:"));
  }
  CHECK(refused > 1000);
}
