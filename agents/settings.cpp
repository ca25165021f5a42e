// agents/settings.cpp - the table, and who of several counts.
#include "agents/settings.h"

#include <algorithm>
#include <charconv>

#include "schemas/base/bytes.h"
#include "schemas/yaml/yaml.h"

namespace kairo {
namespace {
std::string one_of_modes(const std::string& value) {
  const bool is_known = value == "local" || value == "kubeconfig" || value == "in-cluster";
  return is_known ? "" : "use local, kubeconfig or in-cluster";
}
std::string a_label(const std::string& value) {
  const bool is_label = value.size() <= 63 && !value.starts_with('-') && !value.ends_with('-') &&
                        std::all_of(value.begin(), value.end(), [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                        });
  return is_label ? "" : "use at most 63 of a-z, 0-9 and -, and no - at its ends";
}
std::string a_node_name(const std::string& value) {
  const bool is_name =
      value.size() <= 253 && std::all_of(value.begin(), value.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
      });
  return is_name ? "" : "use the Node's name as the cluster has it: a-z, 0-9, - and .";
}
std::string a_bus(const std::string& value) {
  if (!value.starts_with("nats://") && !value.starts_with("tls://"))
    return "use nats://HOST:PORT or tls://HOST:PORT";
  if (value.find('@') != std::string::npos)
    return "leave user and password out of it: bus-user, bus-password-file";
  return "";
}
std::string an_address(const std::string& value) {
  const std::size_t colon = value.rfind(':');
  int port = -1;
  const char* end = value.data() + value.size();
  if (colon != std::string::npos && colon > 0) {
    const auto read = std::from_chars(value.data() + colon + 1, end, port);
    if (read.ec != std::errc() || read.ptr != end) port = -1;
  }
  return port >= 0 && port <= 65535 ? "" : "use ADDRESS:PORT, as 0.0.0.0:8080; port 0 is any";
}
std::string a_replica_count(const std::string& value) {
  return value == "1" || value == "3" || value == "5" ? "" : "use 1, 3 or 5";
}
std::string a_job_count(const std::string& value) {
  const bool is_number =
      !value.empty() && value.size() < 7 &&
      std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? "" : "use a number up to 999999";
}
std::string a_provisioner(const std::string& value) {
  for (const char* known : {"own", "byo", "nodeclaim", "azure-gpu-provisioner", "karpenter"})
    if (value == known) return "";
  return "use own, nodeclaim or karpenter (or KAITO's byo, azure-gpu-provisioner, karpenter)";
}
std::string a_node_class(const std::string& value) {
  const std::size_t kind = value.find('/'), name = value.rfind('/');
  const bool is_one = kind != std::string::npos && kind > 0 && name > kind + 1 &&
                      name + 1 < value.size() && value.find('/', kind + 1) == name;
  return is_one ? "" : "use GROUP/KIND/NAME, as karpenter.k8s.aws/EC2NodeClass/default";
}
std::string a_span(const std::string& value) {
  const char* remedy = "use a number and s, m or h, as 10m; 0 is at once; or never";
  if (value == "never" || value == "0") return "";
  int number = 0;
  const char* end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, number);
  const bool has_unit = rest + 1 == end && (*rest == 's' || *rest == 'm' || *rest == 'h');
  return error == std::errc() && has_unit && number >= 0 && number <= 100'000 ? "" : remedy;
}
std::string a_choice_of_volumes(const std::string& value) {
  return value == "auto" || value == "never" || value == "always" ? ""
                                                                  : "use auto, never or always";
}
std::string a_level(const std::string& value) {
  const bool is_known =
      value == "debug" || value == "info" || value == "warn" || value == "error" || value == "off";
  return is_known ? "" : "use debug, info, warn, error or off";
}
std::string a_hub(const std::string& value) {
  if (value == "none") return "";
  if (value.find('@') != std::string::npos) return "leave the token out of it: hub-token-file";
  const bool is_url = value.starts_with("https://") || value.starts_with("http://");
  return is_url && value.find_first_of(" ?#") == std::string::npos
             ? ""
             : "use https://HOST, http://HOST or none";
}
std::string a_preset_registry(const std::string& value) {
  const bool is_prefix =
      value.find("://") == std::string::npos && value.find_first_of(" @?#") == std::string::npos;
  return is_prefix ? "" : "use HOST/PATH as images are named, or none";
}
std::string an_amount(const std::string& value) {
  return bytes_in(value) ? "" : "use an amount of bytes, as 200GiB or 50GB";
}
std::string absolute(const std::string& value) {
  return value.starts_with('/') ? "" : "use an absolute path";
}
std::string absolute_or_none(const std::string& value) {
  return value == "none" || value.starts_with('/') ? "" : "use an absolute path, or none";
}

