// gpu/formats/ignored_arguments.cpp - TrainingArguments that change nothing here, and why.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* reports = "progress is reported after every step";
constexpr const char* computes = "the engine chooses how it computes";
constexpr const char* saves =
    "checkpoints for resuming are written anyway, beside the run and not into the results";
constexpr const char* hub = "nothing is sent to a hub; the adapter is pushed as an image";
}  // namespace

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
  add({"logging_strategy", "logging_first_step", "logging_dir", "log_level",
       "log_level_replica", "logging_nan_inf_filter", "report_to", "run_name", "disable_tqdm",
       "include_tokens_per_second", "include_num_input_tokens_seen"},
      reports);
  add({"save_strategy", "save_total_limit", "save_safetensors", "save_only_model",
       "save_on_each_node", "overwrite_output_dir"},
      saves);
  add({"push_to_hub", "hub_model_id", "hub_strategy", "hub_private_repo"}, hub);
  return out;
}
}  // namespace kairo::gpu
