// tests/support/facts.h - facts and records in one line, for decision tables.
#pragma once
#include <memory>
#include <string>

#include "agents/runtime/agent.h"
#include "agents/runtime/record.h"

namespace kairo::test {
inline std::unique_ptr<wire::DataDestinationT> image_output(const std::string& image) {
  auto out = std::make_unique<wire::DataDestinationT>();
  out->image = image;
  out->image_push_secret = "push";
  return out;
}
inline std::unique_ptr<wire::LabelT> label(const std::string& key, const std::string& value) {
  auto out = std::make_unique<wire::LabelT>();
  out->key = key;
  out->value = value;
  return out;
}
inline wire::WorkspaceT tuning(std::uint64_t version, const std::string& revision = "rev1") {
  wire::WorkspaceT w;
  w.version = version;
  w.generation = 1;
  w.revision = revision;
  w.exists = w.finalized = true;
  w.annotations.push_back(label("workspace.kaito.io/hash", revision));
  w.annotations.push_back(label("workspace.kaito.io/revision", "1"));
  w.tuning = std::make_unique<wire::TuningT>();
  w.tuning->preset = "smollm2-135m-instruct";
  w.tuning->method = "qlora";
  w.tuning->input = std::make_unique<wire::DataSourceT>();
  w.tuning->input->urls = {"http://127.0.0.1:1/d.jsonl"};
  w.tuning->output = image_output("localhost:5000/a:1");
  return w;
}
inline wire::WorkspaceT serving(std::uint64_t version, const std::string& revision = "rev1") {
  wire::WorkspaceT w = tuning(version, revision);
  w.tuning.reset();
  w.inference = std::make_unique<wire::InferenceT>();
  w.inference->preset = "smollm2-135m-instruct";
  return w;
}
inline wire::NodeT node(std::uint64_t version, bool ready = true) {
  wire::NodeT n;
  n.version = version;
  n.exists = n.local = true;
  n.ready = ready;
  n.cpu_milli = 2000;
  n.memory_bytes = 16LL << 30;
  n.models = {"smollm2-135m-instruct"};
  n.uid = "uid-n1";
  return n;
}
template <class Body>
wire::FactT fact(Body body, const std::string& uid = "u1", const std::string& name = "w") {
  wire::FactT f;
  f.uid = uid;
  f.ns = "default";
  f.name = name;
  f.body.Set(std::move(body));
  return f;
}
template <class... Bodies>
wire::RecordT record(Bodies... bodies) {
  wire::RecordT r;
  (runtime::absorb(r, fact(std::move(bodies))), ...);
  return r;
}
inline wire::ResourcesT ready(std::uint64_t version, const std::string& revision = "rev1") {
  wire::ResourcesT x;
  x.version = version;
  x.revision = revision;
  x.state = wire::ResourcesState::Ready;
  x.nodes = {"n1"};
  x.places = {"n1/uid-n1"};
  return x;
}
inline wire::RunT planned(std::uint64_t version, const std::string& revision = "rev1",
                          bool wanted = true) {
  wire::RunT x;
  x.version = version;
  x.revision = revision;
  x.planned = wanted;
  x.node = "n1";
  x.place = "n1/uid-n1";
  x.preset = "smollm2-135m-instruct";
  return x;
}
inline wire::RunDirT run_dir(std::uint64_t version, const std::string& revision = "rev1",
                             wire::RunDirState state = wire::RunDirState::Ready) {
  wire::RunDirT x;
  x.version = version;
  x.revision = revision;
  x.state = state;
  x.node = "n1";
  x.place = "n1/uid-n1";
  x.path = "/runs/default/u1/" + revision;
  x.volume = "/runs/default";
  return x;
}
inline wire::JobT job(std::uint64_t version, const std::string& revision = "rev1") {
  wire::JobT x;
  x.version = version;
  x.exists = true;
  x.uid = "j-" + revision;
  x.revision = revision;
  if (!revision.empty()) x.kaito_revision = "1";
  x.active = x.ready = 1;
  return x;
}
inline wire::JobT finished(std::uint64_t version, std::uint32_t succeeded,
                           const std::string& revision = "rev1") {
  wire::JobT x = job(version, revision);
  x.active = x.ready = 0;
  x.finished = true;
  x.succeeded = succeeded;
  x.failed = 1 - succeeded;
  return x;
}
inline wire::ServerT server(std::uint64_t version, const std::string& revision = "rev1") {
  wire::ServerT x;
  x.version = version;
  x.exists = true;
  x.revision = revision;
  x.replicas = x.ready_replicas = 1;
  if (!revision.empty()) x.kaito_revision = "1";
  return x;
}
template <class Body>  // Workspace, Job, Pod, Server, Node
Body gone(Body body) {
  body.exists = false;
  return body;
}
inline wire::ArtifactT artifact(std::uint64_t version, const std::string& revision = "rev1") {
  wire::ArtifactT x;
  x.version = version;
  x.revision = revision;
  x.node = "n1";
  x.place = "n1/uid-n1";
  x.path = "/runs/u1/results";
  x.bytes = 10;
  x.digest = "d";
  return x;
}
inline wire::PushT pushed(std::uint64_t version, const std::string& revision = "rev1") {
  wire::PushT x;
  x.version = version;
  x.revision = revision;
  x.state = wire::PushState::Pushed;
  x.image = "localhost:5000/a:1";
  x.digest = "sha256:1";
  x.bytes = 10;
  x.node = "n1";
  return x;
}
inline wire::CheckpointT checkpoint(std::uint64_t version, std::uint32_t step,
                                    const std::string& node = "n1",
                                    const std::string& revision = "rev1") {
  wire::CheckpointT x;
  x.version = version;
  x.revision = revision;
  x.step = step;
  x.node = node;
  x.image = "localhost:5000/a:1-checkpoint-u1";
  x.digest = "sha256:2";
  return x;
}
inline wire::TrainingT training(wire::RunPhase phase, std::uint32_t step) {
  wire::TrainingT t;
  t.version = 1;
  t.revision = "rev1";
  t.node = "n1";
  t.progress = std::make_unique<wire::ProgressT>();
  t.progress->phase = phase;
  t.progress->step = step;
  t.progress->total_steps = 36;
  t.progress->message = "column \"question\" is missing";
  t.progress->code = "bad_data";
  return t;
}
inline wire::WorkspaceT leaving(wire::WorkspaceT w) {
  w.deleting = true;
  return w;
}
// "ApplyTuning PatchStatus": the kinds of a decision's commands, facts as "Publish:run".
inline std::string kinds(const runtime::Decision& decision) {
  std::string out;
  for (const wire::CommandT& c : decision.commands) {
    out += (out.empty() ? "" : " ") + runtime::kind_of(c.body.type);
    if (c.body.type == wire::CommandBody::Publish)
      out += ":" + runtime::kind_of(c.body.AsPublish()->fact->body.type);
  }
  return out;
}
inline wire::RecordT marked(wire::RecordT r, const std::string& key, const std::string& value,
                            std::uint64_t seen = 0, std::uint64_t generation = 0) {
  wire::MarkT mark;
  mark.key = key;
  mark.value = value;
  mark.seen = seen;
  mark.generation = generation;
  runtime::set_mark(r, std::move(mark));
  return r;
}
}  // namespace kairo::test
