// gpu/tune_job.h - from KAITO's training_config.yaml and a data folder to a decided TuneJob.
#pragma once
#include <optional>
#include <string>

#include "gpu/data/dataset.h"
#include "gpu/engine/tune.h"
#include "gpu/formats/training_config.h"

namespace kairo::gpu {
struct TuneInput {
  std::string model_dir, data, config_file, name, method;  // method: lora or qlora
  int threads = 0;
};
// Fills the job in and the data set that its rows view; data must outlive the job.
// bad_config: the file or a setting. bad_data: the rows. bad_model: the tokenizer.
std::optional<TuneFailure> prepare_tune_job(TuneJob& job, Dataset& data, const TuneInput& input);
}  // namespace kairo::gpu
