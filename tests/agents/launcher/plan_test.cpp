// What this proves: the manifests are the reviewed ones in golden/, byte for byte, and the same
// command gives the same bytes. After a wanted change: KAIRO_WRITE_GOLDEN=1, and read the diff.
#include "agents/launcher/plan.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/launcher/run_volume.h"
#include "agents/launcher/vllm_flags.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::launcher;
namespace {
std::string text_of(const Plan& plan) {
  std::string out;
  std::vector<cluster::Apply> all = plan.shared;
  all.insert(all.end(), plan.own.begin(), plan.own.end());
  for (const cluster::Apply& a : all)
    out += "# " + a.ref.kind.kind + " " + a.ref.ns + "/" + a.ref.name + " as " + a.manager + "\n" +
           nlohmann::json::parse(a.json).dump(2) + "\n";
  return out;
}
void same_as_golden(const std::string& name, const std::string& made) {
  const std::string file = std::string(KAIRO_SOURCE_DIR) + "/tests/agents/launcher/golden/" + name;
  if (std::getenv("KAIRO_WRITE_GOLDEN") != nullptr) std::ofstream(file) << made;
  std::ostringstream kept;
  kept << std::ifstream(file).rdbuf();
  CHECK(made == kept.str());
}
wire::ResourcesT room() {
  wire::ResourcesT out = test::ready(1);
  out.cpu_milli = 2000;
  out.memory_bytes = 1500LL << 20;
  out.memory_limit_bytes = 3000LL << 20;
  return out;
}
wire::CommandT tuning_command(const std::function<void(wire::WorkspaceT&)>& change = {}) {
  wire::ApplyTuningT apply;
  apply.workspace = std::make_unique<wire::WorkspaceT>(test::tuning(1));
  if (change) change(*apply.workspace);
  apply.resources = std::make_unique<wire::ResourcesT>(room());
  apply.run_dir = std::make_unique<wire::RunDirT>(test::run_dir(1));
  wire::CommandT out;
  out.uid = "uid-1";
  out.ns = "default";
  out.name = "tune-me";
  out.revision = "rev1";
  out.body.Set(std::move(apply));
  return out;
}
wire::CommandT serving_command() {
  wire::ApplyInferenceT apply;
  apply.workspace = std::make_unique<wire::WorkspaceT>(test::serving(1));
  auto adapter = std::make_unique<wire::AdapterT>();
  adapter->source = std::make_unique<wire::DataSourceT>();
  adapter->source->name = "pip";
  adapter->source->image = "localhost:5000/adapters/pip:1";
  adapter->source->image_pull_secrets = {"registry"};
  adapter->strength = "0.5";
  apply.workspace->inference->adapters.push_back(std::move(adapter));
  apply.resources = std::make_unique<wire::ResourcesT>(room());
  apply.run_dir = std::make_unique<wire::RunDirT>(test::run_dir(1));
  wire::CommandT out;
  out.uid = "uid-2";
  out.ns = "default";
  out.name = "serve-me";
  out.revision = "rev1";
  out.body.Set(std::move(apply));
  return out;
}
}  // namespace

TEST_CASE("tuning: a local machine, data by URL, KAITO's defaults for the method") {
  wire::CommandT command = tuning_command();
  command.body.AsApplyTuning()->resources->local = true;
  Settings settings;
  settings.allow_loopback = true;
  const std::string made = text_of(plan_tuning(command, settings));
  CHECK(made == text_of(plan_tuning(command, settings)));
  same_as_golden("tuning_local.txt", made);
}

TEST_CASE("tuning: only a data set of the cluster's gateway may be at a private address") {
  const auto fetches_by = [](const std::string& url, const std::string& gateway) {
    const wire::CommandT command =
        tuning_command([&](wire::WorkspaceT& w) { w.tuning->input->urls = {url}; });
    Settings settings;
    settings.gateway = gateway;
    const Json job = Json::parse(plan_tuning(command, settings).own.at(0).json);
    return job["spec"]["template"]["spec"]["initContainers"][0]["command"].dump();
  };
  const std::string gateway = "http://kairo-gateway.kairo-system.svc";
  const std::string plain = R"(["kairo","fetch","--to","/mnt/data"])";
  CHECK(fetches_by(gateway + "/v1/files/file-1/rows.jsonl?token=t", gateway) ==
        R"(["kairo","fetch","--to","/mnt/data","--gateway",")" + gateway + R"("])");
  CHECK(fetches_by("https://example.org/rows.jsonl", gateway) == plain);
  CHECK(fetches_by(gateway + ".example.org/rows.jsonl", gateway) == plain);
  CHECK(fetches_by(gateway + "@example.org/rows.jsonl", gateway) == plain);
  CHECK(fetches_by(gateway + "/v1/files/file-1/rows.jsonl", "") == plain);
}

