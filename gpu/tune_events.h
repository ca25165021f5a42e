// gpu/tune_events.h - TensorBoard's event files beside a training, as it goes.
#pragma once
#include <string>
#include <utility>

#include "schemas/base/result.h"
#include "schemas/run_generated.h"
#include "schemas/tensorboard/run_log.h"

namespace kairo::gpu {
// The files of its folder are a function of progress.jsonl: with the first line what is there is
// made equal to it (a torn tail, or what another machine left of this run, goes), then each line is
// appended. They are for people: what cannot be written is logged once, and the training goes on.
class EventFiles {  // one thread
 public:
  // folder: of this run alone; made if it is not there.
  EventFiles(std::string folder, std::string progress_file)
      : folder_(std::move(folder)), progress_file_(std::move(progress_file)) {}
  // line: the last one of the progress file.
  void take(const wire::ProgressT& line);

 private:
  Status begin();
  Status append(const tensorboard::RunLog::Piece& piece) const;
  const std::string folder_, progress_file_;
  tensorboard::RunLog log_;
  bool has_begun_ = false, has_failed_ = false;
};
}  // namespace kairo::gpu
