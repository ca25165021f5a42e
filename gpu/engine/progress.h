// gpu/engine/progress.h - progress.jsonl: how a run tells the world where it stands
// (schemas/run.fbs).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "schemas/base/clock.h"
#include "schemas/base/result.h"
#include "schemas/run_generated.h"

namespace kairo::gpu {
// One line per change, flushed; the last whole line is the truth. One thread.
class ProgressFile {
 public:
  // Opens dir/progress.jsonl for appending; the next line starts fresh even after a torn one.
  // attempt() counts this process: one more than the file's last line says. The file stays locked:
  // conflict: another process has it, so this one must not train into the same folder.
  static Result<ProgressFile> open(const std::string& dir, const Clock& clock);
  ProgressFile(ProgressFile&& other) noexcept;
  ProgressFile& operator=(ProgressFile&&) = delete;
  ~ProgressFile();
  std::uint32_t attempt() const { return attempt_; }
  // The last whole line that was there: phase, step, epoch, loss, tokens, rows and what evaluations
  // said; all 0 without one.
  const wire::ProgressT& last() const { return last_; }
  // What the lines from now on say, too, of the device that computes; gpu: its uuid.
  void say_device(std::string name, std::string self_test, std::string gpu);
  // A flat JSON object that the next line of the phase Training says: what it trains with.
  void say_settings(std::string json) { settings_ = std::move(json); }
  // Is told each line as it was written, in the writer's thread; it must not take long.
  void tell(std::function<void(const wire::ProgressT&)> hear) { hear_ = std::move(hear); }
  // Likewise: what a device's too little memory has changed.
  void say_memory(std::string what) { memory_ = std::move(what); }
  // Fills in at_ms, attempt and rss_bytes. Lines of the phase Training come at most five a second,
  // but for the first and the last step and evaluations; a skipped line is ok. unavailable: disk
  // full.
  Status write(wire::ProgressT line);

 private:
  ProgressFile(int fd, const Clock& clock) : fd_(fd), clock_(clock) {}
  Status append(const std::string& text);
  int fd_;
  const Clock& clock_;
  std::uint32_t attempt_ = 1;
  wire::ProgressT last_;
  std::int64_t written_at_ = -1;
  float written_eval_loss_ = 0;
  std::string device_, self_test_, gpu_, memory_, settings_;
  std::function<void(const wire::ProgressT&)> hear_;
};
// Without the newline. memory: said if it is not empty.
std::string progress_json(const wire::ProgressT& line, const std::string& memory = "");
// What such a line says but for words of a device and of a failure; none: it is no whole line.
std::optional<wire::ProgressT> parse_progress(std::string_view line);
}  // namespace kairo::gpu
