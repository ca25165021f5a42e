// agents/admission/admit_inference.cpp - rules I1-I8 and those of R that need no other object.
#include <algorithm>
#include <cstdlib>
#include <regex>
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

// As nvidia-smi names them, of A30, A100 and H100.
const std::vector<std::string> mig_profiles{"1g.5gb",  "1g.6gb",  "1g.10gb", "2g.10gb", "2g.12gb",
                                            "2g.20gb", "3g.20gb", "3g.40gb", "4g.20gb", "4g.24gb",
                                            "4g.40gb", "7g.40gb", "7g.80gb"};

void admit_mig(Findings& out, const Json& partition) {
  static const std::regex form("[0-9]+g\\.[0-9]+gb");
  if (field(partition, "count").is_number())
    out.invalid("count is only valid for accelerator mode", "resource.partition.count");
  const std::string profile = text_of(partition, "profile");
  if (std::find(mig_profiles.begin(), mig_profiles.end(), profile) != mig_profiles.end()) return;
  std::string known;
  for (const std::string& name : mig_profiles) known += (known.empty() ? "" : " ") + name;
  out.invalid(
      std::regex_match(profile, form)
          ? "unknown MIG profile \"" + profile + "\": must be one of [" + known + "]"
          : "invalid MIG profile format \"" + profile + "\": expected format like '1g.10gb'",
      "resource.partition.profile");
}
void admit_accelerator(Findings& out, const Json& partition) {
  if (!text_of(partition, "profile").empty())
    out.invalid("profile is not valid for accelerator mode", "resource.partition.profile");
  if (!field(partition, "count").is_number()) out.missing("resource.partition.count");
}
// That the cluster has not what it takes.
void admit_partition(Findings& out, const Json& resource, const AdmitContext& context) {
  const std::string mode = text_of(field(resource, "partition"), "mode");
  if (mode.empty()) return;
  if (context.mode == NodeMode::auto_provisioning)
    out.generic(
        "GPU partitioning is only supported with BYO nodes (disableNodeAutoProvisioning=true)",
        "resource.partition");
  else if (mode == "mig")
    out.generic("MIG support is not enabled, set feature gate enableMIG=true",
                "resource.partition");
  else
    out.generic(
        "accelerator partition support is not enabled, set feature gate enableAccelerator=true",
        "resource.partition");
}
void admit_instance_type(Findings& out, const Json& resource) {
  const std::string instance = text_of(resource, "instanceType");
  const bool azure_like = instance.starts_with("Standard_N") || instance.starts_with("Standard_D");
  if (instance.empty() || azure_like || catalogue::find_sku(instance) != nullptr) return;
  std::string known;
  for (const auto& sku : catalogue::skus()) known += (known.empty() ? "" : ", ") + sku.name;
  out.invalid("Unsupported instance type " + instance + ". Supported SKUs: " + known,
              "resource.instanceType");
}
void admit_strength(Findings& out, const std::string& name, const std::string& text) {
  static const std::regex number("[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?");
  if (!std::regex_match(text, number)) {
    out.generic("Invalid strength value for Adapter '" + name +
                    "': strconv.ParseFloat: parsing \"" + text + "\": invalid syntax",
                "inference.adapter");
    return;
  }
  const double value = std::strtod(text.c_str(), nullptr);
  if (value < 0 || value > 1)
    out.generic("Strength value for Adapter '" + name + "' must be between 0 and 1",
                "inference.adapter");
}
void admit_adapter(Findings& out, const Json& adapter) {
  const Json& source = field(adapter, "source");
  const std::string name = text_of(source, "name"), image = text_of(source, "image");
  if (const Json& strength = field(adapter, "strength"); strength.is_string())
    admit_strength(out, name, strength);
  if (!source.is_object()) return out.missing("inference.Source");
  if (name.empty())
    out.missing("inference.Name of Adapter field must be specified");
  else if (!is_dns_subdomain(name))
    out.invalid(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
        "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex "
        "used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        "inference.adapters.source.name");
  const bool has_volume = field(source, "volumeSource").is_object();
  if (image.empty() && !has_volume)
    out.generic("Either Image or Volume must be specified for adapter source",
                "inference.adapters.source");
  if (!image.empty() && has_volume)
    out.generic("Exactly one of URLs, Volume, or Image must be specified",
                "inference.Adapters.Image, inference.Adapters.URLs, inference.Adapters.Volume");
  if (!image.empty() && !is_image_reference(image))
    out.invalid("Unable to parse input image reference: " + image, "inference.Adapters.Image");
  if (!field(source, "urls").empty())
    out.generic("URLs are not supported as adapter source", "inference.adapters.source.urls");
}
// KAITO checks adapters deeply on update only and calls the create side unfinished: kairo does
// both.
void admit_adapters(Findings& out, const Json& inference) {
  const Json& adapters = field(inference, "adapters");
  if (adapters.size() > 10)
    out.generic("Number of Adapters exceeds the maximum limit, maximum of 10 allowed");
  std::set<std::string> names;
  std::string twice;  // the first; KAITO names them all
  for (const Json& adapter : adapters) {
    admit_adapter(out, adapter);
    const std::string name = text_of(field(adapter, "source"), "name");
    if (!name.empty() && !names.insert(name).second && twice.empty()) twice = name;
  }
  if (!twice.empty()) out.generic("Duplicate adapter source name found: " + twice);
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
    if (op != "In") return quoted + " is not a valid label selector operator";
    const Json& values = field(e, "values");
    if (values.size() != 1) return "operator " + quoted + " without a single value" + format;
    map[text_of(e, "key")] = values.front();
  }
  return map;
}

