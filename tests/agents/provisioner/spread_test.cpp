// What this proves: inference with resource.count > 1 gets as few alike nodes as KAITO's estimate
// asks for, with free GPUs; else the figures and a remedy. What one node serves takes one.
#include "agents/provisioner/spread.h"

#include <doctest/doctest.h>

#include "agents/provisioner/decide.h"
#include "agents/provisioner/estimate.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
wire::WorkspaceT large(std::uint32_t count, const std::string& preset = "llama-3.3-70b-instruct") {
  wire::WorkspaceT w = serving(1);
  w.inference->preset = preset;
  w.count = count;
  w.match_labels.push_back(label("apps", "large"));
  return w;
}
wire::NodeT gpus(std::uint32_t n, std::int64_t gib = 80, bool ready = true) {
  wire::NodeT out = node(1, ready);
  out.local = false;
  out.uid = "u";
  out.gpus = n;
  out.gpu_memory_bytes = gib << 30;
  out.models = {"llama-3.3-70b-instruct", "phi-4", "smollm2-135m-instruct"};
  out.labels.push_back(label("apps", "large"));
  return out;
}
struct Room {
  runtime::Nodes nodes;
  runtime::GpusHeld held;
};
wire::ResourcesT answer(const wire::RecordT& record, const Room& room,
                        std::int64_t* wake_at_ms = nullptr) {
  const auto d = provisioner::decide(
      record, {room.nodes, 1000, "", "", room.held.empty() ? nullptr : &room.held});
  REQUIRE(kinds(d) == "Publish:resources");
  if (wake_at_ms != nullptr) *wake_at_ms = d.wake_at_ms;
  return *d.commands[0].body.AsPublish()->fact->body.AsResources();
}
Room nodes(std::vector<std::pair<std::string, wire::NodeT>> list) {
  Room out;
  for (auto& [name, node] : list) out.nodes.emplace(name, std::move(node));
  return out;
}
std::string told(const wire::ResourcesT& said) {
  if (said.state != wire::ResourcesState::Ready) return said.reason + ": " + said.message;
  std::string out = said.runtime + " x" + std::to_string(said.gpus) + " on";
  for (const std::string& place : said.places) out += " " + place;
  return out;
}
}  // namespace

TEST_CASE("spread: nodes that one model takes, by KAITO's estimate") {
  const auto* preset = catalogue::find_preset("llama-3.3-70b-instruct");
  const std::int64_t gib = 1LL << 30;
  CHECK(provisioner::vllm_nodes(*preset, 80 * gib, 1) == 3);
  CHECK(provisioner::vllm_nodes(*preset, 80 * gib, 2) == 2);
  CHECK(provisioner::vllm_nodes(*preset, 80 * gib, 4) == 1);
  CHECK(provisioner::vllm_nodes(*preset, 24 * gib, 4) == 3);
  CHECK(provisioner::vllm_nodes(*preset, 2 * gib, 8) == 0);
  CHECK(provisioner::vllm_nodes(*preset, 80 * gib, 0) == 0);
}

