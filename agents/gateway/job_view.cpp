// agents/gateway/job_view.cpp - the translation, field by field; OpenAI's quirks are named.
#include "agents/gateway/job_view.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "schemas/base/clock.h"

namespace kairo::gateway {
namespace {
constexpr const char* note_begin = "kairo.dev/openai-";

const Json& in(const Json& object, std::initializer_list<const char*> keys) {
  static const Json null;
  const Json* here = &object;
  for (const char* key : keys) {
    if (!here->is_object()) return null;
    const auto found = here->find(key);
    if (found == here->end()) return null;
    here = &*found;
  }
  return *here;
}
std::string words(const Json& object, std::initializer_list<const char*> keys) {
  const Json& value = in(object, keys);
  return value.is_string() ? value.get<std::string>() : "";
}
std::int64_t count(const Json& object, std::initializer_list<const char*> keys) {
  const Json& value = in(object, keys);
  return value.is_number() ? value.get<std::int64_t>() : 0;
}
std::string note(const Json& workspace, const std::string& name) {
  return words(workspace, {"metadata", "annotations", (note_begin + name).c_str()});
}
Json noted_json(const Json& workspace, const std::string& name) {
  const std::string text = note(workspace, name);
  Json out = text.empty() ? Json() : Json::parse(text, nullptr, false);
  return out.is_discarded() ? Json() : out;
}
std::string id_in(const Json& workspace) {
  return words(workspace, {"metadata", "name"});
}
std::string tail_of(const std::string& job_id) {
  return job_id.substr(job_id.find('-') + 1);
}
const Json& condition(const Json& workspace, const std::string& type) {
  static const Json none;
  for (const Json& c : in(workspace, {"status", "conditions"}))
    if (c.is_object() && words(c, {"type"}) == type) return c;
  return none;
}
std::int64_t seconds_at(const Json& object, std::initializer_list<const char*> keys) {
  const std::string text = words(object, keys);
  return text.empty() ? 0 : parse_rfc3339(text) / 1000;
}
bool is_ended(const std::string& status) {
  return status == "succeeded" || status == "failed" || status == "cancelled";
}
std::int64_t finished_s(const JobState& job) {
  const Json& done = condition(job.workspace, "WorkspaceSucceeded");
  const std::int64_t said =
      words(done, {"status"}) == "True"
          ? seconds_at(done, {"lastTransitionTime"})
          : seconds_at(condition(job.workspace, "JobStarted"), {"lastTransitionTime"});
  const std::int64_t last = job.points.empty() ? 0 : job.points.back().at_ms / 1000;
  return std::max({said, last, created_s(job.workspace)});
}
// The trainer's words begin with its code: "tuning job failed: bad_data: row 3 ...".
Json failure_of(const Json& workspace) {
  std::string why = words(condition(workspace, "WorkspaceSucceeded"), {"message"});
  const std::string begin = "tuning job failed: ";
  if (why.starts_with(begin)) why = why.substr(begin.size());
  std::string code = why.substr(0, why.find(':'));
  const bool is_code = !code.empty() && code.size() < why.size() &&
                       std::all_of(code.begin(), code.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  if (!is_code) code = "server_error";
  const bool is_data = code == "bad_data";
  return {{"code", is_data ? "invalid_training_file" : code},
          {"message", why.empty() ? "the training failed" : why},
          {"param", is_data ? Json("training_file") : Json()}};
}
double short_number(double value) {
  return std::isfinite(value) ? std::round(value * 1e6) / 1e6 : 0;
}
Json event(const JobState& job, const std::string& mark, std::int64_t at_s, const char* level,
           const std::string& message) {
  return {{"id", "ftevent-" + tail_of(id_in(job.workspace)) + "-" + mark},
          {"object", "fine_tuning.job.event"},
          {"created_at", at_s},
          {"level", level},
          {"message", message},
          {"type", "message"},
          {"data", Json::object()}};
}
// All rows of the validation file are evaluated each time: both losses are one.
void add_validation(Json& metrics, const Point& point) {
  if (point.validation_loss <= 0) return;
  for (const char* key : {"valid_loss", "full_valid_loss"})
    metrics[key] = short_number(point.validation_loss);
}
Json step_event(const JobState& job, const Point& point) {
  char mark[24], text[96];
  std::snprintf(mark, sizeof mark, "s%09lld", static_cast<long long>(point.step));
  std::snprintf(text, sizeof text, "Step %lld of %lld: training loss %.4f",
                static_cast<long long>(point.step), static_cast<long long>(point.total_steps),
                point.loss);
  std::string message = text;
  if (point.validation_loss > 0) {
    std::snprintf(text, sizeof text, ", validation loss %.4f", point.validation_loss);
    message += text;
  }
  Json out = event(job, mark, point.at_ms / 1000, "info", message);
  out["type"] = "metrics";
  out["data"] = {{"step", point.step},
                 {"train_loss", short_number(point.loss)},
                 {"total_steps", point.total_steps},
                 {"train_mean_token_accuracy", nullptr}};  // not measured
  add_validation(out["data"], point);
  return out;
}
Json hyperparameters(const Json& workspace, const std::string& status) {
  const bool is_waiting = status == "validating_files" || status == "queued";
  const Json asked = noted_json(workspace, "asked");
  const Json settled = noted_json(workspace, "hyperparameters");
  return is_waiting && asked.is_object() ? asked : settled;
}
}  // namespace

std::int64_t created_s(const Json& object) {
  return seconds_at(object, {"metadata", "creationTimestamp"});
}

std::vector<Point> points_in(const std::string& lines) {
  constexpr std::size_t points_max = 1'000'000;
  std::map<std::int64_t, Point> by_step;
  std::size_t at = 0;
  while (at < lines.size()) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    const Json line = Json::parse(lines.begin() + static_cast<std::ptrdiff_t>(at),
                                  lines.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    at = end + 1;
    const std::int64_t step = count(line, {"step"});
    const Json& loss = in(line, {"loss"});
    if (step <= 0 || !loss.is_number() || by_step.size() >= points_max) continue;
    if (words(line, {"phase"}) != "Training" && by_step.contains(step)) continue;
    const double before = by_step[step].validation_loss;
    by_step[step] = {step,
                     count(line, {"total_steps"}),
                     count(line, {"tokens"}),
                     count(line, {"at_ms"}),
                     loss.get<double>(),
                     before};
    const Json& evaluated = in(line, {"eval_loss"});
    if (count(line, {"eval_step"}) == step && evaluated.is_number())
      by_step[step].validation_loss = evaluated.get<double>();
  }
  std::vector<Point> out;
  for (const auto& [step, point] : by_step) out.push_back(point);
  return out;
}

std::string model_name(const Json& workspace) {
  const std::string tail = tail_of(id_in(workspace));
  return "ft:" + words(workspace, {"tuning", "preset", "name"}) +
         ":kairo:" + note(workspace, "suffix") + ":" +
         tail.substr(tail.size() - std::min<std::size_t>(8, tail.size()));
}
std::string job_status(const Json& workspace) {
  const std::string state = words(workspace, {"status", "state"});
  if (state == "Succeeded") return "succeeded";
  if (state == "Failed") return "failed";
  if (!words(workspace, {"metadata", "deletionTimestamp"}).empty()) return "cancelled";
  if (words(workspace, {"metadata", "annotations", "kairo.dev/paused"}) == "true") return "paused";
  if (state == "Running") return "running";
  return state.empty() ? "validating_files" : "queued";
}
bool has_model(const Json& workspace) {
  return job_status(workspace) == "succeeded" && note(workspace, "deleted").empty();
}
std::string waits_for(const Json& workspace) {
  for (const char* type :
       {"NodeClaimReady", "NodesReady", "ResourceReady", "JobStarted", "InferenceReady"}) {
    const Json& c = condition(workspace, type);
    if (words(c, {"status"}) == "False") return words(c, {"message"});
  }
  return "";
}
Json no_error() {
  return {{"code", nullptr}, {"message", nullptr}, {"param", nullptr}};
}

Json job_json(const JobState& job, std::int64_t now_s) {
  const Json& w = job.workspace;
  const std::string status = job_status(w), id = id_in(w), suffix = note(w, "suffix");
  const std::int64_t eta_s = count(w, {"status", "tuning", "etaSeconds"});
  const Json settings = hyperparameters(w, status);
  const bool has_succeeded = status == "succeeded";
  const std::string seed = note(w, "seed"), validation = note(w, "validation-file");
  Json out = {
      {"id", id},
      {"object", "fine_tuning.job"},
      {"created_at", created_s(w)},
      {"finished_at", is_ended(status) ? Json(finished_s(job)) : Json()},
      {"model", words(w, {"tuning", "preset", "name"})},
      {"fine_tuned_model", has_succeeded ? Json(model_name(w)) : Json()},
      {"organization_id", "org-kairo"},
      {"status", status},
      {"training_file", note(w, "training-file")},
      {"validation_file", validation.empty() ? Json() : Json(validation)},
      {"result_files", has_succeeded ? Json::array({result_file_id(id)}) : Json::array()},
      {"trained_tokens", has_succeeded && !job.points.empty() && job.points.back().tokens > 0
                             ? Json(job.points.back().tokens)
                             : Json()},
      {"error", status == "failed" ? failure_of(w) : no_error()}};
  out["hyperparameters"] = settings;
  out["seed"] = seed.empty() ? 0 : std::atoll(seed.c_str());
  out["estimated_finish"] = status == "running" && eta_s > 0 ? Json(now_s + eta_s) : Json();
  out["integrations"] = Json::array();
  out["metadata"] = noted_json(w, "metadata");
  out["method"] = {{"type", "supervised"}, {"supervised", {{"hyperparameters", settings}}}};
  out["user_provided_suffix"] = suffix.empty() ? Json() : Json(suffix);
  return out;
}

std::vector<Json> job_events(const JobState& job) {
  const Json& w = job.workspace;
  const std::string id = id_in(w), status = job_status(w), file = note(w, "training-file");
  const std::int64_t created = created_s(w);
  std::vector<Json> out{
      event(job, "a0", created, "info", "Fine-tuning job " + id + " was created"),
      event(job, "a1", created, "info", "Training file " + file + " is being checked"),
      event(job, "a2", created, "info", "Training file " + file + " is good; the job is queued")};
  if (const std::string why = waits_for(w); status == "queued" && !why.empty())
    out.push_back(event(job, "b0", created, "warn", "It waits: " + why));
  const Json& started = condition(w, "JobStarted");
  if (words(started, {"status"}) == "True")
    out.push_back(event(job, "c0", seconds_at(started, {"lastTransitionTime"}), "info",
                        "The training has started"));
  for (const Point& point : job.points) out.push_back(step_event(job, point));
  if (status == "succeeded") {
    out.push_back(
        event(job, "z0", finished_s(job), "info", "The fine-tuned model is " + model_name(w)));
    out.push_back(event(job, "z1", finished_s(job), "info", "The job is completed"));
  }
  if (status == "failed")
    out.push_back(event(job, "z1", finished_s(job), "error",
                        "The job has failed: " + words(failure_of(w), {"message"})));
  std::reverse(out.begin(), out.end());
  return out;
}
std::vector<Json> job_checkpoints(const JobState& job) {
  if (job_status(job.workspace) != "succeeded") return {};
  const std::int64_t told = count(job.workspace, {"status", "tuning", "totalSteps"});
  const bool has_points = !job.points.empty();
  const std::int64_t step = has_points ? job.points.back().step : told;
  const double loss = has_points ? job.points.back().loss
                      : in(job.workspace, {"status", "tuning", "loss"}).is_number()
                          ? in(job.workspace, {"status", "tuning", "loss"}).get<double>()
                          : 0;
  Json metrics = {{"step", step}, {"train_loss", short_number(loss)}};
  if (has_points) add_validation(metrics, job.points.back());
  return {{{"id", "ftckpt_" + tail_of(id_in(job.workspace))},
           {"object", "fine_tuning.job.checkpoint"},
           {"created_at", finished_s(job)},
           {"fine_tuned_model_checkpoint", model_name(job.workspace)},
           {"fine_tuning_job_id", id_in(job.workspace)},
           {"step_number", step},
           {"metrics", metrics}}};
}

Json model_json(const std::string& id, std::int64_t created, const std::string& owner) {
  return {{"id", id}, {"object", "model"}, {"created", created}, {"owned_by", owner}};
}
std::string result_csv(const std::vector<Point>& points) {
  std::string out = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n";
  for (const Point& point : points) {
    char line[64];
    std::snprintf(line, sizeof line, "%lld,%.6g,,", static_cast<long long>(point.step), point.loss);
    out += line;
    if (point.validation_loss > 0) {
      std::snprintf(line, sizeof line, "%.6g", point.validation_loss);
      out += line;
    }
    out += ",\n";
  }
  return out;
}
std::string result_file_id(const std::string& job_id) {
  return "file-r" + tail_of(job_id);
}
std::string job_of_result(const std::string& file_id) {
  const std::string begin = "file-r";
  return file_id.starts_with(begin) && file_id.size() == begin.size() + 24
             ? "ftjob-" + file_id.substr(begin.size())
             : "";
}
}  // namespace kairo::gateway
