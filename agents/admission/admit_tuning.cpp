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
void admit_input(Findings& out, const Json& tuning, const AdmitContext& context, bool beta) {
  const Json& input = field(tuning, "input");
  if (!input.is_object()) return out.missing("Input");
  const int sources =
      is_set(input, "urls") + is_set(input, "volumeSource") + is_set(input, "image");
  if (sources != 1)
    out.generic("Exactly one of URLs, Volume, or Image must be specified",
                {"URLs", "Volume", "Image"});
  // KAITO's v1alpha1 does not look at URLs; kairo does, on every version: a URL into the cluster's
  // own network is never what a user means.
  (void)beta;
  for (const Json& url : field(input, "urls"))
    if (url.is_string()) check_url(out, url.get<std::string>(), context.allow_loopback_urls);
  const std::string image = text_of(input, "image");
  if (!image.empty() && !is_image_reference(image))
    out.invalid("Unable to parse input image reference: " + image, "Image");
}
void admit_output(Findings& out, const Json& tuning) {
  const Json& output = field(tuning, "output");
  if (!output.is_object()) return out.missing("Output");
  const std::string image = text_of(output, "image");
  if (!image.empty() && !is_image_reference(image))
    out.invalid("Unable to parse output image reference: " + image, "Image");
  if (!image.empty() && text_of(output, "imagePushSecret").empty())
    out.missing("Must specify imagePushSecret with destination image");
  if (is_set(output, "volumeSource") == !image.empty())
    out.missing("Exactly one of Volume or Image must be specified");
}
}  // namespace

void admit_tuning(Findings& out, const Json& workspace, const AdmitContext& context, bool beta) {
  const Json& resource = field(workspace, "resource");
  const Json& tuning = field(workspace, "tuning");
  const Json& count = field(resource, "count");
  if (count.is_number_integer() && count.get<std::int64_t>() > 1)
    out.invalid(
        "Tuning does not currently support multinode configurations. Please set the node "
        "count to 1. Future support with DeepSpeed will allow this.",
        "count");
  if (beta && field(resource, "partition").is_object())
    out.invalid("GPU partitioning is not supported for tuning workloads", "partition");
  const std::string method = lower(text_of(tuning, "method"));
  if (method != "lora" && method != "qlora") out.invalid(text_of(tuning, "method"), "Method");
  admit_input(out, tuning, context, beta);
  admit_output(out, tuning);
  const Json& preset = field(tuning, "preset");
  if (!preset.is_object()) return out.missing("Preset");
  if (!is_preset(text_of(preset, "name")))
    out.invalid("Unsupported tuning preset name " + text_of(preset, "name"), "presetName");
}
}  // namespace kairo::admission
