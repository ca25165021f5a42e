// agents/gateway/job_view.h - a job's Workspace and what is known of its steps, as the API answers
// them: job, events, checkpoints, result file, model. Pure.
#pragma once
#include <string>
#include <vector>

#include "agents/gateway/answer.h"

namespace kairo::gateway {
struct Point {  // of a training
  std::int64_t step = 0, total_steps = 0, tokens = 0, at_ms = 0;
  double loss = 0;
  double validation_loss = 0;  // of the evaluation after this step; 0 = there was none
};
// From lines of progress.jsonl (schemas/run.fbs): each step once, the last that was said of it.
std::vector<Point> points_in(const std::string& lines);

struct JobState {
  Json workspace;             // of the job, as the cluster has it
  std::vector<Point> points;  // by step
};
// "ft:<base>:kairo:<suffix>:<8 of the id>"
std::string model_name(const Json& workspace);
std::string job_status(const Json& workspace);  // OpenAI's word
bool has_model(const Json& workspace);          // it has succeeded, and nobody deleted the model
Json job_json(const JobState& job, std::int64_t now_s);
std::vector<Json> job_events(const JobState& job);       // newest first
std::vector<Json> job_checkpoints(const JobState& job);  // newest first
Json model_json(const std::string& id, std::int64_t created_s, const std::string& owner);
Json no_error();  // OpenAI's: an object of nulls, since scripts of 2024 read job.error.code
std::string result_csv(const std::vector<Point>& points);
// "file-r..." of a job, and back; "" = it is no such name.
std::string result_file_id(const std::string& job_id);
std::string job_of_result(const std::string& file_id);
// Unix seconds of an RFC 3339 text at workspace[keys...]; 0 = it is not there.
std::int64_t created_s(const Json& object);
// What a pending Workspace waits for, in its conditions' words; "" = it says nothing.
std::string waits_for(const Json& workspace);
}  // namespace kairo::gateway
