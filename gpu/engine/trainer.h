// gpu/engine/trainer.h - optimizer steps from the newest checkpoint to the end, on any Engine.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gpu/engine/checkpoint_writer.h"
#include "gpu/engine/engine.h"
#include "gpu/engine/evaluation.h"
#include "gpu/engine/schedule.h"
#include "gpu/formats/checkpoint.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct TrainSettings {
  Schedule schedule;
  Update update;  // learning_rate is filled in from the schedule
  double epochs = 1;
  std::string fingerprint;
  std::int64_t save_steps = 0;       // a checkpoint every so many steps; 0: as save_rhythm.h says
  WriteCheckpoint write_checkpoint;  // empty: somebody else keeps them
  EvaluationPlan evaluation;
};
// The rows of one optimizer step (counted from 0), as indices into the data: pure, so that a
// resumed run sees what an undisturbed one saw.
using RowsOfStep = std::function<std::vector<std::size_t>(std::int64_t step)>;
struct TrainData {
  std::span<const TrainRow> rows, held_out;
  RowsOfStep rows_of_step;
};
struct StepReport {
  std::int64_t step = 0, total_steps = 0, tokens = 0;  // tokens: since the run began
  double epoch = 0, loss = 0, learning_rate = 0, gradient_norm = 0;
  double tokens_per_second = 0;  // of the last steps, with their share of all that comes between
  std::int64_t eta_ms = -1;
  Evaluated evaluated;
  std::string memory;  // Engine::memory_note
};
struct TrainStart {
  std::int64_t step = 0, tokens = 0;
  std::string note;  // why it starts anew, or which step it goes on from; for people
  Evaluated evaluated;
  Parameters best;  // null: not kept
};
struct Trained {
  bool is_finished = false;  // false: stopped
  Parameters best;           // where the plan keeps them: what the adapter shall hold
  std::int64_t checkpoints = 0;
  double checkpoint_share = 0;  // of this process's time: waiting, and processor time beside it
};
// Restores the checkpoint that was found into the engine; without one, why becomes the note. The
// note also says where what follows cannot equal an undisturbed run to the bit, and why.
TrainStart resume(Engine& engine, const Result<Checkpoint>& found);
// What an engine's call gives, asked again with ever smaller plans where a device has too little
// memory. DeviceFailure: as step_down, or another one.
template <class Run>
auto within_memory(Engine& engine, const Run& run) -> decltype(run()) {
  for (;;) try {
      return run();
    } catch (const DeviceFailure& failure) {
      if (!failure.is_memory) throw;
      engine.step_down(failure.what());
    }
}
// Runs from start to schedule.total_steps. After every step and every evaluation: on_report; before
// them: should_stop, which once true stays true. When it returns the newest state is on disk. The
// same data, settings and compute shape give the same bytes, interrupted or not. invalid: bad rows,
// or a loss that is not finite. unavailable: no disk space for a checkpoint. corrupt: a checkpoint
// cannot be written for another reason.
Result<Trained> train(Engine& engine, const TrainData& data, const TrainSettings& settings,
                      const TrainStart& start, const Clock& clock,
                      const std::function<void(const StepReport&)>& on_report,
                      const std::function<bool()>& should_stop);
// Targets of a row: trained tokens but the first, which nothing predicts.
std::int64_t targets_of(const TrainRow& row);
}  // namespace kairo::gpu
