// agents/launcher/plan_tuning.cpp - the tuning Job.
#include <algorithm>

#include "agents/cluster/kinds.h"
#include "agents/launcher/manifest.h"
#include "agents/launcher/run_volume.h"

namespace kairo::launcher {
namespace {
// Exit codes of kairo-tune: 2 = the input is wrong (trying again cannot help), 75 = stopped on
// request after a checkpoint (an eviction: not a failure).
const Json pod_failure_policy = {
    {"rules", Json::array({{{"action", "FailJob"},
                            {"onExitCodes", {{"operator", "In"}, {"values", Json::array({2})}}}},
                           {{"action", "Ignore"},
                            {"onExitCodes", {{"operator", "In"}, {"values", Json::array({75})}}}},
                           {{"action", "Ignore"},
                            {"onPodConditions", Json::array({{{"type", "DisruptionTarget"},
                                                              {"status", "True"}}})}}})}};

constexpr const char* copy_to = "/mnt/output";

Json config_map(const wire::CommandT& command, const std::string& method) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata",
           {{"name", template_name(method)},
            {"namespace", command.ns},
            {"labels", {{"kairo.dev/template", method}}}}},
          {"data", {{"training_config.yaml", template_text(method)}}}};
}

Json input_container(const wire::DataSourceT& input, const Settings& settings, Volumes& volumes) {
  if (!input.image.empty())
    return pull_container("data-puller", input, "/mnt/data", settings, volumes);
  std::string urls;
  for (const std::string& url : input.urls) urls += (urls.empty() ? "" : " ") + url;
  Json command = Json::array({"kairo", "fetch", "--to", "/mnt/data"});
  if (settings.allow_loopback) command.push_back("--allow-loopback");
  const auto is_of_gateway = [&](const std::string& url) {
    return !settings.gateway.empty() && url.starts_with(settings.gateway + "/");
  };
  if (std::any_of(input.urls.begin(), input.urls.end(), is_of_gateway))
    for (const std::string& word : {std::string("--gateway"), settings.gateway})
      command.push_back(word);
  // By environment as in KAITO, not as arguments: a URL may carry a token in its query.
  return {{"name", "data-downloader"},
          {"image", settings.image},
          {"command", command},
          {"env", Json::array({{{"name", "DATA_URLS"}, {"value", urls}}})},
          {"volumeMounts", Json::array()}};
}

Json trainer(const wire::CommandT& command, const wire::ApplyTuningT& apply,
             const Settings& settings, const Volumes& volumes) {
  const auto& tuning = *apply.workspace->tuning;
  Json arguments =
      Json::array({"kairo-tune", "train", "--model", "/workspace/weights", "--data", "/mnt/data",
                   "--config", "/mnt/config/training_config.yaml", "--output", "/mnt/results",
                   "--state", "/mnt/state", "--method", tuning.method, "--name", tuning.preset});
  const bool has_volume = !tuning.output->volume.empty();
  if (has_volume)
    for (const char* word : {"--copy-to", copy_to}) arguments.push_back(word);
  // Where a user's TensorBoard finds them, under the name that it shows.
  constexpr std::size_t shown = 12;
  arguments.push_back("--logs");
  arguments.push_back((has_volume ? copy_to : "/mnt/state") + ("/logs/" + command.ns) + "/" +
                      command.name + "/r" + command.revision.substr(0, shown));
  return {{"name", command.name},
          {"image", engine_image_for(*apply.resources, settings)},
          {"command", arguments},
          {"resources", room_of(*apply.resources)},
          {"volumeMounts", volumes.mounts}};
}
}  // namespace

Plan plan_tuning(const wire::CommandT& command, const Settings& settings) {
  const wire::ApplyTuningT& apply = *command.body.AsApplyTuning();
  const wire::WorkspaceT& w = *apply.workspace;
  const wire::RunDirT& run = *apply.run_dir;
  Plan out;
  out.shared = run_volume(command.ns, *apply.resources, run);
  std::string config = w.tuning->config;
  if (config.empty()) {
    config = template_name(w.tuning->method);
    out.shared.push_back(apply_of(cluster::config_maps, config_map(command, w.tuning->method)));
  }
  Volumes volumes;
  mount_run(volumes, run, "weights", "/workspace/weights", true);
  volumes.add("config-volume", {{"configMap", {{"name", config}}}}, "/mnt/config", true);
  mount_run(volumes, run, "state", "/mnt/state");
  // The adapter is made on the node, where the node agent checks it; a volume gets a copy of it.
  mount_run(volumes, run, "results", "/mnt/results");
  if (const std::string& to = w.tuning->output->volume; !to.empty())
    volumes.add("output-volume", Json::parse(to), copy_to);
  const std::string& from = w.tuning->input->volume;
  if (from.empty())
    mount_run(volumes, run, "data", "/mnt/data");
  else
    volumes.add("data-volume", Json::parse(from), "/mnt/data", true);
  const Json data_mount = volumes.mounts.back();

  Json spec = {{"restartPolicy", "Never"}, {"terminationGracePeriodSeconds", 60}};
  if (from.empty()) {
    Json input = input_container(*w.tuning->input, settings, volumes);
    input["volumeMounts"].push_back(data_mount);
    spec["initContainers"] = Json::array({input});
  }
  spec["containers"] = Json::array({trainer(command, apply, settings, volumes)});
  spec["volumes"] = volumes.list;
  place(spec, w, *apply.resources);
  restrict(spec);

  Json job = object_of(command, w, "batch/v1", "Job", command.name);
  note_place(job, w, *apply.resources);
  queue_up(job, w);
  job["spec"] = {{"backoffLimit", 6},
                 {"completions", 1},  // said, so that it is ours: somebody may edit it
                 {"parallelism", 1},
                 // Kueue lets it go, and takes it back; or the user does
                 {"suspend", !w.queue.empty() || runtime::is_paused(w)},
                 {"podReplacementPolicy", "Failed"},
                 {"podFailurePolicy", pod_failure_policy},
                 {"template", {{"metadata", pod_metadata(command, w)}, {"spec", spec}}}};
  out.own.push_back(apply_of(cluster::jobs, job));
  return out;
}

std::string template_name(const std::string& method) {
  return method + "-params-template";
}

// KAITO's defaults; what its template leaves to its libraries stands here too, so that a user reads
// in the ConfigMap what will happen.
std::string template_text(const std::string& method) {
  std::string text =
      "training_config:\n"
      "  ModelConfig:\n"
      "    torch_dtype: \"bfloat16\"\n"
      "    local_files_only: true\n"
      "    device_map: \"auto\"\n";
  text += method == "qlora" ? "  QuantizationConfig:\n"
                              "    load_in_4bit: true\n"
                              "    bnb_4bit_quant_type: \"nf4\"\n"
                              "    bnb_4bit_compute_dtype: \"bfloat16\"\n"
                              "    bnb_4bit_use_double_quant: true\n"
                            : "  QuantizationConfig:\n"
                              "    load_in_4bit: false\n";
  text +=
      "  LoraConfig:\n"
      "    r: 8\n"
      "    lora_alpha: 8\n"
      "    lora_dropout: 0.0\n"
      "  TrainingArguments:\n"
      "    output_dir: \"/mnt/results\"\n"
      "    ddp_find_unused_parameters: false\n"
      "    save_strategy: \"no\"\n"
      "    per_device_train_batch_size: 1\n"
      "  DataCollator:\n"
      "    mlm: true\n"
      "  DatasetConfig:\n"
      "    shuffle_dataset: true\n"
      "    train_test_split: 1\n";
  return text;
}
}  // namespace kairo::launcher
