// agents/runtime/tuned.cpp - two records, one answer.
#include "agents/runtime/tuned.h"

#include <algorithm>

#include "agents/runtime/decision.h"

namespace kairo::runtime {
namespace {
bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}
bool is_taken(const wire::InferenceT& inference, const std::string& name) {
  return name == inference.preset ||
         std::any_of(inference.adapters.begin(), inference.adapters.end(),
                     [&](const auto& adapter) { return adapter->source->name == name; });
}
// "localhost:5055/adapters/pip:0.1" -> "localhost:5055/adapters/pip@sha256:..."
std::string by_digest(const std::string& image, const std::string& digest) {
  std::string out = image.substr(0, image.find('@'));
  const std::size_t colon = out.rfind(':'), slash = out.rfind('/');
  if (colon != std::string::npos && (slash == std::string::npos || colon > slash))
    out.resize(colon);
  return out + "@" + digest;
}
bool has_failed(const wire::RecordT& tuning) {
  const wire::ArtifactT* artifact = artifact_of(tuning);
  const wire::JobT* job = tuning.job.get();
  const bool is_its = job != nullptr && job->exists && job->revision == tuning.workspace->revision;
  return (artifact != nullptr && !artifact->problem.empty()) ||
         (is_its && job->finished && job->succeeded == 0);
}
Tuned pushed(const wire::RecordT& tuning, Tuned out) {
  const wire::PushT* push = push_of(tuning);
  out.state = push->digest.empty() ? Tuning::without_digest : Tuning::ready;
  out.adapter.digest = push->digest;
  out.adapter.image = by_digest(push->image, push->digest);
  out.adapter.secret = tuning.workspace->tuning->output->image_push_secret;
  return out;
}
// It is wanted in no registry: it lies in the run's folder, on one node.
Tuned kept(const wire::RecordT& record, const wire::ArtifactT& artifact, Tuned out) {
  out.node = artifact.node;
  out.state = artifact.node == run_node_of(record) ? Tuning::ready : Tuning::elsewhere;
  out.adapter.digest = "sha256:" + artifact.digest;
  out.adapter.folder = artifact.path;
  return out;
}
}  // namespace

std::vector<std::string> named_tunings(const wire::WorkspaceT& workspace) {
  std::vector<std::string> out;
  if (!workspace.inference || workspace.tuning) return out;
  const std::string text = annotation_of(workspace, adapters_from);
  for (std::size_t from = 0; from < text.size() && out.size() < adapters_from_max;) {
    const auto first =
        std::find_if(text.begin() + static_cast<long>(from), text.end(), is_name_char);
    const auto last = std::find_if_not(first, text.end(), is_name_char);
    const std::string name(first, last);
    if (!name.empty() && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    from = static_cast<std::size_t>(last - text.begin());
  }
  return out;
}

Tuned tuned_for(const wire::RecordT& record, const std::string& name, const wire::RecordT* tuning) {
  Tuned out;
  out.adapter.name = name;
  const wire::InferenceT& inference = *record.workspace->inference;
  if (is_taken(inference, name)) return out.state = Tuning::name_taken, out;
  if (tuning == nullptr || !tuning->workspace || !tuning->workspace->exists) return out;
  const wire::WorkspaceT& w = *tuning->workspace;
  if (w.deleting) return out.state = Tuning::leaving, out;
  if (!w.tuning) return out.state = w.problem.empty() ? Tuning::is_none : Tuning::coming, out;
  out.base = out.adapter.base = w.tuning->preset;
  if (out.base != inference.preset) return out.state = Tuning::other_base, out;
  if (is_pushed(*tuning)) return pushed(*tuning, std::move(out));
  if (has_kaito_done(*tuning)) return out.state = Tuning::without_digest, out;
  const wire::ArtifactT* artifact = artifact_of(*tuning);
  const bool wants_image = w.tuning->output && !w.tuning->output->image.empty();
  if (artifact != nullptr && artifact->problem.empty() && !wants_image)
    return kept(record, *artifact, std::move(out));
  out.state = has_failed(*tuning) ? Tuning::failed : Tuning::coming;
  return out;
}

const wire::ServedAdapterT* last_served(const wire::RecordT& record, const std::string& name) {
  const wire::ServedAdapterT* out = nullptr;
  std::uint64_t newest = 0;
  for (const auto& serving : record.servings)
    for (const auto& adapter : serving->adapters) {
      const bool counts = adapter->name == name && !adapter->digest.empty() &&
                          adapter->base == record.workspace->inference->preset;
      if (!counts) continue;
      if (serving->node == run_node_of(record)) return adapter.get();
      if (serving->version <= newest) continue;
      newest = serving->version;
      out = adapter.get();
    }
  return out;
}

bool is_to_be_served(const wire::RecordT& record, const std::string& name, const Tuned& tuned,
                     wire::WantedAdapterT& out) {
  if (tuned.state == Tuning::ready) return out = tuned.adapter, true;
  const wire::ServedAdapterT* last =
      tuned.state == Tuning::name_taken ? nullptr : last_served(record, name);
  if (last == nullptr) return false;
  out.name = name;
  out.digest = last->digest;
  out.image = last->image;
  out.secret = last->secret;
  out.base = last->base;
  return true;
}

bool can_load_adapters(const wire::RecordT& record) {
  const wire::WorkspaceT& w = *record.workspace;
  return w.inference && w.inference->template_.empty() &&
         (!record.resources || record.resources->runtime.empty());
}
}  // namespace kairo::runtime