TEST_CASE("tuning: KAITO's number of the revision; the first one's, while none is noted") {
  const auto number = [](const char* noted) {
    const wire::CommandT command = tuning_command([&](wire::WorkspaceT& w) {
      for (auto& annotation : w.annotations)
        if (annotation->key == "workspace.kaito.io/revision") annotation->value = noted;
      if (*noted == 0) w.annotations.clear();
    });
    const Json job = Json::parse(plan_tuning(command, {}).own.at(0).json);
    return job["metadata"]["annotations"]["workspace.kaito.io/revision"].get<std::string>();
  };
  CHECK(number("7") == "7");
  CHECK(number("") == "1");
}

TEST_CASE("tuning: a GPU node, data from an image, the result into a volume") {
  wire::CommandT command = tuning_command([](wire::WorkspaceT& w) {
    w.instance_type = "Standard_NC24ads_A100_v4";
    w.tuning->config = "mine";
    w.tuning->input->urls.clear();
    w.tuning->input->image = "example.org/data:1";
    w.tuning->input->image_pull_secrets = {"pull"};
    w.tuning->output->image.clear();
    w.tuning->output->image_push_secret.clear();
    w.tuning->output->volume = R"({"persistentVolumeClaim":{"claimName":"out"}})";
  });
  command.body.AsApplyTuning()->resources->gpus = 1;
  same_as_golden("tuning_gpu.txt", text_of(plan_tuning(command, {})));
}

TEST_CASE("serving: Services, StatefulSet, an adapter from an image") {
  same_as_golden("serving.txt", text_of(plan_inference(serving_command(), {})));
}

TEST_CASE("serving: adapters from images are mounted as they are, where the node can") {
  wire::CommandT command = serving_command();
  auto& apply = *command.body.AsApplyInference();
  for (const char* image : {"localhost:5000/adapters/pip:2", "example.org/a@sha256:1"}) {
    auto more = std::make_unique<wire::AdapterT>(*apply.workspace->inference->adapters.front());
    more->source->name = image[0] == 'l' ? "pop" : "pup";
    more->source->image = image;
    apply.workspace->inference->adapters.push_back(std::move(more));
  }
  apply.resources->image_volumes = true;
  same_as_golden("serving_image_volumes.txt", text_of(plan_inference(command, {})));
}
TEST_CASE("serving: whether adapters are image volumes") {
  struct Row {
    const char* name;
    ImageVolumes told;
    bool node_can, local, mounted;
  };
  using enum ImageVolumes;
  for (const Row& row :
       std::initializer_list<Row>{{"the node can", by_node, true, false, true},
                                  {"it cannot", by_node, false, false, false},
                                  {"never", never, true, false, false},
                                  {"the gate is on", always, false, false, true},
                                  {"local mode has no kubelet", always, true, true, false}}) {
    CAPTURE(row.name);
    wire::CommandT command = serving_command();
    auto& resources = *command.body.AsApplyInference()->resources;
    resources.image_volumes = row.node_can;
    resources.local = row.local;
    Settings settings;
    settings.image_volumes = row.told;
    const auto set = nlohmann::json::parse(plan_inference(command, settings).own.back().json);
    const nlohmann::json& spec = set["spec"]["template"]["spec"];
    CHECK(spec["volumes"].back().contains("image") == row.mounted);
    CHECK(spec.contains("initContainers") != row.mounted);
    CHECK(spec.contains("imagePullSecrets") == row.mounted);
    CHECK(spec["containers"][0]["command"].back() == "pip=/mnt/adapter/pip:0.5");
  }
}

