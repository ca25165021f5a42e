// What this proves: nothing is granted on a GPU that is ill or too old; what runs on one moves, or
// ends until there is one that is well; and the condition says why, with the remedy.
#include <doctest/doctest.h>

#include "agents/provisioner/gpu_fitness.h"
#include "agents/runtime/decision.h"
#include "tests/agents/provisioner/desk.h"

using namespace kairo;
using namespace kairo::test;
namespace {
const std::string xid =
    "Xid 79 (the GPU has fallen off the bus): restart the node; if it comes again, have its "
    "hardware looked at";

wire::NodeT with_gpus(std::uint32_t gpus, const std::string& uid) {
  wire::NodeT n = node(1);
  n.local = false;
  n.uid = uid;
  n.gpus = gpus;
  n.gpu_memory_bytes = 80LL << 30;
  n.labels.push_back(label("accelerator", "nvidia"));
  n.seen_gpus = std::make_unique<wire::NodeGpusT>();
  n.seen_gpus->driver = "580.95.05";
  for (std::uint32_t i = 0; i < gpus; ++i) {
    n.seen_gpus->gpus.push_back(std::make_unique<wire::NodeGpuT>());
    n.seen_gpus->gpus[i]->uuid = "GPU-" + std::to_string(i);
    n.seen_gpus->gpus[i]->name = "NVIDIA H200";
    n.seen_gpus->gpus[i]->capability = "9.0";
  }
  return n;
}
wire::ResourcesT said(const wire::RecordT& of, const runtime::Nodes& nodes) {
  const auto d = provisioner::decide(of, {nodes, 1000});
  if (d.commands.empty()) return *of.resources;
  return *d.commands[0].body.AsPublish()->fact->body.AsResources();
}
runtime::Nodes nodes_of(wire::NodeT a) {
  runtime::Nodes nodes;
  nodes.emplace("n1", std::move(a));
  return nodes;
}
}  // namespace

TEST_CASE("provisioner: a GPU that is ill is not granted, and its node says why") {
  runtime::Nodes nodes = nodes_of(with_gpus(2, "uid-n1"));
  CHECK(said(record(tuning(1)), nodes).state == wire::ResourcesState::Ready);
  nodes["n1"].seen_gpus->gpus[1]->trouble = xid;
  const auto waits = said(record(tuning(1)), nodes);
  CHECK(waits.state == wire::ResourcesState::Waiting);
  CHECK(waits.reason == "GPUUnhealthy");
  CHECK(waits.message == "node n1: GPU 1 (NVIDIA H200, GPU-1): " + xid +
                             "; it is used again when its GPUs are well");
  CHECK(waits.measured == "n1");
  nodes["n1"].seen_gpus->gpus[1]->trouble = "";
  nodes["n1"].seen_gpus->trouble = "the NVIDIA driver does not answer: restart the node";
  CHECK(said(record(tuning(1)), nodes).message ==
        "node n1: the NVIDIA driver does not answer: restart the node; it is used again when its "
        "GPUs are well");
  nodes.emplace("n2", with_gpus(1, "uid-n2"));  // another one is well
  CHECK(said(record(tuning(1)), nodes).nodes == std::vector<std::string>{"n2"});
  nodes.erase("n2");
  nodes["n1"].gpus = 0;  // what needs no GPU does not mind
  CHECK(said(record(tuning(1)), nodes).state == wire::ResourcesState::Ready);
}

TEST_CASE("provisioner: driver and GPU must be new enough, before anything is granted") {
  struct Row {
    const char *driver, *capability, *message;
  };
  const Row rows[] = {
      {"580.95.05", "8.0", ""},
      {"590.44.01", "12.0", ""},
      {"", "", ""},  // its agent does not know
      {"579.99.99", "9.0",
       "node n1 cannot run smollm2-135m-instruct: its NVIDIA driver is 579.99.99, and kairo's "
       "engine needs 580 or newer: install driver 580 on it"},
      {"580.95.05", "7.5",
       "node n1 cannot run smollm2-135m-instruct: its NVIDIA H200 has compute capability 7.5, and "
       "kairo's engine needs 8.0 or newer: take a node with an A100, L4, RTX 3000 or a newer GPU"},
  };
  for (const Row& row : rows) {
    runtime::Nodes nodes = nodes_of(with_gpus(1, "uid-n1"));
    nodes["n1"].seen_gpus->driver = row.driver;
    nodes["n1"].seen_gpus->gpus[0]->capability = row.capability;
    const auto answer = said(record(tuning(1)), nodes);
    CHECK(answer.message == row.message);
    CHECK(answer.reason == (*row.message == '\0' ? "" : "UnsupportedGPU"));
  }
}

