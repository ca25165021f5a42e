// agents/admission/admit_inference.cpp - rules I1-I8 and those of R that need no other object.
#include <cstdlib>
#include <set>

#include "agents/admission/admit_words.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::admission {
namespace {
const std::set<std::string> reserved_labels{"kaito.sh/workspace",
                                            "kaito.sh/workspacenamespace",
                                            "kaito.sh/ragengine",
                                            "kaito.sh/ragenginenamespace",
                                            "karpenter.kaito.sh/workspace-name",
                                            "karpenter.kaito.sh/workspace-namespace",
                                            "karpenter.kaito.sh/inferenceset",
                                            "karpenter.kaito.sh/inferenceset-namespace"};

void admit_resource(Findings& out, const Json& w, const AdmitContext& context, bool beta) {
  const Json& resource = field(w, "resource");
  const Json& selector = field(resource, "labelSelector");
  if (const Json map = selector_map(selector); map.is_string())
    out.invalid(map.get<std::string>(), "labelSelector");
  const Json& labels = field(selector, "matchLabels");
  bool all_reserved = labels.is_object() && !labels.empty();
  for (const auto& [key, value] : labels.items())
    all_reserved = all_reserved && reserved_labels.contains(key);
  if (all_reserved)
    out.invalid("matchLabels must contain at least one non-reserved label", "labelSelector");
  const std::string instance = text_of(resource, "instanceType");
  const bool azure_like = instance.starts_with("Standard_N") || instance.starts_with("Standard_D");
  if (context.mode == NodeMode::auto_provisioning && !instance.empty() && !azure_like &&
      catalogue::find_sku(instance) == nullptr) {
    std::string known;
    for (const auto& sku : catalogue::skus()) known += (known.empty() ? "" : ", ") + sku.name;
    out.invalid("Unsupported instance type " + instance + ". Supported SKUs: " + known,
                "instanceType");
  }
  const Json& partition = field(resource, "partition");
  if (!beta || !partition.is_object()) return;
  if (context.mode == NodeMode::auto_provisioning)
    out.invalid(
        "GPU partitioning is only supported with BYO nodes "
        "(disableNodeAutoProvisioning=true)",
        "partition");
  else if (text_of(partition, "mode") == "mig")
    out.invalid("MIG support is not enabled, set feature gate enableMIG=true", "partition.mode");
  else
    out.invalid(
        "accelerator partition support is not enabled, set feature gate "
        "enableAccelerator=true",
        "partition.mode");
}
bool is_strength(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && value >= 0 && value <= 1;
}
void admit_adapter(Findings& out, const Json& adapter) {
  const Json& source = field(adapter, "source");
  if (!source.is_object()) return out.missing("Source");
  const std::string name = text_of(source, "name"), image = text_of(source, "image");
  if (!is_dns_subdomain(name))
    out.invalid("adapter source name must be a DNS-1123 subdomain: '" + name + "'",
                "adapters.source.name");
  if (image.empty() && !field(source, "volumeSource").is_object())
    out.missing("Either Image or Volume must be specified");
  if (!image.empty() && !is_image_reference(image))
    out.invalid("Unable to parse input image reference: " + image, "Image");
  if (!field(source, "urls").empty()) out.invalid("URLs are not supported for adapters", "URLs");
  const Json& strength = field(adapter, "strength");
  if (strength.is_string() && !is_strength(strength.get<std::string>()))
    out.invalid("Invalid strength value for Adapter '" + name + "': must be between 0 and 1, got " +
                    strength.get<std::string>(),
                "strength");
}
}  // namespace

Json selector_map(const Json& selector) {
  const std::string format = " cannot be converted into the old label selector format";
  Json map = Json::object();
  for (const auto& [key, value] : field(selector, "matchLabels").items()) map[key] = value;
  for (const Json& e : field(selector, "matchExpressions")) {
    const std::string op = text_of(e, "operator"), quoted = "\"" + op + "\"";
    if (op == "NotIn" || op == "Exists" || op == "DoesNotExist")
      return "operator " + quoted + format;
    if (op != "In") return quoted + " is not a valid selector operator";
    const Json& values = field(e, "values");
    if (values.size() != 1) return "operator " + quoted + " without a single value" + format;
    map[text_of(e, "key")] = values.front();
  }
  return map;
}

void admit_local(Findings& out, const Json& before, const Json& inference) {
  const auto is_new = [&](const Json& was, const Json& is) {
    return !is.is_null() && is != "" && is != was;
  };
  const bool has_preset = field(inference, "preset").is_object();
  if (!has_preset && is_new(field(before, "template"), field(inference, "template")))
    out.invalid(
        "pod templates are not run in local mode; name a model in inference.preset.name instead, "
        "e.g. smollm2-135m-instruct",
        "template");
  if (const Json& config = field(inference, "config"); is_new(field(before, "config"), config))
    out.invalid("'" + text_of(inference, "config") +
                    "' holds settings of vLLM, which kairo-serve does not read; leave it out",
                "config");
  const auto secret = [](const Json& of) -> const Json& {
    return field(field(field(of, "preset"), "presetOptions"), "modelAccessSecret");
  };
  if (is_new(secret(before), secret(inference)))
    out.invalid(
        "'" + text_of(field(field(inference, "preset"), "presetOptions"), "modelAccessSecret") +
            "' is not used in local mode, which downloads no model: put the weights into "
            "the models folder and leave it out",
        "modelAccessSecret");
}

// KAITO checks adapters deeply on update only and calls the create side unfinished: kairo does
// both.
void admit_adapters(Findings& out, const Json& inference, bool deep) {
  const Json& adapters = field(inference, "adapters");
  if (adapters.size() > 10)
    out.generic("Number of Adapters exceeds the maximum limit, maximum of 10 allowed", {""});
  std::set<std::string> names;
  for (const Json& adapter : adapters) {
    const std::string name = text_of(field(adapter, "source"), "name");
    if (!names.insert(name).second)
      out.generic("Duplicate adapter source name found: " + name, {"adapters"});
    if (deep) admit_adapter(out, adapter);
  }
}

void admit_inference(Findings& out, const Json& workspace, const AdmitContext& context, bool beta) {
  const Json& inference = field(workspace, "inference");
  admit_resource(out, workspace, context, beta);
  const Json& preset = field(inference, "preset");
  const bool has_template = field(inference, "template").is_object();
  if (!preset.is_object() && !has_template) out.missing("Preset or Template must be specified");
  if (preset.is_object() && has_template)
    out.generic("Preset and Template cannot be set at the same time", {""});
  if (preset.is_object()) {
    const std::string name = text_of(preset, "name");
    if (!is_preset(name)) out.invalid("Unsupported inference preset name " + name, "presetName");
    const Json& options = field(preset, "presetOptions");
    if (!beta && text_of(preset, "accessMode") == "private" && text_of(options, "image").empty())
      out.missing("When AccessMode is private, an image must be provided in PresetOptions");
  }
  admit_adapters(out, inference, true);
  if (context.mode == NodeMode::local) admit_local(out, Json(), inference);
}
}  // namespace kairo::admission