TEST_CASE("spread: granted, waited for, refused") {
  const std::string need =
      "llama-3.3-70b-instruct needs 2 nodes like a (2 GPUs of 80.0 GiB) for weights of 131.4 GiB";
  wire::NodeT empty = gpus(2);
  empty.models.clear();
  struct Row {
    const char* name;
    wire::WorkspaceT w;
    Room room;
    std::string expected;
  };
  std::vector<Row> rows;
  const auto add = [&](const char* name, wire::WorkspaceT w, Room room, std::string expected) {
    rows.push_back({name, std::move(w), std::move(room), std::move(expected)});
  };
  add("two of three, by name", large(2), nodes({{"c", gpus(2)}, {"b", gpus(2)}, {"a", gpus(2)}}),
      "vllm x2 on a/u b/u");
  add("fewer than count", large(4), nodes({{"a", gpus(2)}, {"b", gpus(2)}, {"c", gpus(2)}}),
      "vllm x2 on a/u b/u");
  add("a power of two of three GPUs", large(2), nodes({{"a", gpus(3)}, {"b", gpus(3)}}),
      "vllm x2 on a/u b/u");
  add("alike ones only", large(2), nodes({{"a", gpus(2)}, {"b", gpus(1)}, {"c", gpus(2)}}),
      "vllm x2 on a/u c/u");
  add("one node suffices", large(2), nodes({{"a", gpus(2)}, {"b", gpus(2)}, {"c", gpus(8)}}),
      "NotReached");
  add("one is there", large(2), nodes({{"a", gpus(2)}}),
      "NotEnoughNodes: " + need + "; 1 of them is there; kubectl label node NAME apps=large");
  add("one is late", large(2), nodes({{"a", gpus(2)}, {"b", gpus(2, 80, false)}}),
      "NodeNotReady: " + need + "; b is not Ready");
  add("one has no weights", large(2), nodes({{"a", gpus(2)}, {"b", std::move(empty)}}),
      "NotEnoughNodes: " + need + "; 1 of them is there; kubectl label node NAME apps=large");
  add("too many are needed", large(2), nodes({{"a", gpus(1)}, {"b", gpus(1)}, {"c", gpus(1)}}),
      "InsufficientMemory: llama-3.3-70b-instruct needs 3 nodes like a (1 GPU of 80.0 GiB) for "
      "weights of 131.4 GiB, and resource.count is 2; make the Workspace anew with "
      "resource.count: 3, or for nodes with larger GPUs");
  add("too small", large(2), nodes({{"a", gpus(2, 2)}, {"b", gpus(2, 2)}}),
      "InsufficientMemory: a GPU of node a has 2.0 GiB, too little for any stage of "
      "llama-3.3-70b-instruct; use nodes with larger GPUs");
  add("no node", large(2), {},
      "NodeNotFound: no node carries the labels of resource.labelSelector; kubectl label node NAME "
      "apps=large");
  Room busy = nodes({{"a", gpus(2)}, {"b", gpus(2)}, {"c", gpus(2)}});
  busy.held = {{"a", 1}, {"b", 2}};
  add("GPUs are taken", large(2), std::move(busy),
      "GPUsInUse: llama-3.3-70b-instruct needs 2 nodes like c (2 GPUs of 80.0 GiB) for weights of "
      "131.4 GiB; other Workspaces have the GPUs of a, b");
  Room part = nodes({{"a", gpus(4)}, {"b", gpus(4)}});
  add("a model of one node keeps to one", large(2, "phi-4"), std::move(part), "NotReached");
  for (const Row& row : rows) {
    INFO(row.name);
    const std::string seen = told(answer(record(wire::WorkspaceT(row.w)), row.room));
    if (row.expected == "NotReached")
      CHECK(seen.find('/') == seen.rfind('/'));
    else
      CHECK(seen == row.expected);
  }
}

TEST_CASE("spread: who wishes for one node hears how many would do") {
  const auto said = answer(record(large(1)), nodes({{"a", gpus(2)}, {"b", gpus(2)}}));
  CHECK(said.reason == "InsufficientMemory");
  CHECK(said.message.ends_with(
      "node a has 16.0 GiB of memory, 80.0 GiB on each of 2 GPUs. 2 nodes like this one serve it "
      "together: make the Workspace anew with resource.count: 2."));
}

TEST_CASE("spread: a template's pods each get a node") {
  wire::WorkspaceT w = large(2, "");
  w.inference->template_ = "{}";
  w.inference->template_gpus = 1;
  Room room = nodes({{"a", gpus(1)}, {"b", gpus(8)}});
  CHECK(told(answer(record(wire::WorkspaceT(w)), room)) == "template x1 on a/u b/u");
  room.nodes.erase("b");
  CHECK(told(answer(record(std::move(w)), room)) ==
        "NotEnoughNodes: inference.template needs 2 nodes like a with 1 GPU each; 1 of them is "
        "there; kubectl label node NAME apps=large");
}

