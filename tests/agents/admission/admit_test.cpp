// What this proves: KAITO's admission rules hold with KAITO's texts, and each rule's nearest valid
// neighbour passes.
#include "agents/admission/admit.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace kairo;
using Json = nlohmann::json;
namespace {
const Json good_tuning = Json::parse(R"({
  "apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": "w"},
  "resource": {"count": 1, "labelSelector": {"matchLabels": {"app": "t"}}},
  "tuning": {"preset": {"name": "phi-4"}, "method": "qlora",
    "input": {"urls": ["https://example.com/d.parquet"]},
    "output": {"image": "registry.example/x:1", "imagePushSecret": "s"}}})");
const Json good_inference = Json::parse(R"({
  "apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": "w"},
  "resource": {"count": 1, "labelSelector": {"matchLabels": {"app": "t"}}},
  "inference": {"preset": {"name": "phi-4"}, "adapters": [
    {"source": {"name": "a", "image": "r/a:1"}, "strength": "0.5"}]}})");

// [path, value] pairs; a null value erases
using Edits = std::vector<std::pair<std::string, Json>>;
Json edited(Json object, const Edits& edits) {
  for (const auto& [path, value] : edits) {
    const Json::json_pointer at(path);
    if (value.is_null())
      object[at.parent_pointer()].erase(at.back());
    else
      object[at] = value;
  }
  return object;
}
std::string verdict(const Json& before, const Json& after, admission::AdmitContext context = {}) {
  const auto all = admission::admit(before.is_null() ? "" : before.dump(), after.dump(), context);
  std::string out;
  for (const auto& v : all) out += (out.empty() ? "" : "\n") + v.text;
  return out;
}
const std::string url_at = "/tuning/input/urls";
}  // namespace

