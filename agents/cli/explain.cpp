// agents/cli/explain.cpp - `kairo explain`: what each field of a Workspace means, and completion.
#include <iostream>
#include <map>

#include "agents/cli/cli.h"

namespace kairo::cli {
namespace {
struct Field {
  const char *path, *type, *text;
};
constexpr Field fields[] = {
    {"workspace", "Workspace", "A model to tune or to serve. kaito.sh/v1beta1 (v1alpha1 too)."},
    {"workspace.resource", "ResourceSpec", "The machines."},
    {"workspace.resource.count", "integer", "Nodes; tuning takes 1. Default 1."},
    {"workspace.resource.instanceType", "string",
     "The cloud's SKU, e.g. Standard_NC24ads_A100_v4. Local mode ignores it: there is one "
     "machine."},
    {"workspace.resource.labelSelector", "LabelSelector",
     "Labels of the nodes to use (matchLabels). Required; local mode takes this machine."},
    {"workspace.tuning", "TuningSpec", "Fine-tune: one of tuning and inference."},
    {"workspace.tuning.preset.name", "string", "The model, e.g. smollm2-135m-instruct."},
    {"workspace.tuning.method", "string", "lora (16 or 32 bit base) or qlora (4 bit NF4 base)."},
    {"workspace.tuning.config", "string",
     "ConfigMap with key training_config.yaml; default <method>-params-template."},
    {"workspace.tuning.input", "DataSource",
     "The data set: exactly one of urls, image, volumeSource."},
    {"workspace.tuning.input.urls", "[]string",
     "http(s) URLs of .jsonl, .json, .csv or .parquet files."},
    {"workspace.tuning.input.image", "string", "An OCI image that holds the files under /data."},
    {"workspace.tuning.output", "DataDestination",
     "Where the adapter goes: exactly one of image, volumeSource."},
    {"workspace.tuning.output.image", "string", "The image to push, e.g. registry/team/adapter:1."},
    {"workspace.tuning.output.imagePushSecret", "string",
     "Secret (kubernetes.io/dockerconfigjson) with the registry's password. Required with image."},
    {"workspace.inference", "InferenceSpec", "Serve a model, with up to 10 adapters."},
    {"workspace.inference.preset.name", "string", "The model to serve."},
    {"workspace.inference.adapters", "[]AdapterSpec",
     "source.name (the model name that clients ask for), source.image, imagePullSecrets, "
     "strength."},
    {"workspace.status.state", "string",
     "Pending, Running, Succeeded, Failed (tuning); Pending, Ready, NotReady (inference)."},
    {"workspace.status.conditions", "[]Condition",
     "ResourceReady, JobStarted, InferenceReady, WorkspaceSucceeded: what it waits for, and why."},
    {"workspace.status.tuning", "TuningStatus",
     "phase, step, totalSteps, loss, tokensPerSecond, etaSeconds, attempt, resumedFromStep; rows "
     "that are trained on, heldOutRows, droppedRows, truncatedRows; evalLoss at evalStep, "
     "bestEvalLoss at bestStep."},
    {"workspace.status.artifact", "ArtifactStatus", "image, digest, sizeBytes of what was pushed."},
};
}  // namespace

Status explain(const std::string& wanted) {
  std::string path = wanted.empty() ? "workspace" : wanted;
  if (path == "wk" || path == "ws" || path == "workspaces") path = "workspace";
  const Field* found = nullptr;
  for (const Field& field : fields)
    if (path == field.path) found = &field;
  if (found == nullptr) {
    bool inner = false;
    for (const Field& field : fields)
      inner = inner || std::string(field.path).starts_with(path + ".");
    if (!inner)
      return Error{Code::not_found,
                   "no field \"" + path + "\"; start with `kairo explain workspace`"};
  }
  std::cout << "FIELD: " << path;
  if (found != nullptr) std::cout << "  <" << found->type << ">\n\n  " << found->text << "\n";
  std::string inner;
  for (const Field& field : fields) {
    const std::string name = field.path;
    if (!name.starts_with(path + ".")) continue;
    inner +=
        "  " + name.substr(path.size() + 1) + "\t<" + field.type + ">\n      " + field.text + "\n";
  }
  if (!inner.empty()) std::cout << "\nFIELDS:\n" << inner;
  return ok();
}
}  // namespace kairo::cli
