// gpu/formats/training_settings.cpp - what each setting of training_config.yaml means here.
#include "gpu/formats/training_settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

namespace kairo::gpu {
namespace {
Error bad(const SettingValue& v, const std::string& wanted) {
  return {Code::invalid, v.shown + " must be " + wanted};
}
std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
bool is_null(const SettingValue& v) {
  return v.scalar && v.scalar->is_null;
}
Result<double> number_of(const SettingValue& v) {
  double out = 0;
  if (!v.scalar || v.scalar->is_null) return bad(v, "a number");
  const std::string& t =
      v.scalar->text;  // quoted numbers are numbers: "2e-5" is how YAML 1.1 needs it
  const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), out);
  if (error != std::errc() || end != t.data() + t.size() || !std::isfinite(out))
    return bad(v, "a number");
  return out;
}
Result<bool> boolean_of(const SettingValue& v) {
  if (v.scalar && !v.scalar->is_null && !v.scalar->is_string) {
    const std::string t = lower(v.scalar->text);
    if (t == "true" || t == "yes" || t == "on") return true;
    if (t == "false" || t == "no" || t == "off") return false;
  }
  return bad(v, "true or false");
}

// The ways to take a value. A null keeps the default, as in Python's None.
TakeSetting text(std::string TrainingConfig::*member) {
  return [member](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    if (!v.scalar) return bad(v, "a string");
    c.*member = v.scalar->text;
    return ok();
  };
}
TakeSetting number(double TrainingConfig::*member, double min, double max, const char* range) {
  return [=](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    const double x = TRY(number_of(v));
    if (!(x >= min && x <= max)) return bad(v, range);
    c.*member = x;
    return ok();
  };
}
template <class T>
TakeSetting integer(T TrainingConfig::*member, std::int64_t min, const char* range) {
  return [=](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    const double x = TRY(number_of(v));
    if (x != std::floor(x)) return bad(v, "a whole number");
    if (!(x >= static_cast<double>(min) && x <= 1e15)) return bad(v, range);
    c.*member = static_cast<T>(x);
    return ok();
  };
}
template <class T>
TakeSetting boolean(T TrainingConfig::*member) {
  return [member](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    c.*member = TRY(boolean_of(v));
    return ok();
  };
}
// The value must say what is done anyway.
TakeSetting only(std::vector<std::string> accepted, const char* why) {
  return [accepted = std::move(accepted), why](const SettingValue& v, TrainingConfig&) -> Status {
    if (is_null(v) || v.is_empty_map || (v.items && v.items->empty())) return ok();
    if (v.scalar) {
      const std::string t = lower(v.scalar->text);
      if (std::find(accepted.begin(), accepted.end(), t) != accepted.end()) return ok();
      const auto x = number_of(v);
      if (x.ok() && x.value() == 0 &&
          std::find(accepted.begin(), accepted.end(), "0") != accepted.end())
        return ok();
    }
    std::string list;
    for (const auto& a : accepted) list += (list.empty() ? "" : " or ") + a;
    return bad(v, list + ": " + why);
  };
}
TakeSetting note(const char* why) {
  return [why](const SettingValue&, TrainingConfig& c) -> Status {
    c.notes.emplace_back(why);  // the parser puts the field's name before it
    return ok();
  };
}
Status take_targets(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (v.scalar) {
    c.target_modules = {v.scalar->text};
    return ok();
  }
  if (!v.items) return bad(v, "a list of module names, or all-linear");
  c.target_modules.clear();
  for (const auto& item : *v.items) {
    if (item.is_null || item.text.empty()) return bad(v, "a list of module names, or all-linear");
    c.target_modules.push_back(item.text);
  }
  return ok();
}
Status take_loss_on(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (v.scalar && v.scalar->text == "answer")
    c.loss_on = LossOn::answer;
  else if (v.scalar && v.scalar->text == "all")
    c.loss_on = LossOn::all;
  else
    return bad(v, "answer or all");
  return ok();
}
// As transformers: below 1 it is a share of all steps.
Status take_warmup_steps(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  const double x = TRY(number_of(v));
  if (x > 0 && x < 1) {
    c.warmup_ratio = x;
    return ok();
  }
  return integer(&TrainingConfig::warmup_steps, 0, "at least 0")(v, c);
}
Status take_double_quant(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v) || TRY(boolean_of(v))) return ok();
  c.notes.emplace_back("the scales are quantised all the same");
  return ok();
}
Status take_split(const SettingValue& v, TrainingConfig& c) {
  const double x = TRY(number_of(v));
  if (!(x > 0 && x <= 1)) return bad(v, "above 0 and at most 1");
  c.train_test_split = x;
  return ok();
}
Status take_max_length(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) {
    c.max_length = 0;
    return ok();
  }
  return integer(&TrainingConfig::max_length, 1, "at least 1")(v, c);
}
constexpr double huge = std::numeric_limits<double>::max();
constexpr const char* loads_files = "the model is read from its folder as it is";
constexpr const char* reports = "progress is reported after every step";
constexpr const char* evaluates = "no evaluation is run during training";
constexpr const char* computes = "the engine chooses how it computes";
constexpr const char* saves =
    "checkpoints for resuming are written anyway, beside the run and not into the results";
