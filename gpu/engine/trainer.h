// gpu/engine/trainer.h - optimizer steps from the newest checkpoint to the end, on any Engine.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gpu/engine/engine.h"
#include "gpu/engine/schedule.h"
#include "gpu/formats/checkpoint.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct TrainSettings {
  Schedule schedule;
  Update update;  // learning_rate is filled in from the schedule
  double epochs = 1;
  std::string checkpoint_dir, fingerprint;
  std::int64_t save_steps = 10;   // a checkpoint every so many steps,
  std::int64_t save_ms = 30'000;  // or when so much time has passed, whichever comes first
};
// The rows of one optimizer step (counted from 0), as indices into the data: pure, so that a
// resumed run sees what an undisturbed one saw.
using RowsOfStep = std::function<std::vector<std::size_t>(std::int64_t step)>;
struct StepReport {
  std::int64_t step = 0, total_steps = 0, tokens = 0;  // tokens: since the run began
  double epoch = 0, loss = 0, learning_rate = 0, gradient_norm = 0, tokens_per_second = 0;
  std::int64_t eta_ms = -1;
};
struct TrainStart {
  std::int64_t step = 0, tokens = 0;
  std::string note;  // why it starts anew, or which step it goes on from; for people
};
enum class TrainEnd : std::uint8_t { finished, stopped };
// Restores the checkpoint that was found into the engine; without one, why becomes the note. The
// note also says where what follows cannot equal an undisturbed run to the bit, and why.
TrainStart resume(Engine& engine, const Result<Checkpoint>& found);
// Runs from start to schedule.total_steps. After every step: on_step, then should_stop; a stop
// writes a checkpoint first. The same data, settings and threads give the same bytes, interrupted
// or not. invalid: bad rows, or a loss that is not finite. unavailable: no disk space for a
// checkpoint. corrupt: a checkpoint cannot be written for another reason.
Result<TrainEnd> train(Engine& engine, std::span<const TrainRow> data,
                       const RowsOfStep& rows_of_step, const TrainSettings& settings,
                       const TrainStart& start, const Clock& clock,
                       const std::function<void(const StepReport&)>& on_step,
                       const std::function<bool()>& should_stop);
// Targets of a row: trained tokens but the first, which nothing predicts.
std::int64_t targets_of(const TrainRow& row);
}  // namespace kairo::gpu