TEST_CASE("spread: what another has is looked at again; what one has itself is free") {
  Room room = nodes({{"a", gpus(2)}, {"b", gpus(2)}, {"c", gpus(2)}});
  room.held = {{"a", 2}, {"b", 2}, {"c", 0}};
  std::int64_t wake_at_ms = 0;
  auto said = answer(record(large(2)), room, &wake_at_ms);
  CHECK(said.target == 2);
  CHECK(wake_at_ms == 6000);
  wire::ResourcesT own = ready(1);
  own.nodes = {"a", "b"};
  own.places = {"a/u", "b/lost"};
  own.gpus = 2;
  CHECK(told(answer(record(large(2), std::move(own)), room)) == "vllm x2 on a/u b/u");
}

TEST_CASE("spread: a grant stands while all of its nodes are there; each of them concerns it") {
  wire::ResourcesT own = ready(1);
  own.nodes = {"a", "b"};
  own.places = {"a/u", "b/u"};
  own.gpus = own.target = 2;
  own.runtime = "vllm";
  const auto granted = record(large(2), std::move(own));
  Room room = nodes({{"a", gpus(2)}, {"b", gpus(2, 80, false)}});
  CHECK(kinds(provisioner::decide(granted, {room.nodes, 1000})) == "");
  const wire::NodeT there = gpus(2), ended = gone(gpus(2));
  CHECK(provisioner::concerns(granted, "b", &there, ended));
  CHECK_FALSE(provisioner::concerns(granted, "c", &there, ended));
  room = nodes({{"a", gpus(2)}, {"c", gpus(2)}});
  CHECK(told(answer(granted, room)) == "vllm x2 on a/u c/u");
  const auto waits = record(large(2));
  CHECK(provisioner::concerns(waits, "b", nullptr, there));
  CHECK_FALSE(provisioner::concerns(waits, "b", &there, there));
}

TEST_CASE("spread: refused in words where it cannot be") {
  wire::WorkspaceT tunes = tuning(1);
  tunes.count = 2;
  CHECK(told(answer(record(std::move(tunes)), nodes({{"n1", node(1)}}))) ==
        "UnsupportedNodeCount: resource.count is 2, and a tuning runs on one node; set it to 1");
  const auto local = told(answer(record(large(2)), nodes({{"n1", node(1)}})));
  CHECK(
      local.starts_with("UnsupportedNodeCount: resource.count is 2, and local mode is one "
                        "machine: llama-3.3-70b-instruct needs about "));
  provisioner::Terms terms;
  terms.mode = provisioner::Mode::node_claims;
  wire::WorkspaceT bought = large(2);
  bought.instance_type = "Standard_NC24ads_A100_v4";
  const auto d = provisioner::decide(record(std::move(bought)), {{}, 1000}, terms);
  REQUIRE(kinds(d) == "Publish:resources");
  CHECK(d.commands[0].body.AsPublish()->fact->body.AsResources()->message ==
        "llama-3.3-70b-instruct needs 3 nodes of Standard_NC24ads_A100_v4 (1 GPU of 80.0 GiB) for "
        "weights of 131.4 GiB, and resource.count is 2; make the Workspace anew with "
        "resource.count: 3, or with a larger instanceType");
}
TEST_CASE("spread: images are mounted as volumes where each of the nodes can") {
  wire::NodeT can = gpus(2), cannot = gpus(2);
  can.kubelet = "v1.35.0";
  can.container_runtime = "containerd://2.1.5";
  const auto granted = [](const wire::NodeT& a, const wire::NodeT& b) {
    return answer(record(large(2)), nodes({{"a", wire::NodeT(a)}, {"b", wire::NodeT(b)}}))
        .image_volumes;
  };
  CHECK(granted(can, can));
  CHECK_FALSE(granted(can, cannot));
  CHECK_FALSE(granted(cannot, can));
}