TEST_CASE("tuning: a Job for Kueue's queue is made suspended, with its labels") {
  const wire::CommandT command = tuning_command([](wire::WorkspaceT& w) {
    w.queue = "team-a";
    w.queue_priority = "high";
  });
  const auto job = nlohmann::json::parse(plan_tuning(command, {}).own.front().json);
  CHECK(job["spec"]["suspend"] == true);
  CHECK(job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a");
  CHECK(job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "high");
  CHECK_FALSE(job["spec"]["template"]["metadata"]["labels"].contains("kueue.x-k8s.io/queue-name"));
}

TEST_CASE("a volume's name: of one namespace and one node, and never too long") {
  const auto names = [](const std::string& ns, const std::string& node) {
    wire::ResourcesT resources = room();
    resources.hostname = "h";
    wire::RunDirT dir = test::run_dir(1);
    dir.node = node;
    const auto made = run_volume(ns, resources, dir);
    return made.front().ref.name + " " + made.back().ref.name;
  };
  CHECK(names("a", "n") == "kairo-runs.a.n kairo-runs-n");
  CHECK(names("a", "b.n") != names("a.b", "n"));
  const std::string longest(253, 'n');
  CHECK(claim_name(longest).size() == 253);
  CHECK(claim_name(longest) != claim_name(longest.substr(1) + "m"));
}

TEST_CASE("serving: vLLM, for a family without an engine of ours, with the user's flags last") {
  wire::CommandT command = serving_command();
  auto& apply = *command.body.AsApplyInference();
  apply.workspace->inference->preset = "phi-4";
  apply.resources->runtime = "vllm";
  apply.resources->gpus = 2;
  same_as_golden("serving_vllm.txt",
                 text_of(plan_inference(command, {}, {"--max-model-len", "4096"})));
}

TEST_CASE("serving: one model on two nodes, by vLLM with Ray") {
  wire::CommandT command = serving_command();
  auto& apply = *command.body.AsApplyInference();
  apply.workspace->inference->preset = "llama-3.3-70b-instruct";
  apply.workspace->count = 2;
  apply.resources->runtime = "vllm";
  apply.resources->gpus = apply.resources->target = 2;
  apply.resources->nodes = {"n1", "n2"};
  apply.resources->places = {"n1/uid-n1", "n2/uid-n2"};
  apply.resources->hostnames = {"h1", "h2"};
  wire::RunDirT second = test::run_dir(1);
  second.node = "n2";
  second.place = "n2/uid-n2";
  second.volume = "/elsewhere/default";
  second.path = "/elsewhere/default/u1/rev1";
  apply.peers.push_back(std::make_unique<wire::RunDirT>(std::move(second)));
  same_as_golden("serving_spread.txt",
                 text_of(plan_inference(command, {}, {"--max-model-len", "4096"})));
}

TEST_CASE("serving: the user's own pod, on two nodes: one a node") {
  wire::CommandT command = serving_command();
  auto& apply = *command.body.AsApplyInference();
  apply.workspace->inference->adapters.clear();
  apply.workspace->inference->template_ = R"({"spec":{"containers":[{"name":"own"}]}})";
  apply.resources->runtime = "template";
  apply.resources->nodes = {"n1", "n2"};
  apply.resources->hostnames = {"n1", "n2"};
  apply.run_dir.reset();
  const auto set = nlohmann::json::parse(plan_inference(command, {}).own.back().json);
  CHECK(set["spec"]["replicas"] == 2);
  CHECK_FALSE(set["spec"].contains("volumeClaimTemplates"));
  const auto& apart = set["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
                         ["requiredDuringSchedulingIgnoredDuringExecution"][0];
  CHECK(apart["topologyKey"] == "kubernetes.io/hostname");
  CHECK(apart["labelSelector"]["matchLabels"]["kaito.sh/workspace"] == "serve-me");
}

TEST_CASE("serving: the user's own pod, with our labels, place and Services") {
  wire::CommandT command = serving_command();
  auto& apply = *command.body.AsApplyInference();
  apply.workspace->inference->preset.clear();
  apply.workspace->inference->adapters.clear();
  apply.workspace->inference->template_ =
      R"({"metadata":{"labels":{"mine":"yes"}},"spec":{"containers":[{"name":"own","image":"o:1"}],)"
      R"("tolerations":[{"key":"mine","operator":"Exists"}]}})";
  apply.run_dir.reset();
  same_as_golden("serving_template.txt", text_of(plan_inference(command, {})));
}

TEST_CASE("serving: flags of vLLM from a ConfigMap") {
  const auto flags = [](const std::string& yaml) {
    const nlohmann::json map = {{"data", {{"inference_config.yaml", yaml}}}};
    const auto read = vllm_flags(map.dump(), "mine");
    std::string out = read.ok() ? "" : read.error().what;
    if (read.ok())
      for (const std::string& word : read.value()) out += (out.empty() ? "" : " ") + word;
    return out;
  };
  const std::string head = "ConfigMap 'mine' specified in 'inference.config': ";
  CHECK(flags("vllm:\n  max_model_len: 4096\n  enforce-eager: true\n  trust-remote-code: false\n"
              "  swap-space: 1.5\n  seed:\n  override: {a: [1]}\n") ==
        "--max-model-len 4096 --enforce-eager --no-trust-remote-code --swap-space 1.5 "
        "--override {\"a\":[1]}");
  CHECK(flags("max_probe_steps: 6\n").empty());
  CHECK(flags("vllm: 3\n") == head + "'vllm' is not a map of flags");
  CHECK(flags("vllm: {port: 80}\n") == head + "'vllm.port' is kairo's own to set; take it out");
  CHECK(flags("vllm: {'a b': 80}\n") == head + "'vllm.a b' is not the name of a flag");
  CHECK(flags("vllm: [\n").starts_with(head + "inference_config.yaml:"));
  CHECK(vllm_flags("{}", "mine").error().what == head + "it has no key inference_config.yaml");
}

TEST_CASE("serving: what kairo's own engine takes of a ConfigMap for vLLM") {
  const auto words = [](const std::string& yaml, bool is_local = false) {
    const nlohmann::json map = {{"data", {{"inference_config.yaml", yaml}}}};
    const auto read = native_words(map.dump(), "mine", is_local);
    std::string out = read.ok() ? "" : read.error().what;
    if (read.ok())
      for (const std::string& word : read.value()) out += (out.empty() ? "" : " ") + word;
    return out;
  };
  CHECK(words("vllm: {max-model-len: 4096}\n").empty());
  CHECK(words("max_probe_steps: 6\n").empty());
  CHECK(words("vllm: {quantization: }\n").empty());
  CHECK(words("vllm: {quantization: bitsandbytes, load-format: bitsandbytes}\n") ==
        "--weights nf4");
  CHECK(words("vllm: {quantization: bitsandbytes}\n", true) == "--weights nf4");
  CHECK(words("vllm: {max-model-len: 4096}\n", true) ==
        "ConfigMap 'mine' specified in 'inference.config': 'vllm.max-model-len' is a setting of "
        "vLLM, which does not run in local mode; of these kairo-serve reads 'quantization'; take "
        "it out");
  CHECK(words("vllm: {quantization: fp8}\n") ==
        "ConfigMap 'mine' specified in 'inference.config': 'vllm.quantization' is \"fp8\": kairo's "
        "own engine, which serves this model, has bitsandbytes (NF4), or weights as they are "
        "stored; take it out");
  CHECK(words("vllm: 3\n") ==
        "ConfigMap 'mine' specified in 'inference.config': 'vllm' is not a map of flags");
}

TEST_CASE("serving: the StatefulSet notes how weights are quantised") {
  const auto note = [](const std::string& blocks, const std::vector<std::string>& words) {
    wire::CommandT command = serving_command();
    command.body.AsApplyInference()->run_dir->blocks = blocks;
    const auto set = nlohmann::json::parse(plan_inference(command, {}, words).own.back().json);
    CHECK(set["spec"]["template"]["spec"]["containers"][0]["command"].back() ==
          (words.empty() ? "pip=/mnt/adapter/pip:0.5" : words.back()));
    return set["metadata"]["annotations"].value("kairo.dev/weights", "none");
  };
  CHECK(note("", {}) == "none");
  CHECK(note("Q4_1, Q8_0", {}) == "Q4_1, Q8_0");
  CHECK(note("", {"--weights", "nf4"}) == "NF4");
  CHECK(note("Q4_1, Q8_0", {"--weights", "nf4"}) == "NF4");
}

TEST_CASE("serving: vLLM is never given weights that kairo's own engine alone reads") {
  wire::CommandT command = serving_command();
  auto& apply = *command.body.AsApplyInference();
  apply.run_dir->blocks = "Q4_1, Q8_0";
  CHECK(check_weights(apply).ok());
  apply.resources->runtime = "vllm";
  const Status refused = check_weights(apply);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::conflict);
  CHECK(refused.error().what ==
        "vLLM serves this model on node n1, and the weights of preset 'smollm2-135m-instruct' "
        "there are a GGUF's blocks (Q4_1, Q8_0), which kairo's own engine alone reads: put the "
        "model's own files into the models folder, or import with kairo-tune import --as f32; then "
        "make the workspace anew");
  apply.run_dir->blocks.clear();
  CHECK(check_weights(apply).ok());
  apply.peers.push_back(std::make_unique<wire::RunDirT>(test::run_dir(1)));
  apply.peers[0]->blocks = "Q4_K";
  apply.peers[0]->node = "n2";
  CHECK(check_weights(apply).error().what.starts_with("vLLM serves this model on node n2"));
}

TEST_CASE("serving: the time that a server may take to end is its user's") {
  for (const std::int64_t seconds : {0, 300}) {
    wire::CommandT command = serving_command();
    command.body.AsApplyInference()->workspace->grace_seconds = seconds;
    const std::string wanted =
        "\"terminationGracePeriodSeconds\": " + std::to_string(seconds) + ",";
    CHECK(text_of(plan_inference(command, {})).find(wanted) != std::string::npos);
  }
}