TEST_CASE("provisioner: what runs on a GPU that falls ill moves, or ends until one is well") {
  runtime::Nodes nodes = nodes_of(with_gpus(2, "uid-n1"));
  wire::RecordT r = record(tuning(1));
  wire::ResourcesT granted = said(r, nodes);
  granted.version = 2;
  runtime::absorb(r, fact(wire::ResourcesT(granted)));
  wire::RunT run;
  run.version = 3;
  run.planned = true;
  run.revision = r.workspace->revision;
  run.node = "n1";
  run.place = "n1/uid-n1";
  runtime::absorb(r, fact(std::move(run)));
  const wire::NodeT before = with_gpus(2, "uid-n1");
  CHECK(said(r, nodes) == granted);
  nodes["n1"].seen_gpus->gpus[1]->trouble = xid;
  CHECK(provisioner::concerns(r, "n1", &before, nodes["n1"]));
  const auto waits = said(r, nodes);
  CHECK(waits.state == wire::ResourcesState::Waiting);
  CHECK(waits.reason == "GPUUnhealthy");
  CHECK(waits.drain);
  CHECK(waits.places == std::vector<std::string>{"n1/uid-n1"});  // its checkpoints lie there

  wire::TrainingT training;  // it has the other GPU: it goes on
  training.version = 4;
  training.revision = r.workspace->revision;
  training.node = "n1";
  training.progress = std::make_unique<wire::ProgressT>();
  training.progress->gpu = "GPU-0";
  runtime::absorb(r, fact(wire::TrainingT(training)));
  CHECK(said(r, nodes) == granted);
  training.version = 5;
  training.progress->gpu = "GPU-1";
  runtime::absorb(r, fact(wire::TrainingT(training)));
  CHECK(said(r, nodes).drain);

  nodes.emplace("n2", with_gpus(1, "uid-n2"));
  const auto moved = said(r, nodes);
  CHECK(moved.state == wire::ResourcesState::Ready);
  CHECK(moved.places == std::vector<std::string>{"n2/uid-n2"});
  nodes.erase("n2");

  runtime::absorb(r, fact([&] {
    auto w = wire::ResourcesT(waits);
    w.version = 6;
    return w;
  }()));
  nodes["n1"].seen_gpus->gpus[1]->trouble = "";  // it is well again
  const auto again = said(r, nodes);
  CHECK(again.state == wire::ResourcesState::Ready);
  CHECK(again.places == std::vector<std::string>{"n1/uid-n1"});

  nodes["n1"].seen_gpus->gpus[1]->trouble = xid;  // what is trained needs no GPU
  granted.version = 7;
  runtime::absorb(r, fact(wire::ResourcesT(granted)));
  wire::ArtifactT artifact;
  artifact.version = 8;
  artifact.revision = r.workspace->revision;
  artifact.node = "n1";
  artifact.place = "n1/uid-n1";
  runtime::absorb(r, fact(std::move(artifact)));
  CHECK(said(r, nodes) == granted);
}

TEST_CASE("provisioner: a bought node whose GPU stays ill is given up, and another is bought") {
  Desk desk;
  desk.decide();
  desk.hear(ready_claim(20));
  desk.nodes["gpu1"] = machine();
  desk.nodes["gpu1"].seen_gpus = std::move(with_gpus(1, "").seen_gpus);
  desk.decide();
  REQUIRE(desk.record.resources->state == wire::ResourcesState::Ready);
  desk.nodes["gpu1"].seen_gpus->gpus[0]->trouble = xid;
  desk.decide();
  CHECK(desk.record.resources->state == wire::ResourcesState::Waiting);
  CHECK(desk.record.resources->node_reason == "GPUUnhealthy");
  CHECK(desk.record.resources->node_message ==
        "node gpu1: GPU 0 (NVIDIA H200, GPU-0): " + xid +
            "; it is used again when its GPUs are well");
  CHECK(desk.record.resources->drain);
  std::string did;
  for (int minute = 0; minute < 32; ++minute) {
    desk.now_ms += 60'000;
    did += desk.decide();
  }
  CHECK(did.find("GiveUpNodes lost/uid-ws321e0d259") != std::string::npos);
}
