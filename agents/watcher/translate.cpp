// agents/watcher/translate.cpp - one function per kind; a field that is absent keeps its default.
#include "agents/watcher/translate.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/watcher/node_claim.h"
#include "agents/watcher/node_gpus.h"
#include "agents/watcher/revision.h"
#include "schemas/base/codec.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::watcher {
namespace {
using Json = nlohmann::json;

const Json& at(const Json& object, const char* key) {
  static const Json none;
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}
std::string text(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}
template <class N>
N number(const Json& object, const char* key, N otherwise = 0) {
  const Json& value = at(object, key);
  return value.is_number() ? value.get<N>() : otherwise;
}
std::string dump(const Json& value) {
  return value.is_null() ? "" : value.dump();
}
std::vector<std::string> texts(const Json& list) {
  std::vector<std::string> out;
  for (const Json& item : list)
    if (item.is_string()) out.push_back(item.get<std::string>());
  return out;
}
std::vector<std::unique_ptr<wire::LabelT>> labels(const Json& map) {
  std::vector<std::unique_ptr<wire::LabelT>> out;
  for (const auto& [key, value] : map.items()) {
    auto label = std::make_unique<wire::LabelT>();
    label->key = key;
    if (value.is_string()) label->value = value.get<std::string>();
    out.push_back(std::move(label));
  }
  return out;
}
// Kubernetes' quantities in the forms that nodes use: "2", "1500m", "24Gi", "16384Ki", "1e9".
std::int64_t quantity(const Json& value, std::int64_t unit) {
  if (value.is_number()) return static_cast<std::int64_t>(value.get<double>() * double(unit));
  if (!value.is_string()) return 0;
  const std::string s = value.get<std::string>();
  double n = 0;
  const auto [rest, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (error != std::errc()) return 0;
  const std::string suffix(rest, s.data() + s.size());
  static const std::map<std::string, double> factors{{"", 1},
                                                     {"m", 1e-3},
                                                     {"k", 1e3},
                                                     {"M", 1e6},
                                                     {"G", 1e9},
                                                     {"T", 1e12},
                                                     {"Ki", 1024.0},
                                                     {"Mi", 1048576.0},
                                                     {"Gi", 1073741824.0},
                                                     {"Ti", 1099511627776.0}};
  const auto factor = factors.find(suffix);
  return factor == factors.end() ? 0 : static_cast<std::int64_t>(n * factor->second * double(unit));
}

// Everybody behind us compares and looks up the catalogue's own spelling.
std::string preset_name(const Json& json) {
  const std::string written = text(at(json, "preset"), "name");
  const catalogue::Preset* preset = catalogue::find_preset(written);
  return preset == nullptr ? written : preset->name;
}
std::unique_ptr<wire::DataSourceT> source(const Json& json) {
  auto out = std::make_unique<wire::DataSourceT>();
  out->name = text(json, "name");
  out->urls = texts(at(json, "urls"));
  out->image = text(json, "image");
  out->image_pull_secrets = texts(at(json, "imagePullSecrets"));
  out->volume = dump(at(json, "volumeSource"));
  return out;
}
// A preset's options. As in KAITO the image of a private one counts alone.
template <class Wish>
void read_options(const Json& preset, Wish& out) {
  const Json& options = at(preset, "presetOptions");
  out.access_secret = text(options, "modelAccessSecret");
  if (text(preset, "accessMode") != "private") return;
  out.weights_image = text(options, "image");
  out.weights_secrets = texts(at(options, "imagePullSecrets"));
}
std::unique_ptr<wire::TuningT> tuning(const Json& json) {
  if (!json.is_object()) return nullptr;
  auto out = std::make_unique<wire::TuningT>();
  out->preset = preset_name(json);
  read_options(at(json, "preset"), *out);
  out->method = text(json, "method");
  for (char& c : out->method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  out->config = text(json, "config");
  out->input = source(at(json, "input"));
  const Json& to = at(json, "output");
  out->output = std::make_unique<wire::DataDestinationT>();
  out->output->image = text(to, "image");
  out->output->image_push_secret = text(to, "imagePushSecret");
  out->output->volume = dump(at(to, "volumeSource"));
  return out;
}
std::unique_ptr<wire::InferenceT> inference(const Json& json) {
  if (!json.is_object()) return nullptr;
  auto out = std::make_unique<wire::InferenceT>();
  out->preset = preset_name(json);
  read_options(at(json, "preset"), *out);
  out->config = text(json, "config");
  out->template_ = dump(at(json, "template"));
  for (const Json& container : at(at(at(json, "template"), "spec"), "containers"))
    out->template_gpus += static_cast<std::uint32_t>(
        quantity(at(at(at(container, "resources"), "limits"), "nvidia.com/gpu"), 1));
  for (const Json& item : at(json, "adapters")) {
    auto adapter = std::make_unique<wire::AdapterT>();
    adapter->source = source(at(item, "source"));
    adapter->strength = text(item, "strength");
    out->adapters.push_back(std::move(adapter));
  }
  return out;
}

// Labels of a selector: matchLabels, and In with one value. Admission lets no other form in.
Json selected(const Json& selector) {
  Json out = at(selector, "matchLabels");
  if (!out.is_object()) out = Json::object();
  for (const Json& e : at(selector, "matchExpressions"))
    if (text(e, "operator") == "In" && at(e, "values").size() == 1)
      out[text(e, "key")] = at(e, "values").front();
  return out;
}

void read_wishes(const Json& object, wire::WorkspaceT& out) {
  const Json& resource = at(object, "resource");
  out.count = number<std::uint32_t>(resource, "count", 1);
  out.instance_type = text(resource, "instanceType");
  out.match_labels = labels(selected(at(resource, "labelSelector")));
  out.grace_seconds = number<std::int64_t>(object, "terminationGracePeriodSeconds", -1);
  Json kept = Json::object();
  for (const auto& [key, value] : at(at(object, "metadata"), "annotations").items())
    if (key.starts_with("kaito.sh/") || key.starts_with("kairo.dev/") ||
        key.starts_with("workspace.kaito.io/"))
      kept[key] = value;
  out.annotations = labels(kept);
  const Json& worn = at(at(object, "metadata"), "labels");
  out.queue = text(worn, "kueue.x-k8s.io/queue-name");
  out.queue_priority = text(worn, "kueue.x-k8s.io/priority-class");
  out.tuning = tuning(at(object, "tuning"));
  out.inference = inference(at(object, "inference"));
}
// Of what the user wrote: without what the server and the agents add.
std::size_t size_of(const Json& object) {
  std::size_t out = 0;
  for (const auto& [key, value] : object.items())
    if (key == "metadata") {
      for (const auto& [name, part] : value.items())
        if (name != "managedFields") out += name.size() + part.dump().size() + 4;
    } else if (key != "status") {
      out += key.size() + value.dump().size() + 4;
    }
  return out;
}
// Never an error: a Workspace that cannot be worked on must hear why.
wire::WorkspaceT workspace(const Json& object) {
  wire::WorkspaceT out;
  const Json& meta = at(object, "metadata");
  out.generation = number<std::uint64_t>(meta, "generation", 1);
  out.deleting = at(meta, "deletionTimestamp").is_string();
  for (const Json& name : at(meta, "finalizers"))
    if (name.is_string()) out.finalizers.push_back(name.get<std::string>());
  for (const std::string& name : out.finalizers)
    out.finalized = out.finalized || name == "workspace.finalizer.kaito.sh";
  try {
    out.revision = revision_of_object(object);
    if (const std::size_t size = size_of(object); size > workspace_json_max) {
      out.problem = "the Workspace has " + std::to_string(size) + " bytes of JSON, at most " +
                    std::to_string(workspace_json_max) +
                    " can be worked on; shorten its labels, annotations or template";
      return out;
    }
    read_wishes(object, out);
  } catch (const Json::exception& error) {  // a number out of range and the like
    out.problem = std::string("the Workspace cannot be read: ") + error.what();
  }
  return out;
}

template <class Workload>
void read_workload(const Json& meta, Workload& out) {
  out.uid = text(meta, "uid");
  out.generation = number<std::uint64_t>(meta, "generation", 1);
  out.revision = text(at(meta, "annotations"), "kairo.dev/revision");
  out.place = text(at(meta, "annotations"), "kairo.dev/place");
  out.kaito_revision = text(at(meta, "annotations"), "workspace.kaito.io/revision");
}
// The owner that controls it; null = none.
const Json& controller_of(const Json& meta) {
  static const Json none;
  for (const Json& owner : at(meta, "ownerReferences"))
    if (at(owner, "controller") == true) return owner;
  return none;
}
wire::JobT job(const Json& object) {
  wire::JobT out;
  const Json& meta = at(object, "metadata");
  const Json& status = at(object, "status");
  read_workload(meta, out);
  out.suspended = at(at(object, "spec"), "suspend") == true;
  out.active = number<std::uint32_t>(status, "active");
  out.ready = number<std::uint32_t>(status, "ready");
  out.succeeded = number<std::uint32_t>(status, "succeeded");
  out.failed = number<std::uint32_t>(status, "failed");
  for (const Json& condition : at(status, "conditions")) {
    const std::string type = text(condition, "type");
    if (text(condition, "status") != "True" || (type != "Complete" && type != "Failed")) continue;
    out.finished = true;
    out.reason = text(condition, "reason");
    out.message = text(condition, "message");
  }
  return out;
}

// Why a pod waits or failed, in the order in which people want to know it.
void explain(const Json& status, wire::PodT& pod) {
  pod.reason = text(status, "reason");
  pod.message = text(status, "message");
  for (const Json& condition : at(status, "conditions"))
    if (text(condition, "type") == "PodScheduled" && text(condition, "status") == "False") {
      pod.reason = text(condition, "reason");
      pod.message = text(condition, "message");
    }
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (const Json& container : at(status, list)) {
      const Json& state = at(container, "state");
      const Json& ended = at(state, "terminated");
      const Json& waiting = at(state, "waiting");
      const bool failed = ended.is_object() && number<int>(ended, "exitCode") != 0;
      if (!failed && !waiting.is_object()) continue;
      const Json& why = failed ? ended : waiting;
      pod.container = text(container, "name");
      pod.reason = text(why, "reason");
      pod.message = text(why, "message");
      if (failed) pod.exit_code = number<int>(ended, "exitCode");
      if (failed) return;
      if (pod.reason != "CrashLoopBackOff") continue;
      const Json& last = at(at(container, "lastState"), "terminated");  // why it comes back
      pod.exit_code = number<int>(last, "exitCode");
      if (text(last, "reason") == "OOMKilled") pod.reason = "OOMKilled";
      if (const std::string words = text(last, "message"); !words.empty()) pod.message = words;
    }
}
wire::PodT pod(const Json& object) {
  wire::PodT out;
  out.name = text(at(object, "metadata"), "name");
  out.phase = text(at(object, "status"), "phase");
  out.node = text(at(object, "spec"), "nodeName");
  out.ip = text(at(object, "status"), "podIP");
  out.owner = text(controller_of(at(object, "metadata")), "uid");
  explain(at(object, "status"), out);
  return out;
}

wire::ServerT server(const Json& object) {
  wire::ServerT out;
  read_workload(at(object, "metadata"), out);
  out.replicas = number<std::uint32_t>(at(object, "spec"), "replicas", 1);
  out.ready_replicas = number<std::uint32_t>(at(object, "status"), "readyReplicas");
  out.address = text(at(at(object, "metadata"), "annotations"), "kairo.dev/local-address");
  out.weights = text(at(at(object, "metadata"), "annotations"), "kairo.dev/weights");
  return out;
}

wire::PartT part(const std::string& kind, const std::string& name) {
  wire::PartT out;
  out.kind = kind;
  out.name = name;
  return out;
}

std::vector<std::string> words(const std::string& text) {  // between commas
  std::vector<std::string> out;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t to = std::min(text.find(',', from), text.size());
    if (to > from) out.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return out;
}

wire::NodeT node(const Json& object) {
  wire::NodeT out;
  const Json& meta = at(object, "metadata");
  const Json& room = at(at(object, "status"), "allocatable");
  out.uid = text(meta, "uid");
  out.labels = labels(at(meta, "labels"));
  out.cpu_milli = quantity(at(room, "cpu"), 1000);
  out.memory_bytes = quantity(at(room, "memory"), 1);
  out.gpus = static_cast<std::uint32_t>(quantity(at(room, "nvidia.com/gpu"), 1));
  const Json& label = at(meta, "labels");
  out.gpu_product = text(label, "nvidia.com/gpu.product");
  out.gpu_memory_bytes = std::strtoll(text(label, "nvidia.com/gpu.memory").c_str(), nullptr, 10)
                         << 20;  // MiB
  out.local = text(label, "kairo.dev/local") == "true";
  for (const Json& condition : at(at(object, "status"), "conditions"))
    if (text(condition, "type") == "Ready") out.ready = text(condition, "status") == "True";
  out.models = words(text(at(meta, "annotations"), "kairo.dev/models"));
  for (const std::string& word : words(text(at(meta, "annotations"), "kairo.dev/model-bytes"))) {
    const std::size_t equals = word.rfind('=');
    if (equals == word.npos) continue;
    auto bytes = std::make_unique<wire::LabelT>();
    bytes->key = word.substr(0, equals);
    bytes->value = word.substr(equals + 1);
    out.model_bytes.push_back(std::move(bytes));
  }
  const Json& software = at(at(object, "status"), "nodeInfo");
  out.kubelet = text(software, "kubeletVersion");
  out.container_runtime = text(software, "containerRuntimeVersion");
  out.sources = words(text(at(meta, "annotations"), "kairo.dev/model-sources"));
  out.seen_gpus = node_gpus(text(at(meta, "annotations"), gpus_annotation));
  return out;
}

Result<wire::FactT> read(const cluster::Kind& kind, const Json& object, bool exists) {
  const Json& meta = at(object, "metadata");
  wire::FactT fact;
  fact.ns = text(meta, "namespace");
  fact.name = text(meta, "name");
  fact.uid = text(meta, "uid");
  const std::string rv = text(meta, "resourceVersion");
  std::uint64_t version = 0;
  std::from_chars(rv.data(), rv.data() + rv.size(), version);
  if (fact.name.empty() || fact.uid.empty() || version == 0)
    return Error{Code::invalid, kind.kind + ": metadata.name, uid or resourceVersion is missing"};
  const auto set = [&](auto body) {
    body.version = version;
    body.exists = exists;
    fact.body.Set(std::move(body));
  };
  if (kind.kind == "Workspace") {
    set(workspace(object));
    return fact;
  }
  if (kind.kind == "Node") {
    fact.uid = fact.name;
    set(node(object));
    return fact;
  }
  if (kind.group == cluster::node_claims.group) {
    set(node_claim(object, fact));
    if (fact.name.empty()) return Error{Code::not_found, kind.kind + " is for no Workspace"};
    return fact;
  }
  if (kind.kind == "Job") set(job(object));
  if (kind.kind == "Pod") set(pod(object));
  if (kind.kind == "StatefulSet") set(server(object));
  if (kind.kind == "Service" || kind.kind == "ConfigMap") set(part(kind.kind, fact.name));
  const Json& owner = controller_of(meta);
  const std::string by = text(owner, "kind");
  if (kind.kind == "ConfigMap") {
    fact.uid = fact.name = "";
  } else if (kind.kind == "Pod" && (by == "Job" || by == "StatefulSet")) {
    fact.uid = text(at(meta, "annotations"), "kairo.dev/workspace-uid");
    fact.name = text(owner, "name");
  } else if (kind.kind != "Pod" && by == "Workspace" &&
             text(owner, "apiVersion").starts_with("kaito.sh/")) {
    fact.uid = text(owner, "uid");
    fact.name = text(owner, "name");
  } else {
    fact.uid.clear();
  }
  if (fact.uid.empty() && kind.kind != "ConfigMap")
    return Error{Code::not_found,
                 kind.kind + " " + text(meta, "name") + " belongs to no Workspace"};
  if (fact.body.type == wire::FactBody::NONE)
    return Error{Code::not_found, kind.kind + " is not watched"};
  return fact;
}
}  // namespace

Result<wire::FactT> translate(const cluster::Kind& kind, const Json& object, bool exists) {
  if (!object.is_object()) return Error{Code::invalid, kind.kind + ": not a JSON object"};
  try {
    return read(kind, object, exists);
  } catch (const Json::exception& error) {  // a number out of range and the like
    return Error{Code::invalid, kind.kind + ": " + error.what()};
  }
}
}  // namespace kairo::watcher
