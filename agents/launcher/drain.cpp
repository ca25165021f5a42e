// agents/launcher/drain.cpp - by the Job's uid: one that is made later is another one.
#include "agents/launcher/drain.h"

#include "agents/launcher/wish.h"

namespace kairo::launcher {
namespace {
void end_job(runtime::Decision& d, const wire::RecordT& record, std::int64_t now_ms) {
  if (!exists(record.job) || record.job->revision.empty() || record.job->finished) return;
  wire::RemoveWorkloadT body;
  body.kind = "Job";
  body.uid = record.job->uid;
  d.wake_at_ms = now_ms + runtime::unseen_ms_max + 1;
  if (!runtime::ask(d, record, "drain", record.job->uid, "", std::move(body),
                    {record.job->version, 0, now_ms}))
    return;
  d.cancel_effects = true;
  wire::MarkT job;
  job.key = "job";
  d.marks.push_back(std::move(job));
}
}  // namespace

bool drain(runtime::Decision& d, const wire::RecordT& record, std::int64_t now_ms) {
  const wire::WorkspaceT& w = *record.workspace;
  if (!w.tuning || record.resources->revision != w.revision) return false;
  if (record.resources->state != wire::ResourcesState::Ready) {
    if (record.resources->drain) end_job(d, record, now_ms);
    return record.resources->drain;
  }
  const wire::TrainingT* training = runtime::training_of(record);
  if (training == nullptr || training->revision != w.revision || training->stalled.empty())
    return false;
  if (runtime::is_trained(record)) {  // given up
    end_job(d, record, now_ms);
    return true;
  }
  wire::MarkT stalled;  // each of its processes is ended once; the next one says its own
  stalled.key = "stalled";
  stalled.value = w.revision + "/" + std::to_string(training->progress->attempt);
  if (!exists(record.job) || runtime::mark_of(record, "stalled").value == stalled.value)
    return false;
  end_job(d, record, now_ms);
  d.marks.push_back(std::move(stalled));
  return true;
}
}  // namespace kairo::launcher
