// agents/gateway/job_objects.cpp - the objects, field by field.
#include "agents/gateway/job_objects.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "agents/cluster/kinds.h"
#include "schemas/base/digest.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::gateway {
namespace {
constexpr std::size_t id_characters = 24, name_max = 52;

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
Json resource_of(const Place& place) {
  Json out = {{"labelSelector", {{"matchLabels", {{"kubernetes.io/os", "linux"}}}}}};
  if (!place.instance_type.empty()) out["instanceType"] = place.instance_type;
  return out;
}
Json metadata_of(const Place& place, const std::string& name, const char* what) {
  return {{"name", name}, {"namespace", place.ns}, {"labels", {{label, what}}}};
}
cluster::Apply as_apply(const cluster::Kind& kind, const Json& object) {
  return {{kind, object["metadata"]["namespace"], object["metadata"]["name"]},
          dumped(object),
          manager,
          ""};
}
std::string number(double value) {
  std::ostringstream out;
  out << value;
  std::string text = out.str();
  // YAML 1.1 takes 2e-04 for a text: a number with an exponent has a point.
  const std::size_t e = text.find('e');
  if (e != std::string::npos && text.find('.') == std::string::npos) text.insert(e, ".0");
  return text;
}
// After every epoch, and at the end.
constexpr const char* evaluates = "\n    eval_strategy: epoch";
// The settings, in the trainer's terms; those of examples/quickstart but for what the job says.
std::string training_config(const NewJob& job) {
  const Resolved& s = job.settings;
  return "training_config:\n"
         "  QuantizationConfig:\n"
         "    load_in_4bit: true\n"
         "    bnb_4bit_quant_type: nf4\n"
         "    bnb_4bit_use_double_quant: true\n"
         "  LoraConfig:\n"
         "    r: 16\n"
         "    lora_alpha: 32\n"
         "    lora_dropout: 0.0\n"
         "    target_modules: all-linear\n"
         "  TrainingArguments:\n"
         "    num_train_epochs: " +
         std::to_string(s.n_epochs) +
         "\n    per_device_train_batch_size: " + std::to_string(s.batch_size) +
         "\n    learning_rate: " + number(base_learning_rate * s.learning_rate_multiplier) +
         "\n    lr_scheduler_type: linear\n"
         "    warmup_steps: 5\n"
         "    seed: " +
         std::to_string(job.seed) + (job.validation_url.empty() ? "" : evaluates) +
         "\n  DatasetConfig:\n" +
         (job.validation_url.empty() ? "    train_test_split: 1\n"
                                     : "    validation_file: validation.jsonl\n");
}
Json hyperparameters_text(const Hyperparameters& asked) {
  const auto either = [](const auto& value) { return value ? Json(*value) : Json("auto"); };
  return {{"n_epochs", either(asked.n_epochs)},
          {"batch_size", either(asked.batch_size)},
          {"learning_rate_multiplier", either(asked.learning_rate_multiplier)}};
}
// By which a job is found again.
Json identity_of(const NewJob& job) {
  Json out = {{"kairo.dev/openai-made-ms", std::to_string(job.made_ms)}};
  if (!job.request.metadata.is_null())
    out["kairo.dev/openai-metadata"] = dumped(job.request.metadata);
  if (!job.request_digest.empty()) out["kairo.dev/openai-request"] = job.request_digest;
  if (!job.owner.empty()) out["kairo.dev/openai-owner"] = job.owner;
  return out;
}
}  // namespace

