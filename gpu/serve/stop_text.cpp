// gpu/serve/stop_text.cpp
#include "gpu/serve/stop_text.h"

#include <algorithm>

namespace kairo::gpu {
std::string StopText::push(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  std::size_t found = std::string::npos;
  for (const auto& stop : stops_) found = std::min(found, held_.find(stop));
  if (found != std::string::npos) {
    stopped_ = true;
    held_.resize(found);
    return finish();
  }
  std::size_t keep = 0;  // the longest end of the text that a stop string begins with
  for (const auto& stop : stops_)
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
      if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopText::finish() {
  std::string out;
  out.swap(held_);
  return out;
}
}  // namespace kairo::gpu
