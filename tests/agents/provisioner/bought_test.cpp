// What this proves: a bought node's way, each state with its conditions; what ends early is said
// with the provider's words and asked for again, ever later; nothing is left when the Workspace
// goes.
#include "agents/provisioner/bought.h"

#include <doctest/doctest.h>

#include "tests/agents/provisioner/desk.h"

using namespace kairo;
using namespace kairo::test;

TEST_CASE("provisioner: nothing is bought that cannot work") {
  struct Row {
    const char *name, *machine, *preset, *reason, *message;
  };
  const Row rows[] = {
      {"retired", "Standard_NC6s_v3", "smollm2-135m-instruct", "UnsupportedInstanceType",
       "instanceType Standard_NC6s_v3 (1x NVIDIA V100, compute capability 7.0) is retired by "
       "Azure, and the CUDA build needs 8.0 or newer; use one of Standard_NV36ads_A10_v5, "
       "Standard_NV72ads_A10_v5, Standard_NC24ads_A100_v4"},
      {"unknown", "Standard_X1", "smollm2-135m-instruct", "UnsupportedInstanceType",
       "instanceType Standard_X1 is not in the catalogue; use one of Standard_NV36ads_A10_v5, "
       "Standard_NV72ads_A10_v5, Standard_NC24ads_A100_v4"},
      {"none", "", "smollm2-135m-instruct", "UnsupportedInstanceType",
       "resource.instanceType is empty, and nodes are bought here; use one of "
       "Standard_NV36ads_A10_v5, Standard_NV72ads_A10_v5, Standard_NC24ads_A100_v4"},
      {"another cloud's", "g5.xlarge", "smollm2-135m-instruct", "UnsupportedInstanceType",
       "instanceType g5.xlarge is one of aws, and nodes are bought of azure here; use one of "
       "Standard_NV36ads_A10_v5, Standard_NV72ads_A10_v5, Standard_NC24ads_A100_v4"},
      {"not NVIDIA's", "Standard_NG32ads_V620_v1", "smollm2-135m-instruct",
       "UnsupportedInstanceType",
       "instanceType Standard_NG32ads_V620_v1 has AMD Radeon PRO V620, and the engine needs NVIDIA "
       "GPUs; use one of Standard_NV36ads_A10_v5, Standard_NV72ads_A10_v5, "
       "Standard_NC24ads_A100_v4"},
      {"no such model", "Standard_NC24ads_A100_v4", "gpt-9", "UnknownPreset",
       "preset 'gpt-9' is not in the catalogue"},
      {"no engine", "Standard_NC24ads_A100_v4", "gpt-oss-20b", "UnsupportedModel",
       "gpt-oss-20b (GptOssForCausalLM) needs an engine for its family: kairo's own has llama, "
       "mistral, ministral3, qwen2, qwen3, smollm3, phi3, granite, granitemoehybrid, olmo2, olmo3, "
       "gemma2, gemma3_text, falcon; choose another preset, e.g. smollm2-135m-instruct"},
      {"quantised", "Standard_NC24ads_A100_v4", "qwen/qwen3-8b-awq", "UnsupportedModel",
       "qwen/qwen3-8b-awq (Qwen3ForCausalLM) needs unquantised weights: these are awq4; choose "
       "another preset, e.g. smollm2-135m-instruct"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Desk desk;
    wire::WorkspaceT w = wished(row.machine);
    w.tuning->preset = row.preset;
    w.version = 2;
    desk.hear(std::move(w));
    CHECK(desk.decide() == "");
    CHECK(desk.record.resources->state == wire::ResourcesState::Refused);
    CHECK(desk.told("ResourceReady") == std::string("False ") + row.reason + ": " + row.message);
    CHECK(desk.told("NodeClaimReady") ==
          std::string("False NodeClaimNotReady: nothing is bought: ") + row.message);
    CHECK(desk.wake_at_ms == 0);
  }
}

TEST_CASE("provisioner: a model that no GPU of the machine holds is not bought for") {
  Desk desk;
  wire::WorkspaceT w = wished("Standard_NV36ads_A10_v5");
  w.version = 2;
  w.tuning->preset = "phi-4";
  w.tuning->method = "lora";
  desk.hear(std::move(w));
  CHECK(desk.decide() == "");
  CHECK(desk.record.resources->reason == "InsufficientMemory");
  CHECK(desk.record.resources->message ==
        "phi-4 needs about 36.8 GiB on one GPU to tune (lora) (weights 27.5 GiB, adapter and "
        "moments 0.9, activations 2.7, program and reserve 5.6); a GPU of Standard_NV36ads_A10_v5 "
        "has 24.0 GiB; use one of Standard_NC24ads_A100_v4, Standard_NC40ads_H100_v5, "
        "Standard_NCC40ads_H100_v5");
}

TEST_CASE("provisioner: one claim, of one name, is asked for once") {
  Desk desk;
  CHECK(desk.decide() == "BuyNode ws321e0d259 look");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: Ready NodeClaims are not enough: NodeClaim ws321e0d259 is asked "
        "for");
  CHECK(desk.told("ResourceReady") == desk.told("NodeClaimReady"));
  CHECK(desk.decide() == "");
  CHECK(desk.wake_at_ms == desk.now_ms + 30'001);  // nothing was seen of it
  desk.now_ms += 30'001;
  CHECK(desk.decide() == "BuyNode ws321e0d259 look");
  desk.hear(claim(20));
  CHECK(desk.decide() == "");
  CHECK(desk.wake_at_ms == desk.now_ms + 600'000);  // then the status says what to look at

  Desk fresh;  // seen before anybody could have bought anything for it: beside our finalizer
  wire::WorkspaceT w = wished();
  w.version = 2;
  w.finalized = false;
  fresh.hear(wire::WorkspaceT(w));
  CHECK(fresh.decide() == "BuyNode ws321e0d259");
  w.version = 3;
  w.finalized = true;
  fresh.hear(std::move(w));
  CHECK(fresh.decide() == "");
}

TEST_CASE("provisioner: each step of a claim has its words, the provider's where it has some") {
  Desk desk;
  desk.decide();
  const auto seen = [&](wire::NodeClaimT c) {
    c.version = ++desk.version;
    desk.hear(std::move(c));
    return desk.decide();
  };
  CHECK(seen(claim(1)) == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: Ready NodeClaims are not enough: NodeClaim ws321e0d259 is not "
        "launched yet");
  CHECK(desk.told("NodesReady") ==
        "False NodeNotReady: Not enough Nodes are ready: NodeClaim ws321e0d259 is not launched "
        "yet");
  wire::NodeClaimT refused = claim(1);
  add(refused, "Launched", "Unknown", "LaunchFailed",
      "creating instance, QuotaExceeded: cores needed 24, limit 0");
  add(refused, "Registered", "Unknown", "NodeNotFound", "Node not registered with cluster");
  add(refused, "Initialized", "Unknown", "AwaitingReconciliation", "object is awaiting");
  CHECK(seen(std::move(refused)) == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False LaunchFailed: NodeClaim ws321e0d259: creating instance, QuotaExceeded: cores "
        "needed 24, limit 0");
  wire::NodeClaimT launched = claim(1);
  add(launched, "Launched", "True", "Launched");
  CHECK(seen(wire::NodeClaimT(launched)) == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: Ready NodeClaims are not enough: NodeClaim ws321e0d259 is "
        "launched, and its node has not registered yet");
  add(launched, "Registered", "True", "Registered");
  add(launched, "Initialized", "Unknown", "NodeNotReady", "Node status is NotReady");
  CHECK(seen(std::move(launched)) == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: NodeClaim ws321e0d259: Node status is NotReady");
  wire::NodeClaimT twice = claim(1);
  add(twice, "Launched", "True", "Launched");
  add(twice, "Registered", "False", "MultipleNodesFound", "Invariant violated");
  CHECK(seen(std::move(twice)) == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False MultipleNodesFound: NodeClaim ws321e0d259: Invariant violated");
  CHECK(seen(ready_claim(1)) == "");
  CHECK(desk.told("NodeClaimReady") == "True NodeClaimsReady: Enough NodeClaims are ready");
  CHECK(desk.told("NodesReady") ==
        "False NodeNotReady: Not enough Nodes are ready: node gpu1 is not there yet");
  CHECK(desk.told("ResourceReady") == desk.told("NodesReady"));
}

TEST_CASE("provisioner: a node must be Ready, show its GPU, be labelled, have an agent") {
  Desk desk;
  desk.decide();
  desk.hear(ready_claim(20));
  desk.nodes["gpu1"] = machine(false);
  desk.decide();
  CHECK(desk.told("NodesReady") ==
        "False NodeNotReady: Not enough Nodes are ready: node gpu1 is not Ready");
  wire::NodeT bare = machine();
  bare.gpus = 0;
  desk.nodes["gpu1"] = bare;
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodesReady") ==
        "False NodePluginsNotReady: waiting all node plugins to be ready: node gpu1 offers no "
        "nvidia.com/gpu");
  wire::NodeT plain = machine();
  plain.labels.erase(plain.labels.begin());
  desk.nodes["gpu1"] = plain;
  CHECK(desk.decide() == "LabelNode gpu1");
  CHECK(desk.told("NodesReady") ==
        "False NodePluginsNotReady: waiting all node plugins to be ready: node gpu1 has no label "
        "accelerator=nvidia");
  wire::NodeT silent = machine();
  silent.models.clear();
  desk.nodes["gpu1"] = silent;
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodesReady") ==
        "False NodeAgentNotReady: Not enough Nodes are ready: kairo's node agent on node gpu1 has "
        "not said yet that the model is there");
  desk.now_ms += 600'000;
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodesReady") ==
        "False NodeAgentNotReady: Not enough Nodes are ready: kairo's node agent on node gpu1 has "
        "not said yet that the model is there; it has been so since 2025-11-24T16:00:00Z: does a "
        "pod of the DaemonSet kairo-node run there?");
  CHECK(desk.wake_at_ms == 0);
  desk.nodes["gpu1"] = machine();
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodeClaimReady") == "True NodeClaimsReady: Enough NodeClaims are ready");
  CHECK(desk.told("NodesReady") == "True NodesReady: Enough Nodes are ready");
  CHECK(desk.told("ResourceReady") ==
        "True workspaceResourceStatusSuccess: workspace resource is ready");
  CHECK(desk.record.resources->nodes == std::vector<std::string>{"gpu1"});
  CHECK(desk.record.resources->gpus == 1);
  CHECK(desk.wake_at_ms == 0);
}

TEST_CASE("provisioner: what the API server refuses, or what a training would fail on, is said") {
  Desk desk;
  desk.decide();
  desk.trouble(Code::not_found,
               "ConfigMap 'mine' specified in 'config' not found in namespace 'default'");
  CHECK(desk.decide() == "");
  CHECK(
      desk.told("ResourceReady") ==
      "False DependencyNotFound: NodeClaim ws321e0d259 cannot be made: ConfigMap 'mine' specified "
      "in 'config' not found in namespace 'default'");
  desk.trouble(Code::unavailable,
               "create NodeClaim: HTTP 404; is the CustomResourceDefinition installed?");
  desk.decide();
  CHECK(
      desk.told("NodeClaimReady") ==
      "False NodeClaimNotReady: NodeClaim ws321e0d259 cannot be made: create NodeClaim: HTTP 404; "
      "is the CustomResourceDefinition installed?");
}
