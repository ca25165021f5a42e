// agents/gateway/jobs_api.cpp - the calls, over the cluster's objects.
#include "agents/gateway/jobs_api.h"

#include <algorithm>
#include <map>
#include <random>

#include "agents/cluster/kinds.h"
#include "agents/gateway/job_view.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::gateway {
namespace {
constexpr std::int64_t retry_ms = 600'000, events_default = 20, checkpoints_default = 10,
                       page_max = 10'000;
constexpr std::size_t ended_events_max = 2'000;

std::string text_at(const Json& object, const char* path) {
  const Json::json_pointer at(path);
  return object.contains(at) && object.at(at).is_string() ? object.at(at).get<std::string>() : "";
}
std::int64_t ms_at(const Json& object, const char* path) {
  return std::atoll(text_at(object, path).c_str());
}
Refusal unknown_job(const std::string& id) {
  return no_such("fine-tuning job", id, "fine_tune_id", "fine_tune_not_found");
}
bool is_over(const std::string& status) {
  return status == "succeeded" || status == "failed" || status == "cancelled";
}
Json list_of(const std::string& text) {
  Json out = Json::parse(text, nullptr, false);
  return out.is_array() ? out : Json::array();
}
std::vector<Json> items(const Json& list) {
  return {list.begin(), list.end()};
}
// Whether a job has what the query's metadata asks for: metadata[k]=v; "metadata=null": none.
bool matches(const Json& metadata, const Query& query) {
  for (const auto& [key, value] : query) {
    if (key == "metadata" && value == "null" && !metadata.is_null()) return false;
    if (!key.starts_with("metadata[") || !key.ends_with(']')) continue;
    const std::string name = key.substr(9, key.size() - 10);
    if (!metadata.is_object() || metadata.value(name, Json()) != value) return false;
  }
  return true;
}
}  // namespace

std::string request_digest(const std::string& owner, const Json& body) {
  return sha256_hex(owner + "\n" +
                    nlohmann::json(body).dump(-1, ' ', false, Json::error_handler_t::replace))
      .substr(0, 32);
}

Answer<std::vector<JobsApi::Entry>> JobsApi::entries() {
  const std::string& ns = rules_.place.ns;
  const auto jobs = TRY(cluster_.list({cluster::workspaces, ns, std::string(label) + "=job"}));
  const auto ended = TRY(cluster_.list({cluster::config_maps, ns, std::string(label) + "=ended"}));
  std::map<std::string, Entry> by_id;
  const auto add = [&](const std::string& text, bool has_ended) {
    const Json object = Json::parse(text, nullptr, false);
    if (!object.is_object()) return;
    Entry entry;
    entry.id = text_at(object, "/metadata/name");
    entry.request_digest = text_at(object, "/metadata/annotations/kairo.dev~1openai-request");
    entry.owner = text_at(object, "/metadata/annotations/kairo.dev~1openai-owner");
    entry.made_ms = ms_at(object, "/metadata/annotations/kairo.dev~1openai-made-ms");
    if (entry.made_ms == 0) entry.made_ms = created_s(object) * 1000;
    entry.is_active = !has_ended && !is_over(job_status(object));
    const std::string metadata =
        text_at(object, "/metadata/annotations/kairo.dev~1openai-metadata");
    if (!metadata.empty()) entry.metadata = Json::parse(metadata, nullptr, false);
    if (is_job_id(entry.id)) by_id[entry.id] = std::move(entry);
  };
  for (const std::string& item : jobs.items) add(item, false);
  for (const std::string& item : ended.items) add(item, true);
  std::vector<Entry> out;
  for (auto& [id, entry] : by_id) out.push_back(std::move(entry));
  std::stable_sort(out.begin(), out.end(),
                   [](const Entry& a, const Entry& b) { return a.made_ms > b.made_ms; });
  return out;
}

