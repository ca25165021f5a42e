// agents/admission/admit_update.cpp - what may change in a Workspace that exists (kaito.md 2.9).
#include "agents/admission/admit_words.h"

namespace kairo::admission {
namespace {
// A default that appears later is no change, and no options are empty options.
Json without_defaults(Json preset) {
  if (!preset.is_object()) return preset;
  if (text_of(preset, "accessMode") == "public") preset.erase("accessMode");
  Json options = field(preset, "presetOptions");
  preset.erase("presetOptions");
  if (!options.is_object()) return preset;
  for (const char* key : {"image", "imagePullSecrets", "modelAccessSecret"})
    if (const Json& value = field(options, key); value.empty() || is_empty_text(value))
      options.erase(key);
  if (!options.empty()) preset["presetOptions"] = std::move(options);
  return preset;
}
bool has(const Json& w, const char* key) {
  return field(w, key).is_object();
}

void update_instance_type(Findings& out, const std::string& was, const std::string& is,
                          const AdmitContext& context, bool beta) {
  if (context.mode == NodeMode::local && beta) return;  // it means nothing there
  if (!beta) {  // whom v1beta1 wrote without one gets the default of v1alpha1 here
    if (!was.empty() && was != is) out.generic("field is immutable", "resource.instanceType");
  } else if (context.mode == NodeMode::auto_provisioning) {
    if (is.empty() && !was.empty())
      out.missing(
          "resource.instanceType, resource.instanceType is required when node auto-provisioning "
          "is enabled");
    else if (!was.empty() && was != is)
      out.generic("instanceType cannot be changed once set when node auto-provisioning is enabled",
                  "resource.instanceType");
  } else if (!is.empty() && was != is) {
    out.invalid(was.empty() ? "instanceType must be empty when node auto-provisioning is disabled "
                              "(BYO scenario)"
                            : "instanceType cannot be changed once set",
                "resource.instanceType");
  }
}

void update_resource(Findings& out, const Json& before, const Json& after,
                     const AdmitContext& context, bool beta) {
  const Json &a = field(before, "resource"), &b = field(after, "resource");
  if (!field(a, "count").is_null() && !field(b, "count").is_null() &&
      field(a, "count") != field(b, "count"))
    out.generic("field is immutable", "resource.count");
  if (beta && field(a, "partition") != field(b, "partition"))
    out.generic("field is immutable", "resource.partition");
  update_instance_type(out, text_of(a, "instanceType"), text_of(b, "instanceType"), context, beta);
  const Json was = selector_map(field(a, "labelSelector")),
             is = selector_map(field(b, "labelSelector"));
  if (field(a, "labelSelector") == field(b, "labelSelector")) return;  // as somebody let it in
  admit_selector(out, b);
  if (is.is_string())
    out.generic("Only allow matchLabels or 'IN' matchExpression", "resource.labelSelector");
  else if (was != is)
    out.generic("field is immutable", "resource.labelSelector");
}

void update_tuning(Findings& out, const Json& before, const Json& after) {
  const Json &a = field(before, "tuning"), &b = field(after, "tuning");
  if (without_defaults(field(a, "preset")) != without_defaults(field(b, "preset")))
    out.generic("Preset cannot be changed", "tuning.Preset");
  if (lower(text_of(a, "method")) != lower(text_of(b, "method")))
    out.generic("Method cannot be changed", "tuning.Method");
  if (text_of(field(a, "input"), "name") != text_of(field(b, "input"), "name"))
    out.invalid("During tuning Name field cannot be changed once set", "tuning.Input.Name");
}

void update_inference(Findings& out, const Json& before, const Json& after,
                      const AdmitContext& context) {
  const Json &a = field(before, "inference"), &b = field(after, "inference");
  if (without_defaults(field(a, "preset")) != without_defaults(field(b, "preset")))
    out.generic("field is immutable", "inference.preset");
  if (has(a, "template") != has(b, "template"))
    out.generic("field cannot be unset/set if it was set/unset", "inference.template");
  if (context.mode == NodeMode::local) admit_local(out, a, b);
}
}  // namespace

void admit_update(Findings& out, const Json& before, const Json& after, const AdmitContext& context,
                  bool beta) {
  if (has(before, "inference") != has(after, "inference"))
    out.generic("Inference field cannot be toggled once set", "spec.inference");
  if (has(before, "tuning") != has(after, "tuning"))
    out.generic("Tuning field cannot be toggled once set", "spec.tuning");
  update_resource(out, before, after, context, beta);
  if (has(before, "tuning") && has(after, "tuning")) {
    update_tuning(out, before, after);
    // KAITO forgets URLs and the push Secret here; the rules of creation hold for an update too.
    if (field(before, "tuning") != field(after, "tuning")) admit_tuning(out, after, context);
  }
  if (has(before, "inference") && has(after, "inference")) {
    update_inference(out, before, after, context);
    if (field(before, "inference") != field(after, "inference")) admit_inference(out, after);
  }
}
}  // namespace kairo::admission
