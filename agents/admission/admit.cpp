// agents/admission/admit.cpp - the rules for every Workspace (C1-C9), and the way to the others.
#include "agents/admission/admit.h"

#include <algorithm>

#include "agents/admission/admit_words.h"

namespace kairo::admission {
namespace {
void admit_annotations(Findings& out, const Json& before, const Json& after,
                       const AdmitContext& context, bool beta) {
  const Json& notes = field(field(after, "metadata"), "annotations");
  const Json& old_notes = field(field(before, "metadata"), "annotations");
  static const Json nothing;
  const auto value = [&](const char* key) -> const Json& {  // null: as it was
    return field(notes, key) == field(old_notes, key) ? nothing : field(notes, key);
  };
  const auto one_of = [](const std::string& text, const std::vector<std::string>& words) {
    return std::find(words.begin(), words.end(), text) != words.end();
  };
  if (const Json& image = value("kaito.sh/node-image-family"); image.is_string()) {
    std::string family = lower(image.get<std::string>());
    family.erase(0, family.find_first_not_of(" \t"));
    family.erase(family.find_last_not_of(" \t") + 1);
    if (!one_of(family, {"azurelinux", "ubuntu"}))
      out.invalid("unsupported node image family \"" + image.get<std::string>() +
                      "\", supported values are azurelinux, ubuntu",
                  "spec.metadata.annotations[\"kaito.sh/node-image-family\"]");
  }
  if (!beta) return;
  if (const Json& mode = value("kaito.sh/performance-mode");
      mode.is_string() && !one_of(mode, {"balanced", "interactivity", "throughput"}))
    out.invalid("\"" + mode.get<std::string>() +
                    "\" is not a valid performance mode; choose one of: balanced, "
                    "interactivity, throughput",
                "metadata.annotations[kaito.sh/performance-mode]");
  if (const Json& local = value("kaito.sh/use-local-weights");
      local.is_string() && !one_of(local, {"true", "false"}))
    out.invalid("\"" + local.get<std::string>() + "\" must be \"true\" or \"false\"",
                "metadata.annotations[kaito.sh/use-local-weights]");
  const std::string node_class = text_of(notes, "kaito.sh/node-class-name");
  const std::string old_class = text_of(old_notes, "kaito.sh/node-class-name");
  if (!node_class.empty() && node_class != old_class && !context.node_classes.empty() &&
      !one_of(node_class, context.node_classes)) {
    std::string allowed;
    for (const std::string& name : context.node_classes)
      allowed += (allowed.empty() ? "" : ", ") + name;
    out.invalid(node_class + " is not a KAITO-managed NodeClass, supported values are " + allowed,
                "metadata.annotations[kaito.sh/node-class-name]");
  }
}

void admit_create(Findings& out, const Json& w, const AdmitContext& context, bool beta) {
  const bool inference = field(w, "inference").is_object(), tuning = field(w, "tuning").is_object();
  if (!inference && !tuning)
    out.generic("Either Inference or Tuning must be specified, not neither", "spec");
  if (inference && tuning)
    out.generic("Either Inference or Tuning must be specified, but not both", "spec");
  const std::string instance = text_of(field(w, "resource"), "instanceType");
  if (beta && context.mode == NodeMode::byo && !instance.empty())
    out.invalid("instanceType must be empty when node auto-provisioning is disabled (BYO scenario)",
                "spec.resource.instanceType");
  if (beta && context.mode == NodeMode::auto_provisioning && instance.empty())
    out.missing(
        "spec.instanceType is required when node auto-provisioning is enabled, "
        "spec.resource.instanceType");
  admit_selector(out, field(w, "resource"));
  if (beta) admit_partition_form(out, field(w, "resource"));
  if (inference) {
    admit_new_inference(out, w, context, beta);
    admit_inference(out, w);
  }
  if (tuning) {
    admit_new_tuning(out, w, beta);
    admit_tuning(out, w, context);
  }
}
}  // namespace

std::vector<Violation> admit(const std::string& old_json, const std::string& new_json,
                             const AdmitContext& context) {
  const Json before = Json::parse(old_json, nullptr, false);
  const Json after = Json::parse(new_json, nullptr, false);
  const bool create = !before.is_object();
  const bool beta = text_of(after, "apiVersion") != "kaito.sh/v1alpha1";
  Findings out;
  const std::string name = wrong_with_label(text_of(field(after, "metadata"), "name"));
  if (create && !name.empty()) out.invalid(name, "name");
  admit_annotations(out, before, after, context, beta);
  if (create)
    admit_create(out, after, context, beta);
  else
    admit_update(out, before, after, context, beta);
  return out.take();
}

std::string refusal(const std::vector<Violation>& violations) {
  if (violations.empty()) return {};
  std::string out =
      "admission webhook \"validation.workspace.kaito.sh\" denied the request: "
      "validation failed: ";
  for (const Violation& violation : violations)
    out += (&violation == violations.data() ? "" : "\n") + violation.text;
  return out;
}
}  // namespace kairo::admission
