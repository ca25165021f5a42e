// agents/node/training_metrics.cpp - a line for each training and figure.
#include "agents/node/training_metrics.h"

#include <algorithm>

namespace kairo::node {
namespace {
// Of a label: device's and self-test's words are the trainer's.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}
bool is_told(const TrainingSeen& seen, std::int64_t now_ms) {
  const wire::RunPhase phase = seen.last.phase;
  const bool has_begun = phase == wire::RunPhase::Loading || phase == wire::RunPhase::Training ||
                         phase == wire::RunPhase::Saving;
  return has_begun && now_ms - seen.last.at_ms <= training_told_ms;
}
// What gpu/engine/self_test.cpp says of a call that was given up.
bool all_agree(const std::string& self_test) {
  return self_test.find("computes it instead") == std::string::npos;
}
}  // namespace

std::string training_metrics(const std::vector<TrainingSeen>& trainings, std::int64_t now_ms) {
  std::vector<const TrainingSeen*> told;
  for (const TrainingSeen& seen : trainings)
    if (is_told(seen, now_ms)) told.push_back(&seen);
  if (told.empty()) return {};
  const auto whose = [](const TrainingSeen& seen) {
    return "{namespace=" + quoted(seen.ns) + ",workspace=" + quoted(seen.workspace);
  };
  std::string out =
      "# HELP kairo_training_device 1: the device that computes this training.\n"
      "# TYPE kairo_training_device gauge\n";
  for (const TrainingSeen* seen : told)
    out += "kairo_training_device" + whose(*seen) +
           ",device=" + quoted(seen->last.device.empty() ? "cpu" : seen->last.device) +
           ",UUID=" + quoted(seen->last.gpu) + "} 1\n";
  const auto is_tested = [](const TrainingSeen* seen) { return !seen->last.self_test.empty(); };
  if (std::none_of(told.begin(), told.end(), is_tested)) return out;
  out +=
      "# HELP kairo_training_self_test_ok 1: all calls of the device agreed with the CPU.\n"
      "# TYPE kairo_training_self_test_ok gauge\n";
  for (const TrainingSeen* seen : told)
    if (is_tested(seen))
      out += "kairo_training_self_test_ok" + whose(*seen) + "} " +
             (all_agree(seen->last.self_test) ? "1" : "0") + "\n";
  return out;
}
}  // namespace kairo::node
