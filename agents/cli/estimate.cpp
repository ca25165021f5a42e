// agents/cli/estimate.cpp - `kairo estimate`: the trainer's own estimate on the Workspace's own
// data.
#include "agents/provisioner/estimate.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agents/cli/cli.h"
#include "agents/cli/files.h"
#include "agents/cli/yaml.h"
#include "agents/launcher/plan.h"
#include "agents/transfer/fetch.h"

namespace kairo::cli {
namespace {
namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Scratch {  // a folder that goes away
  std::string path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "kairo-estimate-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path = name;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};
struct Job {
  std::string name, preset, method, config_name, config;
  std::vector<std::string> urls;
};
Result<Job> job_of(const std::vector<std::string>& files) {
  Job job;
  std::map<std::string, std::string> configs;
  for (const std::string& file : TRY(files_named(files))) {
    const std::string text = TRY(read_file(file));
    for (const std::string& document : TRY(yaml_to_json(text, file))) {
      const Json object = Json::parse(document);
      const Json::json_pointer yaml("/data/training_config.yaml");
      if (object.value("kind", "") == "ConfigMap" && object.contains(yaml))
        configs[object.value(Json::json_pointer("/metadata/name"), "")] =
            object[yaml].get<std::string>();
      if (object.value("kind", "") != "Workspace" || !object.contains("tuning")) continue;
      const Json& tuning = object["tuning"];
      job.name = object.value(Json::json_pointer("/metadata/name"), "");
      job.preset = tuning.value(Json::json_pointer("/preset/name"), "");
      job.method = tuning.value("method", "");
      job.config_name = tuning.value("config", "");
      const Json::json_pointer urls("/input/urls");
      if (tuning.contains(urls)) job.urls = tuning[urls].get<std::vector<std::string>>();
    }
  }
  if (job.name.empty())
    return Error{Code::invalid, "no tuning Workspace in the file; give it with -f"};
  if (job.config_name.empty()) {
    job.config = launcher::template_text(job.method);
  } else if (configs.contains(job.config_name)) {
    job.config = configs[job.config_name];
  } else {
    return Error{Code::not_found, "ConfigMap '" + job.config_name +
                                      "' specified in 'config' is not in the files; give its file "
                                      "with another -f"};
  }
  return job;
}
Status run(const std::vector<std::string>& argv) {
  const pid_t child = fork();
  if (child < 0) return Error{Code::unavailable, "fork failed"};
  if (child == 0) {
    std::vector<char*> raw;
    for (const std::string& arg : argv) raw.push_back(const_cast<char*>(arg.c_str()));
    raw.push_back(nullptr);
    execv(raw[0], raw.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) kill(child, SIGTERM);  // Ctrl-C
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ok();
  return Error{Code::invalid, "kairo-tune estimate failed (see above)"};
}
}  // namespace

Status estimate(Context& context, const std::vector<std::string>& files,
                const std::string& program_dir, const EstimateOptions& options) {
  const Job job = TRY(job_of(files));
  const auto* preset = catalogue::find_preset(job.preset);
  if (preset == nullptr)
    return Error{Code::invalid, "preset '" + job.preset + "' is not in the catalogue"};
  const std::string model = models_dir() + "/" + preset->name;
  if (!fs::exists(model + "/config.json")) {  // from the catalogue alone
    const bool on_cpu = options.device != "cuda" && options.gpu_memory.empty();
    const auto need = provisioner::tuning_need(*preset, job.method, on_cpu);
    return Error{Code::not_found,
                 job.preset + " needs about " + provisioner::gib(need.memory_bytes) +
                     (on_cpu ? " (" : " of a GPU (") + need.why +
                     "); tokens and time need its weights, which are not in " + model};
  }
  const Scratch scratch;
  if (scratch.path.empty())
    return Error{Code::unavailable, "no temporary folder can be made in " +
                                        fs::temp_directory_path().string() +
                                        "; make room there or set TMPDIR"};
  if (job.urls.empty())
    return Error{Code::invalid,
                 "estimate reads data sets given as urls; " + job.name + " has none"};
  transfer::FetchOptions fetch;
  fetch.urls = job.urls;
  fetch.to = scratch.path + "/data";
  fetch.allow_loopback = true;
  fetch.stop = &context.stop;
  TRY(transfer::fetch(fetch));
  std::ofstream(scratch.path + "/training_config.yaml") << job.config;
  std::vector<std::string> argv = {program_dir + "/kairo-tune",
                                   "estimate",
                                   "--model",
                                   model,
                                   "--data",
                                   fetch.to,
                                   "--config",
                                   scratch.path + "/training_config.yaml",
                                   "--method",
                                   job.method};
  for (const auto& [flag, value] :
       {std::pair{"--device", options.device}, std::pair{"--gpu-memory", options.gpu_memory}})
    if (!value.empty()) argv.insert(argv.end(), {flag, value});
  return run(argv);
}
}  // namespace kairo::cli
