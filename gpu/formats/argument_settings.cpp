// gpu/formats/argument_settings.cpp - the section TrainingArguments.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
using C = TrainingConfig;
// As transformers: below 1 it is a share of all steps, else the whole steps in it.
Status take_warmup_steps(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  const double x = TRY(number_of(v));
  if (x > 0 && x < 1) {
    c.warmup_ratio = x;
    return ok();
  }
  if (!(x >= 0 && x <= 1e15)) return bad(v, "at least 0");
  c.warmup_steps = static_cast<std::int64_t>(x);
  return ok();
}
Status take_save_steps(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  const double x = TRY(number_of(v));
  if (!(x > 0 && x <= 1e15) || (x > 1 && x != std::floor(x)))
    return bad(v, "a whole number of steps, or a share of all steps above 0 and below 1");
  c.save_steps = x;
  return ok();
}
Status take_schedule_arguments(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (!v.members) return bad(v, "a map, for example {num_cycles: 2}");
  c.lr_scheduler_kwargs.clear();
  for (const auto& [name, value] : *v.members)
    if (!value.is_null) c.lr_scheduler_kwargs.emplace_back(name, plain_text(value));
  return ok();
}
// All of these are AdamW; its moments are kept in fp32 here, which is at least as exact.
Status take_optim(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  const std::string name = v.scalar ? lower(v.scalar->text) : "";
  for (const auto* same : {"adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw"})
    if (name == same) return ok();
  for (const auto* same : {"adamw_apex_fused", "adamw_torch_xla", "adamw_torch_npu_fused",
                           "paged_adamw", "paged_adamw_32bit"})
    if (name == same) {
      c.notes.emplace_back("it is AdamW, whose moments stay in memory here, in fp32");
      return ok();
    }
  for (const auto* rounded :
       {"adamw_bnb_8bit", "adamw_8bit", "paged_adamw_8bit", "adamw_torch_8bit", "adamw_torch_4bit"})
    if (name == rounded) {
      c.notes.emplace_back("it is AdamW, whose moments are kept in fp32 here, not rounded to " +
                           std::string(name.ends_with("4bit") ? "4" : "8") + " bits");
      return ok();
    }
  return bad(v, "adamw_torch, or paged_ or _8bit of it: AdamW is the only optimizer");
}
Status take_sampling(const SettingValue& v, TrainingConfig& c) {
  const std::string name = v.scalar ? v.scalar->text : "";
  if (name == "group_by_length") c.group_by_length = true;
  if (is_null(v) || name == "random" || name == "group_by_length") return ok();
  if (name == "sequential")
    return bad(v,
               "left out, with DatasetConfig.shuffle_dataset: false, which is the order of rows");
  return bad(v, "random or group_by_length");
}
// A step is per_device_train_batch_size rows here, packed sequences in trl.
Status take_packing(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v) || !TRY(boolean_of(v))) return ok();
  c.notes.emplace_back(
      "rows run without padding anyway, each seeing itself only; per_device_train_batch_size still "
      "counts rows, not packed sequences of max_length tokens as in trl: raise it for steps as "
      "large");
  return ok();
}
Status take_dataset_arguments(const SettingValue& v, TrainingConfig&) {
  if (is_null(v)) return ok();
  if (!v.members) return bad(v, "a map");
  for (const auto& [name, value] : *v.members) {
    const bool off = value.is_null || (value.boolean && !*value.boolean);
    if (name == "skip_prepare_dataset" && off) continue;
    return Error{Code::invalid,
                 name.substr(0, 40) +
                     (name == "skip_prepare_dataset"
                          ? " must be false: rows are text, and tokenised here"
                          : " is not supported: what stands around a row is the chat template's, "
                            "or the tokenizer's end token")};
  }
  return ok();
}
Status take_data_seed(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  const double x = TRY(number_of(v));
  if (x != std::floor(x) || !(x >= 0 && x <= 1e15)) return bad(v, "a whole number, at least 0");
  c.data_seed = static_cast<std::uint64_t>(x);
  return ok();
}
Status take_max_length(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) {
    c.max_length = 0;
    return ok();
  }
  return integer(&TrainingConfig::max_length, 1, "at least 1")(v, c);
}
}  // namespace

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
      {s, "lr_scheduler_kwargs", take_schedule_arguments},
      {s, "max_length", take_max_length},
      {s, "max_seq_length", take_max_length},
      {s, "seed", integer(&C::seed, 0, "at least 0")},
      {s, "save_steps", take_save_steps},
      {s, "completion_only_loss", boolean(&C::completion_only_loss)},
      {s, "assistant_only_loss", boolean(&C::assistant_only_loss)},
      {s, "dataloader_drop_last",
       only({"false"}, "every row is trained; an epoch's last step may be smaller")},
      {s, "group_by_length", boolean(&C::group_by_length)},
      {s, "train_sampling_strategy", take_sampling},
      {s, "data_seed", take_data_seed},
      {s, "optim_target_modules", only({}, "left out: AdamW trains all of the adapter")},
      {s, "optim_args", only({""}, "left out: see adam_beta1, adam_beta2 and adam_epsilon")},
      {s, "bf16", boolean(&C::bf16)},
      {s, "fp16", boolean(&C::fp16)},
      {s, "optim", take_optim},
      {s, "adafactor", only({"false"}, "AdamW is the only optimizer")},
      {s, "shuffle_dataset",
       only({"false"}, "DatasetConfig.shuffle_dataset says whether rows are shuffled")},
      {s, "packing", take_packing},
      {s, "packing_strategy", only({"bfd"}, "rows are kept whole up to max_length, never split")},
      {s, "dataset_kwargs", take_dataset_arguments},
      {s, "eos_token",
       only({}, "left out: name the end token in the model's tokenizer_config.json (eos_token)")},
      {s, "chat_template_path",
       only({}, "left out: give the template in ModelConfig.chat_template")},
      {s, "truncation_mode", only({"keep_start"}, "rows that are too long lose their end")},
      {s, "model_init_kwargs", only({}, "left out: ModelConfig and QuantizationConfig say it")},
      {s, "fsdp_transformer_layer_cls_to_wrap", only({}, "left out: one process trains")},
      {s, "label_smoothing_factor", only({"0"}, "label smoothing is not supported")},
      {s, "neftune_noise_alpha", only({}, "left out: it is not supported")},
      {s, "loss_type", only({"nll", "chunked_nll"}, "the loss is the negative log-likelihood")},
      {s, "deepspeed", only({}, "left out: one process trains")},
      {s, "fsdp", only({""}, "left out: one process trains")},
      {s, "resume_from_checkpoint", note("a run resumes from its own newest checkpoint")},
      {s, "dataset_text_field",
       only({"text"}, "or left out: DatasetConfig.response_column names another text column")},
  };
}
}  // namespace kairo::gpu
