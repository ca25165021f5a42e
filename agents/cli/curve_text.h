// agents/cli/curve_text.h - a run's whole curve for other programs: CSV, JSON lines, TensorBoard's
// event files. Pure; each number is the one of the bits that were recorded.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "schemas/base/result.h"
#include "schemas/curve_generated.h"

namespace kairo::cli {
// What became of the run, as far as event files say it.
enum class RunEnd : std::uint8_t { none, succeeded, failed };
// How many columns a curve has is checked by who takes it from afar: corrupt.
Status check_columns(const wire::CurveT& curve);
// A header and a row for each bucket of steps, each step for itself where there are 1,000 at most;
// an evaluation stands in the row of its step, or in one of its own.
std::string curve_csv(const wire::CurveT& curve);
// The run itself first ({"workspace", "revision", "settings", "attempts"}), then what the rows say.
std::string curve_jsonl(const wire::CurveT& curve);
// Name -> bytes, a file for each attempt.
std::map<std::string, std::string> curve_event_files(const wire::CurveT& curve, RunEnd end);
// "<namespace>/<name>/r<revision>", as the trainer's own files lie in a volume.
std::string run_folder(const wire::CurveT& curve);
}  // namespace kairo::cli
