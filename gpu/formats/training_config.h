// gpu/formats/training_config.h - KAITO's training_config.yaml: every setting decided and checked.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gpu/formats/lora_targets.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// Which tokens of a row are training targets.
enum class LossOn : std::uint8_t {
  answer,  // only what the model shall say: assistant turns, completions
  all,     // every token of the rendered text
};
// What the file's names of types ask for. half: bfloat16, and float16, for which bf16 is taken.
enum class Precision : std::uint8_t { unset, single, half };
// TrainingArguments about the held-out rows.
struct EvaluationSettings {
  std::string strategy;  // no, steps or epoch; empty: not said
  double steps = 0;      // between two; below 1: a share of all steps; 0: as logging_steps
  double logging_steps = 10;
  double delay = 0;  // steps or epochs, as strategy
  bool on_start = false, load_best = false;
};
// The defaults are those of KAITO 0.11 with trl 1.9, peft and transformers, where a file says
// nothing.
struct TrainingConfig {
  // ModelConfig
  std::string chat_template;           // a path, or the template itself; empty: the model's own
  Precision dtype = Precision::unset;  // torch_dtype, dtype
  // QuantizationConfig
  std::optional<bool> load_in_4bit;  // QLoRA: NF4 with double quantisation; must fit the method
  Precision compute_dtype = Precision::unset;  // bnb_4bit_compute_dtype: of 4-bit weights
  // LoraConfig
  std::int64_t rank = 8;
  double alpha = 8;
  bool use_rslora = false;
  double dropout = 0;
  LoraTargets targets;  // empty: the model family's default
  bool gaussian_init = false;
  // TrainingArguments
  std::optional<bool> bf16, fp16;
  std::string output_dir = "/mnt/results";
  double learning_rate = 2e-5, weight_decay = 0, adam_beta1 = 0.9, adam_beta2 = 0.999,
         adam_epsilon = 1e-8, max_grad_norm = 1.0;
  double num_train_epochs = 3, warmup_ratio = 0;
  std::int64_t max_steps = -1, warmup_steps = 0;  // max_steps -1: as many as the epochs have
  std::int64_t batch_size = 8, gradient_accumulation_steps = 1;
  std::string lr_scheduler_type = "linear";
  std::vector<std::pair<std::string, std::string>> lr_scheduler_kwargs;  // as written, no nulls
  std::int64_t max_length = 1024;  // tokens of a row; 0: rows are never cut
  std::uint64_t seed = 42;         // of the adapter's initial values
  bool group_by_length = false;
  std::optional<std::uint64_t> data_seed;  // of the epochs' orders; unset: shuffle_seed
  double save_steps = 0;                   // below 1: a share of all steps; 0: the trainer's rhythm
  EvaluationSettings evaluation;
  // DatasetConfig
  std::string dataset_path, dataset_extension;  // path: in the data folder; empty: all of it
  bool shuffle = true;
  std::uint64_t shuffle_seed = 42;
  std::string context_column, response_column, messages_column;  // empty: found by their names
  double train_test_split = 0.8;  // share of the rows to train on, in (0, 1]
  // A file or folder of the data whose rows are held out, all of them; train_test_split is 1 then.
  std::string validation_file;
  std::optional<LossOn> loss_on;  // unset: answer where a row has one, else all, but for these:
  // TrainingArguments; false: rows of prompt and completion, or conversations, train every token
  std::optional<bool> completion_only_loss, assistant_only_loss;
  // Accepted settings that change nothing here, one sentence each, for the log.
  std::vector<std::string> notes;
  // Whether products are to be of bf16 factors: a half type or bf16: true asks for it, and so does
  // a file that says nothing, as KAITO's defaults do. float32 is fp32 unless bf16: true stands
  // beside.
  bool wants_bf16() const;
};
// yaml: the file's text, at most 1 MiB. A missing section or key keeps its default.
// invalid: not YAML; an unknown section or key (names the closest known one); a value of the wrong
// type or outside its range (names field and value); a feature that is not there (says which is).
Result<TrainingConfig> parse_training_config(std::string_view yaml);
}  // namespace kairo::gpu
