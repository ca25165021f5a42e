// What this proves: a Workspace gets a node that can run it, or a reason with figures and a remedy.
#include "agents/provisioner/decide.h"

#include <doctest/doctest.h>

#include <random>

#include "schemas/base/codec.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
wire::ResourcesT answer(const wire::WorkspaceT& w, const runtime::Nodes& nodes) {
  const auto d = provisioner::decide(record(wire::WorkspaceT(w)), {nodes, 1000});
  REQUIRE(kinds(d) == "Publish:resources");
  return *d.commands[0].body.AsPublish()->fact->body.AsResources();
}
runtime::Nodes one(wire::NodeT n) {
  runtime::Nodes nodes;
  nodes.emplace("n1", std::move(n));
  return nodes;
}
}  // namespace

TEST_CASE("provisioner: ready, waiting, refused") {
  CHECK(answer(tuning(1), {}).reason == "NodeNotFound");
  CHECK(answer(tuning(1), one(node(1, false))).reason == "NodeNotReady");
  const auto granted = answer(tuning(1), one(node(1)));
  CHECK(granted.state == wire::ResourcesState::Ready);
  CHECK(granted.nodes == std::vector<std::string>{"n1"});
  CHECK(granted.cpu_milli == 1001);  // more than half: two tunings do not fit
  CHECK(granted.memory_bytes > 0);
  CHECK(granted.memory_limit_bytes > granted.memory_bytes);

  wire::NodeT bare = node(1);
  bare.models.clear();
  CHECK(answer(tuning(1), one(wire::NodeT(bare))).reason == "ModelNotFound");
  bare.sources = {"image"};  // of which this preset has none
  CHECK(answer(tuning(1), one(wire::NodeT(bare))).reason == "ModelNotFound");
  wire::WorkspaceT named = tuning(1);
  named.tuning->weights_image = "r.io/mine:1";
  CHECK(answer(named, one(node(1))).reason == "ModelNotFound");  // those there are the public ones
  bare.sources = {"named"};
  CHECK(answer(named, one(wire::NodeT(bare))).state == wire::ResourcesState::Ready);
  CHECK(answer(tuning(1), one(wire::NodeT(bare))).reason == "ModelNotFound");
  bare.sources = {"hub"};  // its agent fetches them
  CHECK(answer(tuning(1), one(std::move(bare))).state == wire::ResourcesState::Ready);
  wire::NodeT small = node(1);
  small.memory_bytes = 100 << 20;
  CHECK(answer(tuning(1), one(std::move(small))).reason == "InsufficientMemory");
  wire::WorkspaceT unknown = tuning(1);
  unknown.tuning->preset = "gpt-9";
  CHECK(answer(unknown, one(node(1))).reason == "UnknownPreset");
}

TEST_CASE("provisioner: a server's memory is that of the weights as they lie on the node") {
  const auto of_bytes = [](const char* bytes, const char* model = "smollm2-135m-instruct") {
    wire::NodeT n = node(1);
    n.model_bytes.push_back(std::make_unique<wire::LabelT>());
    n.model_bytes[0]->key = model;
    n.model_bytes[0]->value = bytes;
    return n;
  };
  const std::int64_t wide = answer(serving(1), one(node(1))).memory_bytes;
  const std::int64_t stored = answer(serving(1), one(of_bytes("96614944"))).memory_bytes;
  CHECK(wide - stored == 134'515'008 * 4 - 96'614'944);
  CHECK(answer(serving(1), one(of_bytes("96614944", "phi-4"))).memory_bytes == wide);
  CHECK(answer(tuning(1), one(of_bytes("96614944"))).memory_bytes ==
        answer(tuning(1), one(node(1))).memory_bytes);
}