// Levenshtein distance of short names.
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({changed, row[j + 1] + 1, row[j] + 1}));
    }
  }
  return row.back();
}
std::string near(const std::string& key) {
  std::string best, all;
  std::size_t least = std::max<std::size_t>(3, key.size() / 3);
  for (const Setting& setting : settings()) {
    const std::size_t distance = edits(key.substr(0, 64), setting.name);
    all += (all.empty() ? "" : ", ") + std::string(setting.name);
    if (distance >= least) continue;
    least = distance;
    best = setting.name;
  }
  return best.empty() ? "there are " + all : "did you mean " + best + "?";
}
const Setting* find(const std::string& name) {
  for (const Setting& setting : settings())
    if (setting.name == name) return &setting;
  return nullptr;
}
}  // namespace

const std::vector<Setting>& settings() {
  static const std::vector<Setting> table{
      {"config", "KAIRO_CONFIG", "none", "A YAML file with any of these settings"},
      {"mode", "KAIRO_MODE", "`kubeconfig` where `context` or `kubeconfig` is set, else `local`",
       "Which cluster: `local` (what `kairo up` runs), `kubeconfig` (as kubectl has it) or "
       "`in-cluster` (this pod's service account)",
       one_of_modes},
      {"home", "KAIRO_HOME", "`~/.local/share/kairo`", "Folder of the local kairo"},
      {"kubeconfig", "KAIRO_KUBECONFIG", "`$KUBECONFIG`, else `~/.kube/config`",
       "Kubeconfig files, separated by :"},
      {"context", "KAIRO_CONTEXT", "the current one", "Context of the kubeconfig"},
      {"node", "KAIRO_NODE", "none; needed by node and pusher in a cluster",
       "Name of the Node that an agent acts for", a_node_name},
      {"replica", "KAIRO_REPLICA", "none", "A name: one more of an agent here, which stands by",
       a_label},
      {"lease-namespace", "KAIRO_LEASE_NAMESPACE",
       "local: a lock in the home folder; else the pod's or the context's namespace, else "
       "`kairo-system`",
       "Where the Lease objects are by which processes of a role agree on one", a_label},
      {"state-dir", "KAIRO_STATE_DIR", "`/var/lib/kairo/state`, local: in the home folder",
       "Where each agent's store lies, in a folder of its name", absolute},
      {"runs-dir", "KAIRO_RUNS_DIR", "`/var/lib/kairo/runs`, local: in the home folder",
       "Run directories, on a node", absolute},
      {"models-dir", "KAIRO_MODELS",
       "`/var/lib/kairo/models`, local: `$KAIRO_CACHE/models`, else `~/.cache/kairo/models`",
       "Weights, on a node"},
      {"hub", "KAIRO_HUB", "`https://huggingface.co`",
       "Where weights come from that lie not in the models folder: a Hugging Face style hub, a "
       "mirror of it, or `none`",
       a_hub},
      {"hub-token-file", "KAIRO_HUB_TOKEN_FILE", "none",
       "File with a token of the hub, for Workspaces that name no modelAccessSecret", absolute},
      {"hub-ca-file", "KAIRO_HUB_CA_FILE", "the system's",
       "Who may sign the certificates of hub and preset registry (PEM)", absolute},
      {"preset-registry", "KAIRO_PRESET_REGISTRY", "`mcr.microsoft.com/aks/kaito`",
       "Where preset images are, as KAITO's PRESET_REGISTRY_NAME: asked before the hub for the "
       "presets that have one; or `none`",
       a_preset_registry},
      {"preset-registry-config", "KAIRO_PRESET_REGISTRY_CONFIG", "none",
       "Docker config file with its credentials", absolute},
      {"models-limit", "KAIRO_MODELS_LIMIT", "none",
       "Most bytes of all fetched models, as 200GiB: those used longest ago go", an_amount},
      {"models-keep-free", "KAIRO_MODELS_KEEP_FREE", "`2GiB`",
       "Bytes that a fetch leaves free on the disk of the models folder", an_amount},
      {"nvml", "KAIRO_NVML",
       "`libnvidia-ml.so.1` where the loader, the GPU operator or GKE have it",
       "NVIDIA's management library, by which the node agent sees its GPUs; or `none`",
       absolute_or_none},
      {"kernel-log", "KAIRO_KERNEL_LOG", "`/dev/kmsg`, where it may be read",
       "Where the node agent looks for the NVIDIA driver's errors besides the driver's own events: "
       "`/dev/kmsg`, a log file, or `none`",
       absolute_or_none},
      {"xid-table", "KAIRO_XID_TABLE", "none",
       "File that amends what the node agent makes of the NVIDIA driver's errors", absolute},
      {"bus-url", "KAIRO_BUS_URL", "`nats://kairo-nats:4222`, local: as `kairo up` chose it",
       "The NATS server", a_bus},
      {"bus-user", "KAIRO_BUS_USER", "the agent's name", "User there"},
      {"bus-password-file", "KAIRO_BUS_PASSWORD_FILE", "none, local: in the home folder",
       "File with its password"},
      {"bus-password", "KAIRO_BUS_PASSWORD", "none", "Its password, where no file can be had",
       nullptr, true},
      {"bus-ca-file", "KAIRO_BUS_CA_FILE", "the system's",
       "Who may sign its certificate (PEM), for a `tls://` address", absolute},
      {"bus-replicas", "KAIRO_BUS_REPLICAS", "as they are; new ones have 1",
       "On how many of its servers each stream lies; the watcher sees to it", a_replica_count},
      {"bus-cluster", "KAIRO_CLUSTER", "none",
       "Name of this cluster on a NATS account that several share", a_label},
      {"health-address", "KAIRO_HEALTH_ADDRESS", "`0.0.0.0:8080`, local: any port on loopback",
       "Where /healthz, /readyz and /metrics are", an_address},
      {"image", "KAIRO_IMAGE", "`kairo:` and this version",
       "Image of the pods' helpers, which the launcher names in them"},
      {"vllm-image", "KAIRO_VLLM_IMAGE", "`docker.io/vllm/vllm-openai:v0.25.1`",
       "Image of the server of models that kairo's engine does not serve on GPU nodes"},
      {"engine-image", "KAIRO_ENGINE_IMAGE", "`kairo-engine:` and this version",
       "Image of trainer and server"},
      {"cuda-engine-image", "KAIRO_CUDA_ENGINE_IMAGE", "`kairo-engine-cuda:` and this version",
       "The same for pods with a GPU: it holds NVIDIA's libraries too"},
      {"image-volumes", "KAIRO_IMAGE_VOLUMES", "`auto`",
       "Whether adapters that are images are mounted by the kubelet: `auto` (where Kubernetes is "
       "1.35 or newer, with containerd 2.1 or CRI-O 1.33), `always` (its gate ImageVolume has been "
       "switched on), or `never` (an init container pulls them); for the launcher",
       a_choice_of_volumes},
      {"node-provisioner", "KAIRO_NODE_PROVISIONER", "`own`",
       "Where nodes come from: `own` (they are there), `nodeclaim` (a NodeClaim for each) or "
       "`karpenter` (a NodePool for each); for watcher and provisioner",
       a_provisioner},
      {"node-class", "KAIRO_NODE_CLASS",
       "nodeclaim: `kaito.sh/KaitoNodeClass/default`, karpenter: "
       "`karpenter.azure.com/AKSNodeClass/image-family-ubuntu`",
       "The node class of nodes that are bought, as GROUP/KIND/NAME", a_node_class},
      {"release-after", "KAIRO_RELEASE_AFTER", "`10m`",
       "When a bought node is given back after its tuning has succeeded: a time, `0` (at once) or "
       "`never` (with the Workspace)",
       a_span},
      {"node-late-after", "KAIRO_NODE_LATE_AFTER", "`10m`",
       "How long a bought node may stay in one state until the status says what to look at",
       a_span},
      {"node-lost-after", "KAIRO_NODE_LOST_AFTER", "`30m`",
       "A bought node that is not Ready for so long is given up and another is bought; `never`: it "
       "is waited for",
       a_span},
      {"checkpoint-every", "KAIRO_CHECKPOINT_EVERY", "`5m`",
       "How often, at most, a run's newest checkpoint is pushed beside its adapter's place, for "
       "when its node is lost; for the pusher",
       a_span},
      {"openai-address", "KAIRO_OPENAI_ADDRESS", "`0.0.0.0:8081`, local: a port on loopback",
       "Where `kairo gateway` answers OpenAI's API", an_address},
      {"openai-keys-file", "KAIRO_OPENAI_KEYS_FILE", "none: everybody who reaches it may ask",
       "File of API keys, a line each; a word behind a key names whose it is", absolute},
      {"openai-namespace", "KAIRO_OPENAI_NAMESPACE", "`default`",
       "Namespace of the Workspaces that the gateway makes", a_label},
      {"openai-registry", "KAIRO_OPENAI_REGISTRY", "none, local: the registry of `kairo up`",
       "Where the adapters of the gateway's jobs go, as HOST/PATH", a_preset_registry},
      {"openai-registry-secret", "KAIRO_OPENAI_REGISTRY_SECRET",
       "none, local: `kairo-local-registry`", "Secret with which they are pushed and pulled",
       a_node_name},
      {"openai-instance-type", "KAIRO_OPENAI_INSTANCE_TYPE", "none: nodes that are there",
       "Machine type of the gateway's Workspaces"},
      {"openai-url", "KAIRO_OPENAI_URL", "the gateway's own on loopback",
       "By which address pods fetch the files that were uploaded; of the launcher too, "
       "which lets a data set of this very address be at a private one",
       a_hub},
      {"openai-files-limit", "KAIRO_OPENAI_FILES_LIMIT", "`50GiB`", "Most bytes of one key's files",
       an_amount},
      {"openai-jobs-limit", "KAIRO_OPENAI_JOBS_LIMIT", "`16`",
       "Most jobs of one key that have not ended", a_job_count},
      {"log", "KAIRO_LOG", "`info`", "What is logged: debug, info, warn, error, off", a_level},
  };
  return table;
}

