// gpu/formats/argument_settings.cpp - the section TrainingArguments.
#include <limits>

#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr double huge = std::numeric_limits<double>::max();
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
Status take_schedule_arguments(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (!v.members) return bad(v, "a map, for example {num_cycles: 2}");
  c.lr_scheduler_kwargs.clear();
  for (const auto& [name, value] : *v.members)
    if (!value.is_null) c.lr_scheduler_kwargs.emplace_back(name, plain_text(value));
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
}  // namespace kairo::gpu
