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
// Fills the job in and the data set that its rows view; data must outlive the job. In the job's
// state_dir, if it has one, the time of the run's first start is kept: the one that chat templates
// see. should_stop is asked between rows.
// bad_config: the file or a setting. bad_data: the rows. bad_model: the tokenizer. stopped.
std::optional<TuneFailure> prepare_tune_job(TuneJob& job, Dataset& data, const TuneInput& input,
                                            const Clock& clock,
                                            const std::function<bool()>& should_stop = {});
}  // namespace kairo::gpu
