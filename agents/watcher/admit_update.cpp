// agents/watcher/admit_update.cpp - what may change in a Workspace that exists (kaito.md 2.9).
#include "agents/watcher/admit_words.h"

namespace kairo::watcher {
namespace {
Json without_defaults(Json preset) {  // a default that appears later is no change
  if (preset.is_object() && text_of(preset, "accessMode") == "public") preset.erase("accessMode");
  return preset;
}
bool has(const Json& w, const char* key) {
  return field(w, key).is_object();
}

void update_resource(Findings& out, const Json& before, const Json& after,
                     const AdmitContext& context, bool beta) {
  const Json &a = field(before, "resource"), &b = field(after, "resource");
  if (!field(a, "count").is_null() && !field(b, "count").is_null() &&
      field(a, "count") != field(b, "count"))
    out.invalid("field is immutable", "count");
  if (beta && field(a, "partition") != field(b, "partition"))
    out.invalid("field is immutable", "partition");
  if (field(a, "labelSelector") != field(b, "labelSelector"))
    out.invalid("field is immutable", "labelSelector");
  const std::string was = text_of(a, "instanceType"), is = text_of(b, "instanceType");
  if (!beta) {
    if (was != is) out.invalid("field is immutable", "instanceType");
  } else if (context.mode == NodeMode::auto_provisioning) {
    if (is.empty())
      out.missing("instanceType is required when node auto-provisioning is enabled");
    else if (!was.empty() && was != is)
      out.invalid("instanceType cannot be changed once set when node auto-provisioning is enabled",
                  "instanceType");
  } else if (!is.empty() && was != is) {
    out.invalid(was.empty() ? "instanceType must be empty when node auto-provisioning is disabled "
                              "(BYO scenario)"
                            : "instanceType cannot be changed once set",
                "instanceType");
  }
}

void update_tuning(Findings& out, const Json& before, const Json& after) {
  const Json &a = field(before, "tuning"), &b = field(after, "tuning");
  if (without_defaults(field(a, "preset")) != without_defaults(field(b, "preset")))
    out.invalid("Preset cannot be changed", "Preset");
  if (lower(text_of(a, "method")) != lower(text_of(b, "method")))
    out.invalid("Method cannot be changed", "Method");
  if (text_of(field(a, "input"), "name") != text_of(field(b, "input"), "name"))
    out.invalid("During tuning Name field cannot be changed once set", "Name");
}

void update_inference(Findings& out, const Json& before, const Json& after) {
  const Json &a = field(before, "inference"), &b = field(after, "inference");
  if (without_defaults(field(a, "preset")) != without_defaults(field(b, "preset")))
    out.invalid("field is immutable", "preset");
  if (has(a, "template") != has(b, "template"))
    out.invalid("field cannot be unset/set if it was set/unset", "template");
  admit_adapters(out, b, true);
}
}  // namespace

void admit_update(Findings& out, const Json& before, const Json& after, const AdmitContext& context,
                  bool beta) {
  if (has(before, "inference") != has(after, "inference"))
    out.generic("Inference field cannot be toggled once set", {"inference"});
  if (has(before, "tuning") != has(after, "tuning"))
    out.generic("Tuning field cannot be toggled once set", {"tuning"});
  update_resource(out, before, after, context, beta);
  if (has(before, "tuning") && has(after, "tuning")) {
    update_tuning(out, before, after);
    // KAITO forgets URLs and the push Secret here; the rules of creation hold for an update too.
    Findings again("");
    admit_tuning(again, after, context, beta);
    for (const Violation& violation : again.take()) out.generic(violation.text, {});
  }
  if (has(before, "inference") && has(after, "inference")) update_inference(out, before, after);
}
}  // namespace kairo::watcher