const std::string& Settled::operator[](const std::string& name) const {
  static const std::string none;
  const auto found = given_.find(name);
  return found == given_.end() ? none : found->second.value;
}
Source Settled::source(const std::string& name) const {
  const auto found = given_.find(name);
  return found == given_.end() ? Source::nobody : found->second.source;
}
std::string Settled::where(const std::string& name) const {
  const auto found = given_.find(name);
  return found == given_.end() ? "" : found->second.where;
}
std::vector<std::pair<std::string, std::string>> Settled::spoken() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Setting& setting : settings()) {
    const auto found = given_.find(setting.name);
    if (found == given_.end()) continue;
    out.emplace_back(setting.name, (setting.is_secret ? "<hidden>" : found->second.value) + " (" +
                                       found->second.where + ")");
  }
  return out;
}
Error Settled::wrong(const std::string& name, const std::string& remedy) const {
  const Setting* setting = find(name);
  const bool is_secret = (setting != nullptr && setting->is_secret) ||
                         (*this)[name].find('@') != std::string::npos;  // of a URL with a password
  const std::string value = is_secret ? "is wrong" : "is \"" + (*this)[name] + "\"";
  return {Code::invalid, name + " " + value + " (" + where(name) + "); " + remedy};
}

struct Settling {  // puts what somebody says above what was said before
  Settled out;
  void say(const std::string& name, const std::string& value, Source source,
           const std::string& where) {
    if (!value.empty()) out.given_[name] = {value, where, source};
  }
  Status read(const SettingsFile& file) {
    const auto documents = TRY(yaml::read(file.text, file.path, yaml::Dialect::kubectl));
    if (documents.empty()) return ok();
    const yaml::Value& map = documents.front();
    if (documents.size() > 1 || map.kind != yaml::Value::Kind::map)
      return Error{Code::invalid, file.path + ": not one map of settings and values"};
    for (const yaml::Entry& entry : map.entries) {
      const std::string where = file.path + ":" + std::to_string(entry.line);
      if (find(entry.key) == nullptr)
        return Error{Code::invalid,
                     where + ": no setting is called \"" + entry.key + "\"; " + near(entry.key)};
      if (entry.key == "config")
        return Error{Code::invalid, where + ": config in the file that it names; remove it"};
      if (entry.value.kind == yaml::Value::Kind::list || entry.value.kind == yaml::Value::Kind::map)
        return Error{Code::invalid, where + ": " + entry.key + " is no single value; give one"};
      if (entry.value.kind != yaml::Value::Kind::null)
        say(entry.key, entry.value.text, Source::file, where);
    }
    return ok();
  }
};

