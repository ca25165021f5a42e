// agents/node/curves.cpp - reads what was added; a run that is over costs a stat.
#include "agents/node/curves.h"

#include "agents/node/progress.h"
#include "schemas/base/codec.h"

namespace kairo::node {
namespace {
bool ends(wire::RunPhase phase) {
  return phase == wire::RunPhase::Done || phase == wire::RunPhase::Failed ||
         phase == wire::RunPhase::Stopped;
}
}  // namespace

Status CurveSensor::say(const RunKey& key, const Run& run) {
  wire::CurveT curve = run.curve.curve();
  curve.uid = key.uid;
  curve.ns = key.ns;
  curve.name = key.name;
  curve.revision = key.revision;
  return publish_("kairo.curves." + key.ns + "." + key.uid, encode(curve, wire::CurveIdentifier()));
}

void CurveSensor::look(const std::string& incarnation) {
  const auto runs = dirs_.list();
  if (!runs.ok()) return;
  if (incarnation != incarnation_) known_.clear();
  incarnation_ = incarnation;
  std::map<std::string, Known> seen;
  for (const RunKey& key : runs.value()) {
    const std::string file = dirs_.progress_file(key);
    const std::string stamp = stamp_of(file);
    if (stamp.empty()) continue;  // not begun
    Known& known = seen[file];
    if (const auto before = known_.find(file); before != known_.end())
      known = std::move(before->second);
    if (!known.run && known.stamp == stamp) continue;
    if (!known.run) known.run = std::make_unique<Run>();
    Run& run = *known.run;
    if (run.stamp != stamp)
      for (const std::string& line : run.lines.read(file))
        if (const auto progress = last_progress(line + "\n")) {
          run.curve.take(*progress);
          run.is_over = ends(progress->phase);
        }
    run.stamp = known.stamp = stamp;
    if (run.said.is_due(run.curve, run.is_over, clock_.monotonic_ms()) && say(key, run).ok())
      run.said = {run.curve.last_step(), run.curve.attempt(), clock_.monotonic_ms()};
    const bool is_said = run.curve.last_step() == 0 ||
                         (run.said.at_ms != 0 && run.said.step == run.curve.last_step() &&
                          run.said.attempt == run.curve.attempt());
    if (run.is_over && is_said) known.run.reset();
  }
  known_ = std::move(seen);
}
}  // namespace kairo::node