TEST_CASE("admit: create, tuning") {
  struct Row {
    std::string name;
    Edits edits;
    std::string says;
  };
  const std::string private_url =
      "invalid value: data source URL must not target a loopback, private, or link-local address: "
      "spec.URLs";
  const std::string local_url =
      "invalid value: data source URL must not target a local or metadata endpoint: spec.URLs";
  const Row rows[] = {
      {"good", {}, ""},
      {"C1 name",
       {{"/metadata/name", "W_1"}},
       "invalid value: a lowercase RFC 1123 label must consist of lower case alphanumeric "
       "characters or '-', and must start and end with an alphanumeric character: name"},
      {"C2 neither",
       {{"/tuning", nullptr}},
       "Either Inference or Tuning must be specified, not neither: spec."},
      {"C3 both",
       {{"/inference", {{"preset", {{"name", "phi-4"}}}}}},
       "Either Inference or Tuning must be specified, but not both: spec."},
      {"C6 image family",
       {{"/metadata/annotations", {{"kaito.sh/node-image-family", "windows"}}}},
       "invalid value: unsupported node image family windows, supported values are azurelinux, "
       "ubuntu: metadata.annotations.kaito.sh/node-image-family"},
      {"C6 case and blanks",
       {{"/metadata/annotations", {{"kaito.sh/node-image-family", " Ubuntu "}}}},
       ""},
      {"T1 two nodes",
       {{"/resource/count", 2}},
       "invalid value: Tuning does not currently support multinode configurations. Please set the "
       "node count to 1. Future support with DeepSpeed will allow this.: spec.count"},
      {"T2 partition",
       {{"/resource/partition", {{"mode", "mig"}}}},
       "invalid value: GPU partitioning is not supported for tuning workloads: spec.partition"},
      {"T3 dora", {{"/tuning/method", "dora"}}, "invalid value: dora: spec.Method"},
      {"T3 case", {{"/tuning/method", "QLoRA"}}, ""},
      {"T13 no input", {{"/tuning/input", nullptr}}, "missing field(s): spec.Input"},
      {"T14 two inputs",
       {{"/tuning/input/image", "r/d:1"}},
       "Exactly one of URLs, Volume, or Image must be specified: spec.URLs, spec.Volume, "
       "spec.Image"},
      {"T14 none",
       {{url_at, Json::array()}},
       "Exactly one of URLs, Volume, or Image must be specified: spec.URLs, spec.Volume, "
       "spec.Image"},
      {"T15 no host",
       {{url_at, {"data.jsonl"}}},
       "invalid value: invalid data source URL: spec.URLs"},
      {"T16 ftp",
       {{url_at, {"ftp://example.com/d"}}},
       "invalid value: data source URL must use HTTP or HTTPS: spec.URLs"},
      {"T17 localhost", {{url_at, {"http://localhost:80/d"}}}, local_url},
      {"T17 sub", {{url_at, {"http://a.localhost/d"}}}, local_url},
      {"T17 metadata", {{url_at, {"http://metadata.google.internal/d"}}}, local_url},
      {"T18 loopback", {{url_at, {"http://127.0.0.1:9/d"}}}, private_url},
      {"T18 loopback v6", {{url_at, {"http://[::1]/d"}}}, private_url},
      {"T18 mapped", {{url_at, {"http://[::ffff:10.0.0.1]/d"}}}, private_url},
      {"T18 10/8", {{url_at, {"http://10.1.2.3/d"}}}, private_url},
      {"T18 172.16", {{url_at, {"http://172.31.255.255/d"}}}, private_url},
      {"T18 172.32 is public", {{url_at, {"http://172.32.0.1/d"}}}, ""},
      {"T18 metadata address", {{url_at, {"http://169.254.169.254/latest"}}}, private_url},
      {"T18 user info", {{url_at, {"http://example.com@10.0.0.1/d"}}}, private_url},
      {"T19 output",
       {{"/tuning/output/image", "Not A Ref"}},
       "invalid value: Unable to parse output image reference: Not A Ref: spec.Image"},
      {"T19 port and digest",
       {{"/tuning/output/image", "localhost:5000/a/b:v1@sha256:" + std::string(64, 'a')}},
       ""},
      {"T20 no output", {{"/tuning/output", nullptr}}, "missing field(s): spec.Output"},
      {"T21 no secret",
       {{"/tuning/output/imagePushSecret", nullptr}},
       "missing field(s): spec.Must specify imagePushSecret with destination image"},
      {"T22 both outputs",
       {{"/tuning/output/volumeSource", {{"emptyDir", Json::object()}}}},
       "missing field(s): spec.Exactly one of Volume or Image must be specified"},
      {"T23 no preset", {{"/tuning/preset", nullptr}}, "missing field(s): spec.Preset"},
      {"T24 unknown preset",
       {{"/tuning/preset/name", "gpt-9"}},
       "invalid value: Unsupported tuning preset name gpt-9: spec.presetName"},
      {"T24 any org/name", {{"/tuning/preset/name", "org/model"}}, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(verdict(nullptr, edited(good_tuning, row.edits)) == row.says);
  }
}

TEST_CASE("admit: local mode relaxes loopback URLs and nothing else") {
  admission::AdmitContext local;
  local.allow_loopback_urls = true;
  for (const char* url : {"http://127.0.0.1:8/d", "http://localhost/d", "http://[::1]:8/d"})
    CHECK(verdict(nullptr, edited(good_tuning, {{url_at, {url}}}), local) == "");
  for (const char* url : {"http://10.0.0.1/d", "http://169.254.169.254/d", "ftp://localhost/d",
                          "http://metadata.google.internal/"})
    CHECK(verdict(nullptr, edited(good_tuning, {{url_at, {url}}}), local) != "");
}

TEST_CASE("admit: instanceType by mode") {
  const Json with = edited(good_tuning, {{"/resource/instanceType", "Standard_NC6s_v3"}});
  using admission::NodeMode;
  CHECK(verdict(nullptr, with, {NodeMode::local, false, {}}) == "");
  CHECK(verdict(nullptr, with, {NodeMode::byo, false, {}}) ==
        "invalid value: instanceType must be empty when node auto-provisioning is disabled (BYO "
        "scenario): spec.resource.instanceType");
  CHECK(verdict(nullptr, with, {NodeMode::auto_provisioning, false, {}}) == "");
  CHECK(verdict(nullptr, good_tuning, {NodeMode::auto_provisioning, false, {}}) ==
        "missing field(s): spec.instanceType is required when node auto-provisioning is enabled");
}

TEST_CASE("admit: create, inference") {
  struct Row {
    std::string name;
    Edits edits;
    std::string says;
  };
  Json eleven = Json::array();
  for (int i = 0; i < 11; ++i)
    eleven.push_back({{"source", {{"name", "a" + std::to_string(i)}, {"image", "r/a:1"}}}});
  const Row rows[] = {
      {"good", {}, ""},
      {"R2 selector",
       {{"/resource/labelSelector/matchExpressions",
         Json::array({{{"key", "a"}, {"operator", "Exists"}}})}},
       "invalid value: operator \"Exists\" cannot be converted into the old label selector format: "
       "spec.labelSelector"},
      {"R2 two values",
       {{"/resource/labelSelector/matchExpressions",
         Json::array({{{"key", "a"}, {"operator", "In"}, {"values", {"x", "y"}}}})}},
       "invalid value: operator \"In\" without a single value cannot be converted into the old "
       "label "
       "selector format: spec.labelSelector"},
      {"R2 one value",
       {{"/resource/labelSelector/matchExpressions",
         Json::array({{{"key", "a"}, {"operator", "In"}, {"values", {"x"}}}})}},
       ""},
      {"R4 reserved labels",
       {{"/resource/labelSelector/matchLabels", {{"kaito.sh/workspace", "x"}}}},
       "invalid value: matchLabels must contain at least one non-reserved label: "
       "spec.labelSelector"},
      {"I1 nothing to serve",
       {{"/inference/preset", nullptr}},
       "missing field(s): spec.Preset or Template must be specified"},
      {"I2 both",
       {{"/inference/template", {{"spec", Json::object()}}}},
       "Preset and Template cannot be set at the same time: spec."},
      {"I3 unknown",
       {{"/inference/preset/name", "nope"}},
       "invalid value: Unsupported inference preset name nope: spec.presetName"},
      {"I7 eleven adapters",
       {{"/inference/adapters", eleven}},
       "Number of Adapters exceeds the maximum limit, maximum of 10 allowed: spec."},
      {"I8 twice",
       {{"/inference/adapters/1", {{"source", {{"name", "a"}, {"image", "r/b:1"}}}}}},
       "Duplicate adapter source name found: a: spec.adapters"},
      {"strength",
       {{"/inference/adapters/0/strength", "1.5"}},
       "invalid value: Invalid strength value for Adapter 'a': must be between 0 and 1, got 1.5: "
       "spec.strength"},
      {"no source", {{"/inference/adapters/0/source", nullptr}}, "missing field(s): spec.Source"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(verdict(nullptr, edited(good_inference, row.edits)) == row.says);
  }
}

TEST_CASE("admit: what local mode does not do is said, not ignored") {
  const Json pod = {{"spec", Json::object()}};
  const Json templated =
      edited(good_inference, {{"/inference/preset", nullptr}, {"/inference/template", pod}});
  const Json configured = edited(good_inference, {{"/inference/config", "vllm"}});
  const Json gated =
      edited(good_inference, {{"/inference/preset/presetOptions", {{"modelAccessSecret", "hf"}}}});
  CHECK(verdict(nullptr, templated) ==
        "invalid value: pod templates are not run in local mode; name a model in "
        "inference.preset.name instead, e.g. smollm2-135m-instruct: spec.template");
  CHECK(verdict(nullptr, configured) ==
        "invalid value: 'vllm' holds settings of vLLM, which kairo-serve does not read; leave it "
        "out: spec.config");
  CHECK(verdict(nullptr, gated) ==
        "invalid value: 'hf' is not used in local mode, which downloads no model: put the weights "
        "into the models folder and leave it out: spec.modelAccessSecret");
  CHECK(verdict(good_inference, configured) ==
        "invalid value: 'vllm' holds settings of vLLM, which kairo-serve does not read; leave it "
        "out: config");
  CHECK(verdict(configured, configured) == "");  // it stood there before: finalizers go on
  for (const Json& w : {templated, configured, gated})
    CHECK(verdict(nullptr, w, {admission::NodeMode::byo, false, {}}) == "");
}

TEST_CASE("admit: v1alpha1") {
  const auto alpha = [](const Json& w, Edits edits = {}) {
    edits.emplace_back("/apiVersion", "kaito.sh/v1alpha1");
    return edited(w, edits);
  };
  const Edits is_private{{"/inference/preset/accessMode", "private"}};
  CHECK(verdict(nullptr, alpha(good_inference)) == "");
  CHECK(verdict(nullptr, alpha(good_inference, is_private)) ==
        "missing field(s): spec.When AccessMode is private, an image must be provided in "
        "PresetOptions");
  CHECK(verdict(nullptr, edited(good_inference, is_private)) == "");  // v1beta1 does not ask
  const Edits with_image{{"/inference/preset/accessMode", "private"},
                         {"/inference/preset/presetOptions", {{"image", "r/x:1"}}}};
  CHECK(verdict(nullptr, alpha(good_inference, with_image)) == "");
  const Edits sized{{"/resource/instanceType", "Standard_NC24ads_A100_v4"}},
      resized{{"/resource/instanceType", "Standard_NC96ads_A100_v4"}};
  CHECK(verdict(alpha(good_tuning, sized), alpha(good_tuning, resized)) ==
        "field is immutable: instanceType");
  CHECK(verdict(good_tuning, alpha(good_tuning, sized)) == "");  // its default appears
  CHECK(verdict(nullptr, alpha(good_tuning, {{"/metadata/annotations",
                                              {{"kaito.sh/node-image-family", "windows"}}}})) ==
        "invalid value: unsupported node image family windows, supported values are azurelinux, "
        "ubuntu: metadata.annotations.kaito.sh/node-image-family");
  CHECK(verdict(nullptr, alpha(good_tuning, {{"/metadata/annotations",
                                              {{"kaito.sh/performance-mode", "wild"}}}})) == "");
}

TEST_CASE("admit: update") {
  struct Row {
    std::string name;
    Edits edits;
    std::string says;
  };
  const Row rows[] = {
      {"nothing", {}, ""},
      {"urls may change", {{url_at, {"https://example.com/e.jsonl"}}}, ""},
      {"but not to the inside",
       {{url_at, {"http://10.0.0.1/"}}},
       "invalid value: data source URL must not target a loopback, private, or link-local address: "
       "URLs"},
      {"count", {{"/resource/count", 0}}, "field is immutable: count"},
      {"labels",
       {{"/resource/labelSelector/matchLabels/app", "u"}},
       "field is immutable: labelSelector"},
      {"labels in other words",
       {{"/resource/labelSelector",
         {{"matchExpressions",
           Json::array({{{"key", "app"}, {"operator", "In"}, {"values", {"t"}}}})}}}},
       ""},
      {"labels that are no map",
       {{"/resource/labelSelector/matchExpressions",
         Json::array({{{"key", "a"}, {"operator", "Exists"}}})}},
       "Only allow matchLabels or 'IN' matchExpression: labelSelector"},
      {"instanceType appears: it means nothing on one machine",
       {{"/resource/instanceType", "x"}},
       ""},
      {"preset",
       {{"/tuning/preset/name", "phi-4-mini-instruct"}},
       "Preset cannot be changed: Preset"},
      {"preset's empty options appear",
       {{"/tuning/preset/presetOptions", {{"image", ""}, {"imagePullSecrets", Json::array()}}}},
       ""},
      {"preset's options",
       {{"/tuning/preset/presetOptions", {{"image", "r/x:1"}}}},
       "Preset cannot be changed: Preset"},
      {"preset's default appears", {{"/tuning/preset/accessMode", "public"}}, ""},
      {"method", {{"/tuning/method", "lora"}}, "Method cannot be changed: Method"},
      {"method's case", {{"/tuning/method", "QLORA"}}, ""},
      {"input name",
       {{"/tuning/input/name", "n"}},
       "invalid value: During tuning Name field cannot be changed once set: Name"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(verdict(good_tuning, edited(good_tuning, row.edits)) == row.says);
  }
  const admission::AdmitContext byo{admission::NodeMode::byo, false, {}},
      bought{admission::NodeMode::auto_provisioning, false, {}};
  const Json small = edited(good_tuning, {{"/resource/instanceType", "x"}}),
             large = edited(good_tuning, {{"/resource/instanceType", "y"}});
  CHECK(verdict(good_tuning, small, byo) ==
        "invalid value: instanceType must be empty when node auto-provisioning is disabled (BYO "
        "scenario): instanceType");
  CHECK(verdict(small, large, byo) ==
        "invalid value: instanceType cannot be changed once set: instanceType");
  CHECK(verdict(small, good_tuning, byo) == "");
  CHECK(verdict(small, large, bought) ==
        "instanceType cannot be changed once set when node auto-provisioning is enabled: "
        "instanceType");
  CHECK(verdict(good_inference, edited(good_inference, {{"/inference/preset/name", "phi-3"}})) ==
        "field is immutable: preset");
  const std::string toggled = verdict(good_tuning, good_inference);
  CHECK(toggled ==
        "Inference field cannot be toggled once set: inference\n"
        "Tuning field cannot be toggled once set: tuning");
}

TEST_CASE("admit: what a user reads") {
  CHECK(admission::refusal({}) == "");
  CHECK(
      admission::refusal({{"a"}, {"b"}}) ==
      "admission webhook \"validation.workspace.kaito.sh\" denied the request: validation failed: "
      "a\nb");
}