Answer<JobsApi::Job> JobsApi::find(const std::string& id) {
  if (!is_job_id(id)) return unknown_job(id);
  const std::string& ns = rules_.place.ns;
  const auto map = cluster_.get({cluster::config_maps, ns, id});
  if (!map.ok() && map.error().code != Code::not_found) return map.error();
  if (map.ok()) {
    const Json object = Json::parse(map.value(), nullptr, false);
    if (text_at(object, "/metadata/labels/kairo.dev~1openai") == "ended") {
      Job out{Json::parse(text_at(object, "/data/job.json"), nullptr, false), {}, {}, {}};
      out.events = items(list_of(text_at(object, "/data/events.json")));
      if (out.json.is_object()) return out;
    }
  }
  const auto workspace = cluster_.get({cluster::workspaces, ns, id});
  if (!workspace.ok() && workspace.error().code == Code::not_found) return unknown_job(id);
  JobState state{Json::parse(TRY(workspace), nullptr, false), {}};
  if (text_at(state.workspace, "/metadata/labels/kairo.dev~1openai") != "job")
    return unknown_job(id);
  state.points = seen_.points(state.workspace);
  return Job{job_json(state, clock_.now_ms() / 1000), job_events(state), job_checkpoints(state),
             state.points};
}

Answer<Json> JobsApi::create(const Json& body, const std::string& owner, bool is_retry) {
  NewJob job;
  job.request = TRY(parse_job(body));
  job.request_digest = request_digest(owner, body);
  job.owner = owner;
  const std::scoped_lock lock(creating_);  // a retry may come while the first is being made
  const std::vector<Entry> others = TRY(entries());
  if (is_retry)
    for (const Entry& other : others)
      if (other.request_digest == job.request_digest && clock_.now_ms() - other.made_ms < retry_ms)
        return get(other.id);
  const StoredFile file = TRY(file_of("training_file", job.request.training_file));
  std::optional<StoredFile> validation;
  if (!job.request.validation_file.empty())
    validation = TRY(file_of("validation_file", job.request.validation_file));
  const auto active = std::count_if(others.begin(), others.end(), [&](const Entry& other) {
    return other.is_active && other.owner == owner;
  });
  if (active >= rules_.jobs_max)
    return Refusal{429,
                   std::to_string(active) +
                       " jobs of this key have not ended, which is the limit; "
                       "wait for one or cancel one",
                   "", "rate_limit_exceeded", "requests"};
  if (rules_.place.registry.empty())
    return Refusal{503, "this gateway has no registry for results: set openai-registry", "", "",
                   "server_error"};
  const auto* preset = catalogue::find_preset(job.request.model);
  job.id = "ftjob-" + random_word(24);
  job.made_ms = clock_.now_ms();
  job.settings = resolved(job.request.asked, file.rows.rows, preset->parameters);
  job.seed =
      job.request.seed.value_or(static_cast<std::int64_t>(std::random_device{}() & 0x7fffffffU));
  job.data_url = url_of(file, "rows.jsonl");
  if (validation) job.validation_url = url_of(*validation, "validation.jsonl");
  return start(job, file, validation);
}
Answer<StoredFile> JobsApi::file_of(const char* field, const std::string& id) {
  const auto file = files_.find(id);
  if (!file)
    return Refusal{
        400, std::string(field) + " " + id.substr(0, 100) + " does not exist; upload it first",
        field};
  if (file->purpose == "fine-tune") return *file;
  return Refusal{400,
                 std::string(field) + " " + file->id + " has the purpose " + file->purpose +
                     "; upload it with the purpose fine-tune",
                 field};
}
std::string JobsApi::url_of(const StoredFile& file, const char* name) const {
  return rules_.self_url + "/v1/files/" + file.id + "/" + name + "?token=" + file.token;
}
// The settings first: nothing may start with others. A file that cannot be trained makes a job that
// has failed, and no Workspace.
Answer<Json> JobsApi::start(const NewJob& job, const StoredFile& file,
                            const std::optional<StoredFile>& validation) {
  const Place& place = rules_.place;
  cluster::Apply workspace = job_workspace(place, job);
  JobState state{Json::parse(workspace.json), {}};
  state.workspace["metadata"]["creationTimestamp"] = rfc3339(job.made_ms);
  const Json answer = job_json(state, job.made_ms / 1000);
  FileFault fault = fault_of(file.rows, "supervised", "training", file.id);
  const char* param = "training_file";
  if (fault.code.empty() && validation) {
    fault = fault_of(validation->rows, "supervised", "validation", validation->id);
    param = "validation_file";
  }
  if (!fault.code.empty()) {
    Json failed = answer;
    failed["status"] = "failed";
    failed["finished_at"] = job.made_ms / 1000;
    failed["error"] = {{"code", fault.code}, {"message", fault.message}, {"param", param}};
    std::vector<Json> events = job_events(state);
    events.erase(events.begin());  // "is good"
    Json last = events.front();
    last["id"] = "ftevent-" + job.id.substr(6) + "-z1";
    last["level"] = "error";
    last["message"] = "The job has failed: " + fault.message;
    events.insert(events.begin(), last);
    TRY(cluster_.apply(ended_job(place, job, failed, events)));
    return answer;
  }
  TRY(cluster_.apply(job_settings(place, job)));
  const auto made = cluster_.create(workspace);
  if (!made.ok()) {
    (void)cluster_.remove({cluster::config_maps, place.ns, job.id}, "");
    return made.error();
  }
  log::info("a job is made", {{"job", job.id}, {"model", job.request.model}});
  state.workspace = Json::parse(made.value());
  return job_json(state, job.made_ms / 1000);
}

