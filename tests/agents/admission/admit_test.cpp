// What this proves: what local mode relaxes and refuses, and what an update leaves alone. The rules
// themselves are in tests/cluster/rules/.
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

TEST_CASE("admit: local mode relaxes loopback URLs and nothing else") {
  admission::AdmitContext local;
  local.allow_loopback_urls = true;
  for (const char* url : {"http://127.0.0.1:8/d", "http://localhost/d", "http://[::1]:8/d"})
    CHECK(verdict(nullptr, edited(good_tuning, {{url_at, {url}}}), local) == "");
  for (const char* url : {"http://10.0.0.1/d", "http://169.254.169.254/d", "ftp://localhost/d",
                          "http://metadata.google.internal/"})
    CHECK(verdict(nullptr, edited(good_tuning, {{url_at, {url}}}), local) != "");
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
        "inference.preset.name instead, e.g. smollm2-135m-instruct: inference.template");
  CHECK(verdict(nullptr, configured) == "");  // of its settings the launcher says which are not
  CHECK(verdict(nullptr, gated) ==
        "invalid value: 'hf' is not used in local mode, which downloads no model: put the weights "
        "into the models folder and leave it out: "
        "inference.preset.presetOptions.modelAccessSecret");
  CHECK(verdict(gated, gated) == "");  // it stood there before: finalizers go on
  for (const Json& w : {templated, gated})
    CHECK(verdict(nullptr, w, {admission::NodeMode::byo, false, {}}) == "");
}

TEST_CASE("admit: what was let in before goes on, and what changes in it is judged") {
  const Json bad = edited(good_tuning, {{url_at, {"http://10.0.0.1/d"}}});
  Json finalized = bad;
  finalized["metadata"]["finalizers"] = {"f"};
  CHECK(verdict(bad, finalized) == "");
  CHECK(verdict(bad, edited(bad, {{"/tuning/output/image", "r/x:2"}})) ==
        "invalid value: data source URL must not target a loopback, private, or link-local "
        "address: tuning.Input.URLs");
  const Json alpha = edited(good_tuning, {{"/apiVersion", "kaito.sh/v1alpha1"},
                                          {"/resource/instanceType", "Standard_NC24ads_A100_v4"}});
  CHECK(verdict(good_tuning, alpha) == "");  // the default of the older version appears
}

TEST_CASE("admit: what a user reads") {
  CHECK(admission::refusal({}) == "");
  CHECK(
      admission::refusal({{"a"}, {"b"}}) ==
      "admission webhook \"validation.workspace.kaito.sh\" denied the request: validation failed: "
      "a\nb");
}