TEST_CASE("provisioner: the grant says whether the node mounts images as volumes") {
  struct Row {
    const char* kubelet;
    const char* runtime;
    bool can;
  };
  for (const Row& row :
       std::initializer_list<Row>{{"v1.35.0", "containerd://2.1.0", true},
                                  {"v1.36.2+k3s1", "containerd://2.2.0-k3s1", true},
                                  {"v1.35.1-eks-113cf36", "cri-o://1.33.0", true},
                                  {"v2.0.0", "containerd://10.0.0", true},
                                  {"v1.34.3", "containerd://2.1.5", false},
                                  {"v1.4.0", "containerd://2.1.5", false},
                                  {"v1.35.0", "containerd://2.0.9", false},
                                  {"v1.35.0", "containerd://1.7.28", false},
                                  {"v1.35.0", "cri-o://1.32.9", false},
                                  {"v1.35.0", "docker://28.1.0", false},
                                  {"v1.35.0", "", false},
                                  {"", "containerd://2.1.5", false},
                                  {"1.35.0", "containerd://2.1.5", false},
                                  {"v1", "containerd://2.1.5", false},
                                  {"v1.x", "containerd://2", false},
                                  {"v99999999999.1", "containerd://2.1", false}}) {
    CAPTURE(row.kubelet);
    CAPTURE(row.runtime);
    wire::NodeT n = node(1);
    n.kubelet = row.kubelet;
    n.container_runtime = row.runtime;
    CHECK(answer(serving(1), one(std::move(n))).image_volumes == row.can);
  }
}

TEST_CASE("provisioner: KAITO's documented Workspace ends in a clear refusal") {
  wire::WorkspaceT w = tuning(1);
  w.tuning->preset = "phi-3-mini-128k-instruct";
  w.instance_type = "Standard_NC6s_v3";
  const auto r = answer(w, one(node(1)));
  CHECK(r.state == wire::ResourcesState::Refused);
  CHECK(r.reason == "ModelNotFound");
  CHECK(r.message ==
        "phi-3-mini-128k-instruct needs about 4.8 GiB to tune (qlora) (NF4 weights 2.7 GiB, "
        "adapter and moments 0.7, activations 1.3, program 0.2); node n1 has 16.0 GiB of memory "
        "and no GPU. Its weights are not on this node: put config.json, tokenizer.json and "
        "*.safetensors into the models folder, under phi-3-mini-128k-instruct. instanceType "
        "Standard_NC6s_v3 (1x NVIDIA V100, compute capability 7.0) is retired by Azure, and the "
        "CUDA build needs 8.0 or newer; in a cluster use Standard_NC24ads_A100_v4 or "
        "Standard_NV36ads_A10_v5, Standard_NV72ads_A10_v5.");
}

TEST_CASE("provisioner: what cannot be worked on is said") {
  wire::WorkspaceT odd = tuning(1);
  odd.problem = "the Workspace has 70000 bytes of JSON";
  CHECK(answer(odd, one(node(1))).reason == "InvalidWorkspace");
  CHECK(answer(odd, one(node(1))).message == "the Workspace has 70000 bytes of JSON");
  wire::NodeT gpu = node(1);
  gpu.gpus = 1;
  gpu.gpu_memory_bytes = 100 << 20;
  CHECK(answer(tuning(1), one(std::move(gpu))).reason == "InsufficientMemory");
}

TEST_CASE("provisioner: labels choose among the user's own nodes") {
  wire::NodeT far = node(1);
  far.local = false;
  wire::WorkspaceT w = tuning(1);
  auto label = std::make_unique<wire::LabelT>();
  label->key = "app";
  label->value = "tune";
  w.match_labels.push_back(std::move(label));
  CHECK(answer(w, one(wire::NodeT(far))).reason == "NodeNotFound");
  far.labels.push_back(std::make_unique<wire::LabelT>(*w.match_labels[0]));
  CHECK(answer(w, one(std::move(far))).state == wire::ResourcesState::Ready);
}