Result<Settled> settle(const std::map<std::string, std::string>& flags,
                       const std::function<std::string(const std::string&)>& env,
                       const std::optional<SettingsFile>& file) {
  Settling settling;
  if (file) TRY(settling.read(*file));
  for (const Setting& setting : settings()) {
    settling.say(setting.name, env(setting.variable), Source::environment, setting.variable);
    if (const auto flag = flags.find(setting.name); flag != flags.end())
      settling.say(setting.name, flag->second, Source::flag, std::string("--") + setting.name);
  }
  for (const Setting& setting : settings()) {
    const std::string& value = settling.out[setting.name];
    if (value.empty() || setting.remedy == nullptr) continue;
    const std::string remedy = setting.remedy(value);
    if (!remedy.empty()) return settling.out.wrong(setting.name, remedy);
  }
  return settling.out;
}

std::string settings_table() {
  std::string out =
      "| key in the file | flag | environment | what | otherwise |\n|---|---|---|---|---|\n";
  for (const Setting& s : settings()) {
    const std::string name = s.name;
    out += "| " + (name == "config" ? "-" : "`" + name + "`") + " | " +
           (s.is_secret ? "-" : "`--" + name + "`") + " | `" + s.variable + "` | " + s.text +
           " | " + s.otherwise + " |\n";
  }
  return out;
}
}  // namespace kairo
