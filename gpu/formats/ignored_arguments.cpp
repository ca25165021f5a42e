// gpu/formats/ignored_arguments.cpp - TrainingArguments that change nothing here, and why.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* reports = "progress is reported after every step";
constexpr const char* saves =
    "checkpoints for resuming are written anyway, beside the run and not into the results";
constexpr const char* hub = "nothing is sent to a hub; the adapter is pushed as an image";
}  // namespace

std::vector<Setting> ignored_arguments() {
  std::vector<Setting> out;
  const auto add = [&out](std::initializer_list<const char*> keys, const char* why) {
    for (const auto* key : keys) out.push_back({"TrainingArguments", key, note(why)});
  };
  add({"tf32",
       "bf16_full_eval",
       "fp16_full_eval",
       "half_precision_backend",
       "gradient_checkpointing",
       "gradient_checkpointing_kwargs",
       "torch_compile",
       "auto_find_batch_size",
       "use_cpu",
       "use_cache",
       "trust_remote_code",
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
       "remove_unused_columns",
       "label_names",
       "torch_empty_cache_steps",
       "average_tokens_across_devices",
       "activation_checkpointing",
       "activation_checkpointing_kwargs",
       "activation_offloading",
       "torch_compile_backend",
       "torch_compile_mode",
       "liger_kernel_config",
       "accelerator_config",
       "parallelism_config",
       "fsdp_config",
       "fsdp_min_num_params",
       "ddp_static_graph",
       "dataloader_persistent_workers",
       "dataloader_multiprocessing_context",
       "dataloader_in_order",
       "dispatch_batches",
       "split_batches",
       "dataset_batch_size",
       "use_mps_device",
       "use_ipex",
       "jit_mode_eval",
       "fp16_opt_level",
       "fp16_backend",
       "tpu_num_cores",
       "past_index",
       "debug",
       "skip_memory_metrics"},
      computes);
  add({"router_aux_loss_coef"}, "the supported models have no experts to balance");
  add({"ignore_data_skip", "enable_jit_checkpoint", "restore_callback_states_from_checkpoint"},
      "a resumed run goes on with the row that it was at");
  add({"logging_strategy", "logging_first_step", "logging_dir", "log_level", "log_level_replica",
       "logging_nan_inf_filter", "report_to", "run_name", "disable_tqdm", "log_on_each_node",
       "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id",
       "include_tokens_per_second", "include_num_input_tokens_seen"},
      reports);
  add({"save_strategy", "save_total_limit", "save_safetensors", "save_only_model",
       "save_on_each_node", "overwrite_output_dir"},
      saves);
  add({"push_to_hub", "hub_model_id", "hub_strategy", "hub_private_repo", "hub_token",
       "hub_always_push", "hub_revision", "push_to_hub_model_id", "push_to_hub_organization",
       "push_to_hub_token"},
      hub);
  return out;
}
}  // namespace kairo::gpu
