// agents/admission/admit_tuning.cpp - rules T1-T3 and T13-T24.
#include "agents/admission/admit_words.h"

namespace kairo::admission {
namespace {
bool is_set(const Json& object, const char* key) {
  const Json& value = field(object, key);
  if (value.is_array()) return !value.empty();
  if (value.is_string()) return !value.get<std::string>().empty();
  return value.is_object();
}
void admit_input(Findings& out, const Json& tuning, const AdmitContext& context) {
  const Json& input = field(tuning, "input");
  if (!input.is_object()) return out.missing("tuning.Input");
  const int sources =
      is_set(input, "urls") + is_set(input, "volumeSource") + is_set(input, "image");
  if (sources != 1)
    out.generic("Exactly one of URLs, Volume, or Image must be specified",
                "tuning.Input.Image, tuning.Input.URLs, tuning.Input.Volume");
  // KAITO's v1alpha1 does not look at URLs; kairo does, on every version: a URL into the cluster's
  // own network is never what a user means.
  for (const Json& url : field(input, "urls"))
    if (url.is_string()) check_url(out, url.get<std::string>(), context.allow_loopback_urls);
  const std::string image = text_of(input, "image");
  if (!image.empty() && !is_image_reference(image))
    out.invalid("Unable to parse input image reference: " + image, "tuning.Input.Image");
}
void admit_output(Findings& out, const Json& tuning) {
  const Json& output = field(tuning, "output");
  if (!output.is_object()) return out.missing("tuning.Output");
  const std::string image = text_of(output, "image");
  if (!image.empty() && !is_image_reference(image))
    out.invalid("Unable to parse output image reference: " + image, "tuning.Output.Image");
  if (!image.empty() && text_of(output, "imagePushSecret").empty())
    out.missing("tuning.Output.Must specify imagePushSecret with destination image");
  if (is_set(output, "volumeSource") == !image.empty())
    out.missing("tuning.Output.Exactly one of Volume or Image must be specified");
}
}  // namespace

void admit_new_tuning(Findings& out, const Json& workspace, bool beta) {
  const Json& resource = field(workspace, "resource");
  const Json& count = field(resource, "count");
  if (count.is_number_integer() && count.get<std::int64_t>() > 1)
    out.invalid(
        "Tuning does not currently support multinode configurations. Please set the node "
        "count to 1. Future support with DeepSpeed will allow this.",
        "resource.count");
  if (beta && field(resource, "partition").is_object())
    out.invalid("GPU partitioning is not supported for tuning workloads", "resource.partition");
}

void admit_tuning(Findings& out, const Json& workspace, const AdmitContext& context) {
  const Json& tuning = field(workspace, "tuning");
  const std::string method = lower(text_of(tuning, "method"));
  if (method != "lora" && method != "qlora")
    out.invalid(text_of(tuning, "method"), "tuning.Method");
  admit_input(out, tuning, context);
  admit_output(out, tuning);
  const Json& preset = field(tuning, "preset");
  if (!preset.is_object()) return out.missing("tuning.Preset");
  if (!is_preset(text_of(preset, "name")))
    out.invalid("Unsupported tuning preset name " + text_of(preset, "name"), "tuning.presetName");
}
}  // namespace kairo::admission