Answer<Json> JobsApi::get(const std::string& id) {
  return TRY(find(id)).json;
}
Answer<Json> JobsApi::list(const Query& query) {
  constexpr std::int64_t jobs_default = 20;
  std::vector<Json> ids;
  for (const Entry& entry : TRY(entries()))
    if (matches(entry.metadata, query)) ids.push_back({{"id", entry.id}});
  Json out = TRY(page(ids, query, jobs_default, page_max));
  Json data = Json::array();
  for (const Json& item : out["data"])
    if (auto job = find(item["id"]); job.ok()) data.push_back(job.value().json);  // or it has gone
  out["data"] = std::move(data);
  return out;
}
Answer<Json> JobsApi::events(const std::string& id, const Query& query) {
  return page(TRY(find(id)).events, query, events_default, page_max);
}
Answer<Json> JobsApi::checkpoints(const std::string& id, const Query& query) {
  return page(TRY(find(id)).checkpoints, query, checkpoints_default, page_max);
}

// What is known of the job is kept first: then its Workspace may go.
Answer<Json> JobsApi::cancel(const std::string& id) {
  Job job = TRY(find(id));
  const std::string status = job.json.value("status", "");
  const std::string& ns = rules_.place.ns;
  if (status == "cancelled") {
    TRY(cluster_.remove({cluster::workspaces, ns, id}, ""));
    return job.json;
  }
  if (is_over(status))
    return Refusal{400, "job " + id + " is " + status + " already: it cannot be cancelled"};
  const Json workspace =
      Json::parse(TRY(cluster_.get({cluster::workspaces, ns, id})), nullptr, false);
  const std::int64_t now_s = clock_.now_ms() / 1000;
  job.json["status"] = "cancelled";
  job.json["finished_at"] = now_s;
  job.json["estimated_finish"] = nullptr;
  Json last = job.events.back();
  last["id"] = "ftevent-" + id.substr(6) + "-z1";
  last["created_at"] = now_s;
  last["message"] = "The job is cancelled";
  job.events.insert(job.events.begin(), last);
  if (job.events.size() > ended_events_max) job.events.resize(ended_events_max);
  NewJob known;
  known.id = id;
  known.request_digest = text_at(workspace, "/metadata/annotations/kairo.dev~1openai-request");
  known.owner = text_at(workspace, "/metadata/annotations/kairo.dev~1openai-owner");
  known.made_ms = ms_at(workspace, "/metadata/annotations/kairo.dev~1openai-made-ms");
  known.request.metadata = job.json["metadata"];
  TRY(cluster_.apply(ended_job(rules_.place, known, job.json, job.events)));
  TRY(cluster_.remove({cluster::workspaces, ns, id}, text_at(workspace, "/metadata/uid")));
  log::info("a job is cancelled", {{"job", id}});
  return job.json;
}

