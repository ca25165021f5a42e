// schemas/tensorboard/run_log.cpp - which lines are new, and in which file they stand.
#include "schemas/tensorboard/run_log.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "schemas/tensorboard/event_file.h"

namespace kairo::tensorboard {
namespace {
constexpr std::size_t settings_max = 64;
// Of a flat JSON object; what is neither number, text nor truth is left out.
std::vector<Setting> settings_of(const std::string& text) {
  std::vector<Setting> out;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return out;
  for (const auto& [name, value] : json.items()) {
    if (out.size() == settings_max) break;
    if (value.is_boolean())
      out.emplace_back(name, value.get<bool>());
    else if (value.is_number())
      out.emplace_back(name, value.get<double>());
    else if (value.is_string())
      out.emplace_back(name, value.get<std::string>());
  }
  return out;
}
// What a person must change: the run will not go on by itself.
bool is_final(const std::string& code) {
  return code.starts_with("bad_") || code == "out_of_memory";
}
}  // namespace

std::string RunLog::records_of(const wire::ProgressT& line) {
  std::string out;
  if (line.step > std::max(step_, line.resumed_from) && std::isfinite(line.loss)) {
    out += scalars_record(line.at_ms, line.step,
                          {{"train/loss", line.loss},
                           {"train/grad_norm", line.grad_norm},
                           {"train/learning_rate", line.learning_rate},
                           {"train/tokens_per_second", line.tokens_per_second}});
    step_ = line.step;
  }
  if (line.eval_loss > 0 && line.eval_step > eval_step_) {
    out += scalars_record(line.at_ms, line.eval_step, {{"eval/loss", line.eval_loss}});
    eval_step_ = line.eval_step;
  }
  if (line.phase == wire::RunPhase::Done && !has_ended_) {
    out += end_record(line.at_ms, true);
    has_ended_ = true;
  } else if (line.phase == wire::RunPhase::Failed && is_final(line.code) && !has_failed_) {
    out += end_record(line.at_ms, false);
    has_failed_ = true;
  }
  return out;
}

RunLog::Piece RunLog::take(const wire::ProgressT& line) {
  if (line.attempt == 0 || line.attempt < attempt_ || line.at_ms <= 0) return {};
  if (line.attempt > attempt_) {
    attempt_ = line.attempt;
    file_.clear();
  }
  if (!line.settings.empty()) settings_ = line.settings;
  std::string records = records_of(line);
  if (records.empty()) return {};
  if (!file_.empty()) return {file_, std::move(records)};
  begin_s_ = std::max(line.at_ms / 1000, begin_s_ + 1);  // a clock may have been set back
  file_ = file_name(begin_s_, attempt_);
  return {file_,
          first_record(line.at_ms) + start_record(line.at_ms, settings_of(settings_)) + records};
}
}  // namespace kairo::tensorboard
