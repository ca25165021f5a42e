// gpu/serve/stop_text.h - ends a growing text at the first of its stop strings.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace kairo::gpu {
// What may be the begin of a stop string is held back until it is clear. One thread.
class StopText {
 public:
  explicit StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  // What can be shown now: never a part of a stop string.
  std::string push(std::string_view text);
  std::string finish();  // what is held back; the text has ended
  bool stopped() const { return stopped_; }

 private:
  const std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};
}  // namespace kairo::gpu