Answer<Json> JobsApi::pause(const std::string& id, bool is_paused) {
  const Job job = TRY(find(id));
  const std::string status = job.json.value("status", "");
  const char* verb = is_paused ? "paused" : "resumed";
  if (is_over(status))
    return Refusal{400, "job " + id + " is " + status + " already: it cannot be " + verb};
  const Json patch = {
      {"metadata",
       {{"annotations", {{"kairo.dev/paused", is_paused ? Json("true") : Json(nullptr)}}}}}};
  const std::string now =
      TRY(cluster_.patch({{cluster::workspaces, rules_.place.ns, id}, patch.dump(), ""}));
  JobState state{Json::parse(now, nullptr, false), job.points};
  Json out = job_json(state, clock_.now_ms() / 1000);
  if (!is_paused) out["status"] = "queued";  // as OpenAI answers it
  return out;
}

Answer<Json> JobsApi::delete_model(const std::string& model) {
  for (const auto& [name, workspace] : *seen_.now()) {
    if (text_at(workspace, "/metadata/labels/kairo.dev~1openai") != "job" ||
        !has_model(workspace) || model_name(workspace) != model)
      continue;
    const Json patch = {{"metadata", {{"annotations", {{"kairo.dev/openai-deleted", "true"}}}}}};
    TRY(cluster_.patch({{cluster::workspaces, rules_.place.ns, name}, patch.dump(), ""}));
    return Json{{"id", model}, {"object", "model"}, {"deleted", true}};
  }
  return no_such("model", model, "model", "model_not_found");
}

Answer<std::vector<Json>> JobsApi::result_files() {
  std::vector<Json> out;
  for (const Entry& entry : TRY(entries())) {
    const auto job = find(entry.id);
    if (!job.ok() || job.value().json["result_files"].empty()) continue;
    out.push_back({{"id", result_file_id(entry.id)},
                   {"object", "file"},
                   {"bytes", result_csv(job.value().points).size()},
                   {"created_at", job.value().json["finished_at"]},
                   {"expires_at", nullptr},
                   {"filename", "step_metrics.csv"},
                   {"purpose", "fine-tune-results"},
                   {"status", "processed"},
                   {"status_details", nullptr}});
  }
  return out;
}
Answer<std::string> JobsApi::result(const std::string& file_id) {
  const std::string id = job_of_result(file_id);
  const auto job = find(id);
  if (!job.ok() || job.value().json["result_files"].empty()) return no_such("file", file_id);
  return result_csv(job.value().points);
}

void JobsApi::sweep() {
  const std::string& ns = rules_.place.ns;
  const auto ended = cluster_.list({cluster::config_maps, ns, std::string(label) + "=ended"});
  const auto settings = cluster_.list({cluster::config_maps, ns, std::string(label) + "=settings"});
  if (!ended.ok() || !settings.ok()) return;
  const auto seen = seen_.now();
  for (const std::string& item : ended.value().items) {
    const std::string id = text_at(Json::parse(item, nullptr, false), "/metadata/name");
    if (seen->contains(id)) (void)cluster_.remove({cluster::workspaces, ns, id}, "");
  }
  for (const std::string& item : settings.value().items) {
    const Json object = Json::parse(item, nullptr, false);
    const std::string id = text_at(object, "/metadata/name");
    const bool is_old = clock_.now_ms() - created_s(object) * 1000 > retry_ms;
    const auto job = cluster_.get({cluster::workspaces, ns, id});
    if (is_old && !job.ok() && job.error().code == Code::not_found)
      (void)cluster_.remove({cluster::config_maps, ns, id}, text_at(object, "/metadata/uid"));
  }
}
}  // namespace kairo::gateway