void admit_local(Findings& out, const Json& before, const Json& inference) {
  const auto is_new = [&](const Json& was, const Json& is) {
    return !is.is_null() && !is_empty_text(is) && is != was;
  };
  const bool has_preset = field(inference, "preset").is_object();
  if (!has_preset && is_new(field(before, "template"), field(inference, "template")))
    out.invalid(
        "pod templates are not run in local mode; name a model in inference.preset.name instead, "
        "e.g. smollm2-135m-instruct",
        "inference.template");
  const auto secret = [](const Json& of) -> const Json& {
    return field(field(field(of, "preset"), "presetOptions"), "modelAccessSecret");
  };
  if (is_new(secret(before), secret(inference)))
    out.invalid(
        "'" + text_of(field(field(inference, "preset"), "presetOptions"), "modelAccessSecret") +
            "' is not used in local mode, which downloads no model: put the weights into "
            "the models folder and leave it out",
        "inference.preset.presetOptions.modelAccessSecret");
}

// KAITO asks this of inference only, and of a tuning by refusing each later update.
void admit_selector(Findings& out, const Json& resource) {
  const Json& selector = field(resource, "labelSelector");
  if (const Json map = selector_map(selector); map.is_string())
    out.invalid(map.get<std::string>(), "resource.labelSelector");
  const Json& labels = field(selector, "matchLabels");
  bool all_reserved = labels.is_object() && !labels.empty();
  for (const auto& [key, value] : labels.items())
    all_reserved = all_reserved && reserved_labels.contains(key);
  if (all_reserved)
    out.invalid("matchLabels must contain at least one non-reserved label",
                "resource.labelSelector.matchLabels");
}

void admit_partition_form(Findings& out, const Json& resource) {
  const Json& partition = field(resource, "partition");
  if (text_of(partition, "mode") == "mig") admit_mig(out, partition);
  if (text_of(partition, "mode") == "accelerator") admit_accelerator(out, partition);
}

void admit_new_inference(Findings& out, const Json& workspace, const AdmitContext& context,
                         bool beta) {
  const Json& resource = field(workspace, "resource");
  const Json& inference = field(workspace, "inference");
  if (context.mode == NodeMode::auto_provisioning) admit_instance_type(out, resource);
  if (beta) admit_partition(out, resource, context);
  const Json& preset = field(inference, "preset");
  const std::string image = text_of(field(preset, "presetOptions"), "image");
  if (!beta && text_of(preset, "accessMode") == "private" && image.empty())
    out.generic("When AccessMode is private, an image must be provided in PresetOptions");
  if (context.mode == NodeMode::local) admit_local(out, Json(), inference);
}

void admit_inference(Findings& out, const Json& workspace) {
  const Json& inference = field(workspace, "inference");
  const Json& preset = field(inference, "preset");
  const bool has_template = field(inference, "template").is_object();
  if (!preset.is_object() && !has_template)
    out.missing("inference.Preset or Template must be specified");
  if (preset.is_object() && has_template)
    out.generic("Preset and Template cannot be set at the same time");
  if (const std::string name = text_of(preset, "name"); preset.is_object() && !is_preset(name))
    out.invalid("Unsupported inference preset name " + name, "inference.presetName");
  admit_adapters(out, inference);
}
}  // namespace kairo::admission