bool is_job_id(const std::string& id) {
  const std::string begin = "ftjob-";
  return id.starts_with(begin) && id.size() == begin.size() + id_characters &&
         std::all_of(id.begin() + static_cast<std::ptrdiff_t>(begin.size()), id.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}
std::string job_image(const Place& place, const std::string& job_id) {
  return place.registry + "/" + job_id + ":1";
}

cluster::Apply job_workspace(const Place& place, const NewJob& job) {
  Json metadata = metadata_of(place, job.id, "job");
  Json notes = identity_of(job);
  notes["kairo.dev/openai-training-file"] = job.request.training_file;
  if (!job.request.validation_file.empty())
    notes["kairo.dev/openai-validation-file"] = job.request.validation_file;
  notes["kairo.dev/openai-seed"] = std::to_string(job.seed);
  notes["kairo.dev/openai-asked"] = dumped(hyperparameters_text(job.request.asked));
  notes["kairo.dev/openai-hyperparameters"] =
      dumped({{"n_epochs", job.settings.n_epochs},
              {"batch_size", job.settings.batch_size},
              {"learning_rate_multiplier", job.settings.learning_rate_multiplier}});
  if (!job.request.suffix.empty()) notes["kairo.dev/openai-suffix"] = job.request.suffix;
  metadata["annotations"] = std::move(notes);
  Json urls = Json::array({job.data_url});
  if (!job.validation_url.empty()) urls.push_back(job.validation_url);
  const Json object = {
      {"apiVersion", "kaito.sh/v1beta1"},
      {"kind", "Workspace"},
      {"metadata", metadata},
      {"resource", resource_of(place)},
      {"tuning",
       {{"preset", {{"name", job.request.model}}},
        {"method", "qlora"},
        {"config", job.id},
        {"input", {{"urls", urls}}},
        {"output",
         {{"image", job_image(place, job.id)}, {"imagePushSecret", place.registry_secret}}}}}};
  return as_apply(cluster::workspaces, object);
}
cluster::Apply job_settings(const Place& place, const NewJob& job) {
  const Json object = {{"apiVersion", "v1"},
                       {"kind", "ConfigMap"},
                       {"metadata", metadata_of(place, job.id, "settings")},
                       {"data", {{"training_config.yaml", training_config(job)}}}};
  return as_apply(cluster::config_maps, object);
}
cluster::Apply ended_job(const Place& place, const NewJob& job, const Json& answer,
                         const Json& events) {
  Json metadata = metadata_of(place, job.id, "ended");
  metadata["annotations"] = identity_of(job);
  metadata["annotations"]["kairo.dev/openai-ended"] = answer.value("status", "");
  const Json object = {{"apiVersion", "v1"},
                       {"kind", "ConfigMap"},
                       {"metadata", metadata},
                       {"data", {{"job.json", dumped(answer)}, {"events.json", dumped(events)}}}};
  return as_apply(cluster::config_maps, object);
}

std::string server_name(const std::string& preset) {
  std::string out = "openai-";
  for (const char c : preset) {
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool is_good = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    out += is_good ? lower : '-';
  }
  if (out.size() > name_max) out = out.substr(0, name_max - 9) + "-" + short_name(preset, 8);
  while (out.ends_with('-')) out.pop_back();
  return out;
}
std::string adapter_name(const std::string& job_id) {
  return job_id;
}
cluster::Apply server_workspace(const Place& place, const std::string& preset,
                                const std::vector<std::string>& job_ids, bool by_image) {
  Json inference = {{"preset", {{"name", preset}}}};
  Json metadata = metadata_of(place, server_name(preset), "server");
  std::string names;
  for (const std::string& id : job_ids) names += (names.empty() ? "" : ",") + adapter_name(id);
  if (!by_image && !names.empty()) metadata["annotations"]["kairo.dev/adapters-from"] = names;
  for (const std::string& id : by_image ? job_ids : std::vector<std::string>())
    inference["adapters"].push_back({{"source",
                                      {{"name", adapter_name(id)},
                                       {"image", job_image(place, id)},
                                       {"imagePullSecrets", Json::array({place.registry_secret})}}},
                                     {"strength", "1.0"}});
  const Json object = {{"apiVersion", "kaito.sh/v1beta1"},
                       {"kind", "Workspace"},
                       {"metadata", metadata},
                       {"resource", resource_of(place)},
                       {"inference", inference}};
  return as_apply(cluster::workspaces, object);
}
}  // namespace kairo::gateway