constexpr const char* no_dropout = "dropout is not supported";
constexpr const char* hub = "nothing is sent to a hub; the adapter is pushed as an image";
constexpr const char* collates = "rows are batched without padding, for causal language models";
constexpr const char* pulls = "this is not used by the trainer";

using C = TrainingConfig;
std::vector<Setting> model_settings() {
  std::vector<Setting> out = {
      {"ModelConfig", "pretrained_model_name_or_path",
       note("the model is the preset's (kairo-tune: --model)")},
      {"ModelConfig", "chat_template", text(&C::chat_template)},
  };
  for (const auto* key :
       {"state_dict", "cache_dir", "from_tf", "force_download", "proxies", "output_loading_info",
        "local_files_only", "revision", "trust_remote_code", "load_in_4bit", "load_in_8bit",
        "torch_dtype", "dtype", "device_map", "low_cpu_mem_usage", "attn_implementation",
        "use_cache", "token"})
    out.push_back({"ModelConfig", key, note(loads_files)});
  const std::string_view q = "QuantizationConfig";
  out.push_back({q, "load_in_4bit", boolean(&C::load_in_4bit)});
  out.push_back({q, "load_in_8bit",
                 only({"false"},
                      "8-bit weights are not supported; use "
                      "load_in_4bit")});
  out.push_back({q, "bnb_4bit_quant_type", only({"nf4"}, "4-bit weights are stored as NF4")});
  out.push_back({q, "quant_method", only({"bitsandbytes"}, "the only method there is")});
  out.push_back({q, "bnb_4bit_use_double_quant", take_double_quant});
  for (const auto* key :
       {"bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_threshold",
        "llm_int8_skip_modules", "llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight"})
    out.push_back({q, key, note(computes)});
  return out;
}
std::vector<Setting> lora_settings() {
  const std::string_view s = "LoraConfig";
  std::vector<Setting> out = {
      {s, "r", integer(&C::rank, 1, "at least 1")},
      {s, "lora_alpha", number(&C::alpha, 1e-6, 1e6, "above 0")},
      {s, "use_rslora", boolean(&C::use_rslora)},
      {s, "target_modules", take_targets},
      {s, "lora_dropout", only({"0"}, no_dropout)},
      {s, "bias", only({"none"}, "biases are not trained")},
      {s, "use_dora", only({"false"}, "DoRA is not supported")},
      {s, "fan_in_fan_out", only({"false"}, "linear layers only")},
      {s, "init_lora_weights", only({"true"}, "B starts at zero and A as peft's default")},
      {s, "task_type", only({"causal_lm"}, "language models are trained")},
      {s, "peft_type", only({"lora"}, "the only method there is")},
  };
  for (const auto* key :
       {"modules_to_save", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
        "loftq_config", "megatron_config", "layer_replication"})
    out.push_back({s, key, only({}, "left out: it is not supported")});
  for (const auto* key :
       {"inference_mode", "auto_mapping", "base_model_name_or_path", "revision", "megatron_core"})
    out.push_back({s, key, note(pulls)});
  return out;
}
std::vector<Setting> argument_settings() {
  const std::string_view s = "TrainingArguments";
  return {
      {s, "output_dir", text(&C::output_dir)},
      {s, "learning_rate", number(&C::learning_rate, 0, 1e3, "at least 0")},
      {s, "weight_decay", number(&C::weight_decay, 0, 1e3, "at least 0")},
      {s, "adam_beta1", number(&C::adam_beta1, 0, 0.999999999, "in [0, 1)")},
      {s, "adam_beta2", number(&C::adam_beta2, 0, 0.999999999, "in [0, 1)")},
      {s, "adam_epsilon", number(&C::adam_epsilon, 0, 1, "in [0, 1]")},
      {s, "max_grad_norm", number(&C::max_grad_norm, 0, huge, "at least 0")},
      {s, "num_train_epochs", number(&C::num_train_epochs, 1e-9, 1e9, "above 0")},
      {s, "max_steps", integer(&C::max_steps, -1, "at least 1, or -1")},
      {s, "warmup_ratio", number(&C::warmup_ratio, 0, 1, "in [0, 1]")},
      {s, "warmup_steps", take_warmup_steps},
      {s, "per_device_train_batch_size", integer(&C::batch_size, 1, "at least 1")},
      {s, "gradient_accumulation_steps", integer(&C::gradient_accumulation_steps, 1, "at least 1")},
      {s, "lr_scheduler_type", text(&C::lr_scheduler_type)},
      {s, "max_length", take_max_length},
      {s, "max_seq_length", take_max_length},
      {s, "seed", integer(&C::seed, 0, "at least 0")},
      {s, "save_steps", integer(&C::save_steps, 1, "a whole number of steps, at least 1")},
      {s, "completion_only_loss", boolean(&C::completion_only_loss)},
      {s, "assistant_only_loss", boolean(&C::assistant_only_loss)},
      {s, "dataloader_drop_last",
       only({"false"}, "every row is trained; an epoch's last step may be smaller")},
      {s, "group_by_length", only({"false"}, "rows run without padding in any order")},
      {s, "optim_args", only({""}, "left out: see adam_beta1, adam_beta2 and adam_epsilon")},
      {s, "optim",
       only({"adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw"}, "AdamW is the optimizer")},
      {s, "packing", only({"false"}, "rows already run without padding")},
      {s, "label_smoothing_factor", only({"0"}, "label smoothing is not supported")},
      {s, "neftune_noise_alpha", only({}, "left out: it is not supported")},
      {s, "loss_type", only({"nll", "chunked_nll"}, "the loss is the negative log-likelihood")},
      {s, "deepspeed", only({}, "left out: one process trains")},
      {s, "fsdp", only({""}, "left out: one process trains")},
      {s, "resume_from_checkpoint", note("a run resumes from its own newest checkpoint")},
      {s, "dataset_text_field", note("DatasetConfig.response_column names the text column")},
  };
}
// TrainingArguments that change nothing here.
std::vector<Setting> ignored_arguments() {
  std::vector<Setting> out;
  const auto add = [&out](std::initializer_list<const char*> keys, const char* why) {
    for (const auto* key : keys) out.push_back({"TrainingArguments", key, note(why)});
  };
  add({"bf16",
       "fp16",
       "tf32",
       "bf16_full_eval",
       "fp16_full_eval",
       "half_precision_backend",
       "gradient_checkpointing",
       "gradient_checkpointing_kwargs",
       "torch_compile",
       "auto_find_batch_size",
       "use_cpu",
       "no_cuda",
       "full_determinism",
       "use_liger_kernel",
       "ddp_find_unused_parameters",
       "ddp_backend",
       "ddp_bucket_cap_mb",
       "ddp_timeout",
       "ddp_broadcast_buffers",
       "local_rank",
       "dataloader_num_workers",
       "dataloader_pin_memory",
       "dataloader_prefetch_factor",
       "dataset_num_proc",
       "padding_free",
       "length_column_name",
       "pad_to_multiple_of",
       "pad_token",
       "data_seed",
       "remove_unused_columns",
       "label_names",
       "torch_empty_cache_steps"},
      computes);
  add({"logging_steps", "logging_strategy", "logging_first_step", "logging_dir", "log_level",
       "log_level_replica", "logging_nan_inf_filter", "report_to", "run_name", "disable_tqdm",
       "include_tokens_per_second", "include_num_input_tokens_seen"},
      reports);
  add({"eval_strategy", "evaluation_strategy", "eval_steps", "eval_delay", "do_eval", "do_train",
       "do_predict", "per_device_eval_batch_size", "eval_accumulation_steps", "eval_on_start",
       "load_best_model_at_end", "metric_for_best_model", "greater_is_better",
       "prediction_loss_only", "batch_eval_metrics"},
      evaluates);
  add({"save_strategy", "save_total_limit", "save_safetensors", "save_only_model",
       "save_on_each_node", "overwrite_output_dir"},
      saves);
  add({"push_to_hub", "hub_model_id", "hub_strategy", "hub_private_repo"}, hub);
  return out;
}
std::vector<Setting> data_settings() {
  const std::string_view s = "DatasetConfig";
  std::vector<Setting> out = {
      {s, "dataset_path", text(&C::dataset_path)},
      {s, "dataset_extension", text(&C::dataset_extension)},
      {s, "shuffle_dataset", boolean(&C::shuffle)},
      {s, "shuffle_seed", integer(&C::shuffle_seed, 0, "at least 0")},
      {s, "context_column", text(&C::context_column)},
      {s, "response_column", text(&C::response_column)},
      {s, "messages_column", text(&C::messages_column)},
      {s, "train_test_split", take_split},
      {s, "loss_on", take_loss_on},
  };
  for (const auto* key : {"mlm", "mlm_probability", "pad_to_multiple_of", "return_tensors",
                          "tf_experimental_compile"})
    out.push_back({"DataCollator", key, note(collates)});
  return out;
}
// Constant; built when it is first asked for.
const std::vector<Setting>& settings() {
  static const std::vector<Setting> table = [] {
    std::vector<Setting> out = model_settings();
    for (auto* part : {lora_settings, argument_settings, ignored_arguments, data_settings})
      for (auto& setting : part()) out.push_back(std::move(setting));
    return out;
  }();
  return table;
}
constexpr std::string_view sections[] = {"ModelConfig",  "QuantizationConfig",
                                         "LoraConfig",   "TrainingArguments",
                                         "DataCollator", "DatasetConfig"};
// Levenshtein distance of short names.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (std::tolower(a[i - 1]) != std::tolower(b[j - 1]));
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}
}  // namespace

std::span<const std::string_view> config_sections() {
  return sections;
}
const Setting* find_setting(std::string_view section, std::string_view key) {
  for (const auto& setting : settings())
    if (setting.section == section && setting.key == key) return &setting;
  return nullptr;
}
std::string closest_of(std::span<const std::string_view> names, std::string_view name) {
  if (name.size() > 64) return "";
  std::string_view best;
  std::size_t least = std::max<std::size_t>(3, name.size() / 2 + 1);
  for (const auto n : names) {
    const std::size_t distance = edits(n, name);
    if (distance < least) {
      least = distance;
      best = n;
    }
  }
  return std::string(best);
}
std::string closest_key(std::string_view section, std::string_view key) {
  std::vector<std::string_view> names;
  for (const auto& setting : settings())
    if (setting.section == section) names.push_back(setting.key);
  return closest_of(names, key);
}
}  // namespace kairo::gpu
