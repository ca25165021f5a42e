// gpu/engine/save_rhythm.h - when a checkpoint is due: at most two percent of the time for them all
// (one is aimed at: not all that they take can be seen) and at most thirty seconds of training at
// risk; where both cannot be had, the second (pure).
#pragma once
#include <cstdint>

namespace kairo::gpu {
// In milliseconds of training, from the start of this process.
struct SaveTimes {
  std::int64_t trained = 0;    // so far
  std::int64_t step = 0;       // that a step takes
  std::int64_t copied_at = 0;  // when the newest copy was taken,
  std::int64_t safe_at = 0;    // and the newest of those that are whole on the disk
  std::int64_t write = 0;      // from copy to disk, the last time
  double spent = 0;            // on checkpoints so far: waiting, and the writer's processor time
  double next = 0;             // what the next one will take of that
};
// While no write is in flight: whether a copy is to be taken now.
bool is_save_due(const SaveTimes& t);
// While one is: whether the training must wait for its end, since the next step would put too much
// at risk.
bool must_await_save(const SaveTimes& t);
// What a checkpoint of so many bytes will take, before there was one.
double first_save_ms(std::int64_t bytes);
}  // namespace kairo::gpu