TEST_CASE("provisioner: of several nodes one with free GPUs, then one with the weights") {
  struct Case {
    const char* name;
    std::uint32_t gpus_of_a, gpus_of_b;
    std::uint32_t held_on_a, held_on_b;
    bool a_has_weights, b_has_weights;
    const char* chosen;
  };
  const Case cases[] = {
      {"alike: the first", 2, 2, 0, 0, true, true, "a"},
      {"the weights lie on the second", 2, 2, 0, 0, false, true, "b"},
      {"the weights count for more than GPUs", 4, 1, 0, 0, false, true, "b"},
      {"a free GPU counts for more than the weights", 2, 2, 2, 1, true, false, "b"},
      {"both have the weights: the most free", 2, 2, 1, 0, true, true, "b"},
      {"nothing is free: the weights", 1, 1, 1, 1, false, true, "b"},
      {"no GPUs: the weights", 0, 0, 0, 0, false, true, "b"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    runtime::Nodes nodes;
    for (const bool is_b : {false, true}) {
      wire::NodeT n = node(1);
      n.local = false;
      n.gpus = is_b ? c.gpus_of_b : c.gpus_of_a;
      n.gpu_memory_bytes = 24LL << 30;
      n.sources = {"hub"};
      if (!(is_b ? c.b_has_weights : c.a_has_weights)) n.models.clear();
      nodes.emplace(is_b ? "b" : "a", std::move(n));
    }
    const runtime::GpusHeld held{{"a", c.held_on_a}, {"b", c.held_on_b}};
    const auto d = provisioner::decide(record(tuning(1)), {nodes, 1000, "", "", &held});
    REQUIRE(kinds(d) == "Publish:resources");
    const auto& said = *d.commands[0].body.AsPublish()->fact->body.AsResources();
    CHECK(said.nodes == std::vector<std::string>{c.chosen});
  }
}

TEST_CASE("provisioner: another revision stays on the node that it has, where that can run it") {
  runtime::Nodes nodes;
  for (const char* name : {"a", "b"}) {
    wire::NodeT n = node(1);
    n.local = false;
    n.uid = std::string("uid-") + name;
    n.gpus = *name == 'a' ? 4 : 1;
    n.gpu_memory_bytes = 24LL << 30;
    nodes.emplace(name, std::move(n));
  }
  const auto chosen = [&](const char* place, std::uint32_t held_on_b) {
    wire::ResourcesT said = ready(1);
    said.revision = "r0";
    said.places = {place};
    const runtime::GpusHeld held{{"b", held_on_b}};
    const auto d =
        provisioner::decide(record(tuning(1), std::move(said)), {nodes, 1000, "", "", &held});
    REQUIRE(kinds(d) == "Publish:resources");
    return d.commands[0].body.AsPublish()->fact->body.AsResources()->places;
  };
  CHECK(chosen("b/uid-b", 0) == std::vector<std::string>{"b/uid-b"});
  CHECK(chosen("b/uid-lost", 0) == std::vector<std::string>{"a/uid-a"});  // another of its name
  CHECK(chosen("b/uid-b", 1) == std::vector<std::string>{"a/uid-a"});     // somebody else has it
}

TEST_CASE("provisioner: a grant stands while its node is late; deleting releases") {
  auto r = record(tuning(1), ready(1));
  CHECK(kinds(provisioner::decide(r, {one(node(2, false)), 1000})) == "");
  wire::NodeT emptied = node(2);  // its weights are linked into the run
  emptied.models.clear();
  CHECK(kinds(provisioner::decide(r, {one(std::move(emptied)), 1000})) == "");
  CHECK(kinds(provisioner::decide(r, {one(gone(node(2))), 1000})) == "Publish:resources");
  auto gone = record(leaving(tuning(2)), ready(1));
  const auto d = provisioner::decide(gone, {one(node(1)), 1000});
  REQUIRE(kinds(d) == "Publish:resources");
  CHECK(d.commands[0].body.AsPublish()->fact->body.AsResources()->state ==
        wire::ResourcesState::Released);
}

TEST_CASE("provisioner: a node's news concerns whom it may help, and whoever holds it") {
  wire::NodeT far = node(1);
  far.local = false;
  wire::WorkspaceT picky = tuning(1);
  picky.match_labels.push_back(std::make_unique<wire::LabelT>());
  picky.match_labels[0]->key = "app";
  picky.match_labels[0]->value = "tune";
  wire::NodeT labelled = far;
  labelled.labels.push_back(std::make_unique<wire::LabelT>(*picky.match_labels[0]));
  wire::NodeT other_label = far;  // what no Workspace asks for
  other_label.version = 9;
  other_label.labels.push_back(std::make_unique<wire::LabelT>());
  other_label.labels[0]->key = "beta.kubernetes.io/os";
  wire::NodeT late = far;
  late.ready = false;
  wire::NodeT more = far;
  more.memory_bytes *= 2;
  wire::WorkspaceT bare = tuning(1);
  bare.finalized = false;
  struct Row {
    const char* name;
    wire::RecordT record;
    const wire::NodeT* before;
    const wire::NodeT& after;
    bool expected;
  };
  const wire::NodeT ended = gone(wire::NodeT(far));
  const Row rows[] = {
      {"waits, a node comes", record(tuning(1)), nullptr, far, true},
      {"waits, a node that is gone comes", record(tuning(1)), nullptr, ended, false},
      {"waits, a node goes", record(tuning(1)), &far, ended, true},
      {"waits, a node becomes Ready", record(tuning(1)), &late, far, true},
      {"waits, a node has more memory", record(tuning(1)), &far, more, true},
      {"waits, a node gets another label", record(tuning(1)), &far, other_label, false},
      {"labels do not match", record(wire::WorkspaceT(picky)), nullptr, far, false},
      {"labels match now", record(wire::WorkspaceT(picky)), &far, labelled, true},
      {"labels match no longer", record(wire::WorkspaceT(picky)), &labelled, far, true},
      {"granted, its node goes", record(tuning(1), ready(1)), &far, ended, true},
      {"granted, its node is late", record(tuning(1), ready(1)), &far, late, false},
      {"an older revision was granted", record(tuning(1), ready(1, "rev0")), &far, late, true},
      {"without our finalizer yet", record(std::move(bare)), nullptr, far, true},
      {"leaving", record(leaving(tuning(1))), nullptr, far, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(provisioner::concerns(row.record, "n1", row.before, row.after) == row.expected);
    const std::string at_rest = encode(row.record, wire::RecordIdentifier());
    const auto& table = *flatbuffers::GetRoot<wire::Record>(at_rest.data());
    const bool may = provisioner::may_concern(table, "n1", row.before, row.after);
    CHECK((may || !row.expected));
  }
  CHECK_FALSE(provisioner::concerns(record(tuning(1), ready(1)), "n2", &far, ended));
  // What is spared: labels that do not match, a grant of another node.
  const auto may = [&](const wire::RecordT& r, const char* name, const wire::NodeT& now) {
    const std::string at_rest = encode(r, wire::RecordIdentifier());
    return provisioner::may_concern(*flatbuffers::GetRoot<wire::Record>(at_rest.data()), name,
                                    nullptr, now);
  };
  CHECK_FALSE(may(record(wire::WorkspaceT(picky)), "n1", far));
  CHECK(may(record(wire::WorkspaceT(picky)), "n1", labelled));
  CHECK_FALSE(may(record(tuning(1), ready(1)), "n2", far));
  CHECK_FALSE(may(record(leaving(tuning(1))), "n1", far));
}

TEST_CASE("provisioner: news that concerns nobody changes no decision") {
  std::mt19937 rng(9);
  const auto one_of = [&](unsigned n) { return rng() % n == 0; };
  const auto label = [](const char* value) {
    auto out = std::make_unique<wire::LabelT>();
    out->key = "app";
    out->value = value;
    return out;
  };
  int asleep = 0, woken = 0;
  for (int life = 0; life < 60; ++life) {
    wire::WorkspaceT w = tuning(1);
    if (one_of(3)) w.match_labels.push_back(label("tune"));
    if (one_of(6)) w.tuning->preset = "qwen/qwen3.5-4b";
    if (one_of(8)) w.count = 2;
    wire::RecordT r = record(std::move(w));
    runtime::Nodes nodes;
    const auto say = [&] {  // what the loop does
      const auto d = provisioner::decide(r, {nodes, 1000});
      if (d.commands.empty()) return false;
      wire::ResourcesT said = *d.commands[0].body.AsPublish()->fact->body.AsResources();
      said.version = r.resources ? r.resources->version : 1;
      if (r.resources && *r.resources == said) return false;
      ++said.version;
      r.resources = std::make_unique<wire::ResourcesT>(said);
      return true;
    };
    (void)say();
    for (std::uint64_t step = 1; step < 100; ++step) {
      const std::string name(1, static_cast<char>('a' + rng() % 4));
      wire::NodeT now = node(step, !one_of(3));
      now.exists = !one_of(4);
      now.local = one_of(8);
      if (one_of(2)) now.labels.push_back(label(one_of(3) ? "tune" : "serve"));
      if (!one_of(6)) now.models.clear();
      if (one_of(3)) now.memory_bytes = 100 << 20;
      if (one_of(4)) now.gpus = 1;
      const auto known = nodes.find(name);
      const wire::NodeT before = known != nodes.end() ? known->second : wire::NodeT();
      const bool concerned =
          provisioner::concerns(r, name, known != nodes.end() ? &before : nullptr, now);
      nodes[name] = std::move(now);
      const bool changed = say();
      CHECK((concerned || !changed));
      ++(concerned ? woken : asleep);
    }
  }
  CHECK(asleep > 1000);
  CHECK(woken > 1000);
}
TEST_CASE("provisioner: another node of the same name is another place, but not for what is done") {
  const auto granted = answer(tuning(1), one(node(1)));
  CHECK(granted.places == std::vector<std::string>{"n1/uid-n1"});
  wire::NodeT other = node(2);
  other.uid = "uid-2";
  const auto again = [&](wire::RecordT r) {
    return kinds(provisioner::decide(r, {one(wire::NodeT(other)), 1000}));
  };
  const wire::NodeT before = node(1);
  CHECK(provisioner::concerns(record(tuning(1), ready(2)), "n1", &before, other));
  CHECK(again(record(tuning(1), ready(2))) == "Publish:resources");
  CHECK(again(record(tuning(1), ready(2), artifact(3))) == "Publish:resources");  // not pushed yet
  CHECK(again(record(tuning(1), ready(2), artifact(3), pushed(4))) == "");
}

TEST_CASE(
    "provisioner: where there are GPUs vLLM serves what our engine lacks, and what is large") {
  wire::WorkspaceT w = serving(1);
  const auto on = [&](std::uint32_t gpus, std::int64_t gib, std::int64_t memory_gib = 16) {
    wire::NodeT n = node(1);
    n.local = false;
    n.gpus = gpus;
    n.gpu_memory_bytes = gib << 30;
    n.memory_bytes = memory_gib << 30;
    n.models = {w.inference->preset};
    return answer(wire::WorkspaceT(w), one(std::move(n)));
  };
  for (const char* preset : {"gpt-oss-20b", "phi-4"}) {  // 25.6 and 27.3 GiB
    CAPTURE(preset);
    w.inference->preset = preset;
    const auto large = on(1, 80);
    CHECK(large.state == wire::ResourcesState::Ready);
    CHECK(large.runtime == "vllm");
    CHECK(large.gpus == 1);
    CHECK(on(4, 24).gpus == 2);
    CHECK(on(1, 24).reason == "InsufficientMemory");
    CHECK(on(0, 0).message.ends_with("vLLM serves it on a node with GPUs."));
  }
  CHECK(on(0, 0).reason == "InsufficientMemory");
  CHECK(on(0, 0, 128).runtime == "");  // our own engine, on a CPU
  w.inference->preset = "gpt-oss-20b";
  CHECK(on(0, 0, 128).reason == "UnsupportedModel");
  w.inference->preset = "smollm2-135m-instruct";
  CHECK(on(1, 24).state == wire::ResourcesState::Ready);
  CHECK(on(1, 24).runtime == "");
}
TEST_CASE("provisioner: a pod of the user's own gets a node with the GPUs that it asks for") {
  wire::WorkspaceT w = serving(1);
  w.inference->preset.clear();
  w.inference->template_ = "{}";
  w.inference->template_gpus = 2;
  wire::NodeT n = node(1);
  n.models.clear();
  n.gpus = 1;
  CHECK(answer(wire::WorkspaceT(w), one(wire::NodeT(n))).message ==
        "the containers of inference.template ask for 2 nvidia.com/gpu; node n1 has 1");
  n.gpus = 2;
  const auto granted = answer(wire::WorkspaceT(w), one(std::move(n)));
  CHECK(granted.state == wire::ResourcesState::Ready);
  CHECK(granted.runtime == "template");
  CHECK(granted.gpus == 2);
  CHECK(granted.memory_bytes == 0);
}
