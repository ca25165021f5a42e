// schemas/tensorboard/run_log.h - a run's progress as TensorBoard's event files: one for each
// attempt. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "schemas/run_generated.h"

namespace kairo::tensorboard {
// Takes the lines of progress.jsonl as they come. What an attempt does again after a resume stands
// in an earlier file, with the same bits, and is not written twice: TensorBoard's readers disagree
// on what a step that comes again means. The same lines give the same bytes.
class RunLog {
 public:
  struct Piece {
    std::string file;   // a name in the run's folder
    std::string bytes;  // to be appended to it; "" = the line says nothing new
  };
  Piece take(const wire::ProgressT& line);

 private:
  std::string records_of(const wire::ProgressT& line);
  std::uint32_t attempt_ = 0;
  std::uint32_t step_ = 0, eval_step_ = 0;  // the last ones that were written
  bool has_ended_ = false, has_failed_ = false;
  std::int64_t begin_s_ = 0;  // of the last file
  std::string file_;          // of this attempt; "" = it has none yet
  std::string settings_;      // as the last line that had them said
};
// All at once: name -> bytes.
template <class Lines>
std::map<std::string, std::string> files_of(RunLog& log, const Lines& lines) {
  std::map<std::string, std::string> out;
  for (const wire::ProgressT& line : lines)
    if (const RunLog::Piece piece = log.take(line); !piece.bytes.empty())
      out[piece.file] += piece.bytes;
  return out;
}
}  // namespace kairo::tensorboard
