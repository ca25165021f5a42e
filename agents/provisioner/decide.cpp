// agents/provisioner/decide.cpp - what is granted stands; everything else is assessed anew.
#include "agents/provisioner/decide.h"

#include <algorithm>

#include "agents/provisioner/assess.h"
#include "agents/provisioner/bought.h"
#include "agents/provisioner/buyable.h"
#include "agents/provisioner/end.h"
#include "agents/provisioner/follow.h"
#include "agents/provisioner/give_back.h"
#include "agents/provisioner/gpu_fitness.h"
#include "agents/provisioner/party.h"
#include "agents/provisioner/spread.h"
#include "agents/runtime/decision.h"

namespace kairo::provisioner {
namespace {
using wire::ResourcesState;
const std::vector<std::string> no_places;
constexpr std::int64_t gpus_again_ms = 5'000;  // no fact tells that another Workspace is over

// The nodes that this revision was given; null = it was given none.
const wire::ResourcesT* granted_to(const wire::RecordT& record) {
  const wire::ResourcesT* said = record.resources.get();
  if (said == nullptr || said->state != ResourcesState::Ready ||
      said->revision != record.workspace->revision)
    return nullptr;
  return said;
}
const wire::NodeT* node_at(const std::string& place, const runtime::Nodes& nodes) {
  const std::size_t slash = place.find('/');
  const auto node = nodes.find(place.substr(0, slash));
  const bool is_there =
      node != nodes.end() && node->second.exists && place.substr(slash + 1) == node->second.uid;
  return is_there ? &node->second : nullptr;
}
// A grant stands while its nodes are there, the same ones: one that is late, or that holds other
// models by now, ends nothing that runs there. What is done needs them no more.
bool stands(const wire::RecordT& record, const wire::ResourcesT& granted,
            const runtime::Nodes& nodes) {
  if (runtime::is_done(record)) return true;
  return !granted.places.empty() &&
         std::all_of(granted.places.begin(), granted.places.end(),
                     [&](const std::string& place) { return node_at(place, nodes) != nullptr; });
}

// What is left to compute needs a GPU that is well: the first of its nodes where it has none.
// null: all is well.
const wire::NodeT* ill_among(const wire::RecordT& record, const wire::ResourcesT& granted,
                             const runtime::Nodes& nodes) {
  if (granted.gpus == 0 || (record.workspace->tuning && runtime::is_trained(record)))
    return nullptr;
  const wire::TrainingT* training = runtime::training_of(record);
  const bool is_of_it = training != nullptr && training->revision == record.workspace->revision;
  for (const std::string& place : granted.places) {
    const wire::NodeT* node = node_at(place, nodes);
    if (node != nullptr && !gpu_trouble_of(*node, is_of_it ? training->progress->gpu : "").empty())
      return node;
  }
  return nullptr;
}

// KAITO has brought what its workload runs on.
bool runs_by_kaito(const wire::RecordT& record) {
  const auto is_there = [&](const auto& seen) {
    return seen && seen->exists && runtime::is_kaitos(record, seen);
  };
  return is_there(record.job) || is_there(record.server);
}

// Bought nodes that work: only what lasts ends that. true: nothing is left to decide.
bool watch_over(runtime::Decision& d, const wire::RecordT& record, const wire::ResourcesT& granted,
                const runtime::View& view, const Terms& terms) {
  const wire::NodeClaimT* ends = nullptr;
  bool is_lost = false;
  for (const std::string& place : granted.places) {
    const wire::NodeClaimT* claim = claim_of_node(record, runtime::node_of_place(place));
    if (claim == nullptr) continue;  // it is the user's
    const std::string key = key_of("unready", ordinal_of(record, *claim, terms));
    const bool is_ready = node_at(place, view.nodes)->ready;
    if (is_ready && !runtime::mark_of(record, key).value.empty()) mark(d, key, "", 0);
    if (!is_ready && terms.lost_after_ms > 0 &&
        has_lasted(d, record, key, claim->uid, terms.lost_after_ms, view.now_ms))
      is_lost = true;
    if (claim->deleting && ends == nullptr) ends = claim;
  }
  if (is_lost) return false;
  keep_size(d, record, view, terms);
  wire::ResourcesT now(granted);
  const Told told = ends == nullptr ? Told{} : explain(d, record, *ends, view.now_ms);
  now.claim_reason = told.reason;
  now.claim_message = told.message;
  runtime::publish(d, record, std::move(now));
  return true;
}

void decide_bought(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
                   const Terms& terms) {
  if (!record.workspace) return;
  if (!runtime::is_live(record)) return leave(d, record, view, terms);
  // Seen before our finalizer is on: nobody else can have bought anything for it. A node is bought
  // beside that write: of a Workspace that goes before it is done, `leave` gives it back.
  if (!record.workspace->finalized && runtime::mark_of(record, "new").value.empty())
    return mark(d, "new", "yes", 0);  // and asked again
  if (was_given_back(record) || runs_by_kaito(record)) return;
  if (runtime::is_done(record)) return rest(d, record, view, terms);
  const auto* granted = granted_to(record);
  const bool is_there = granted != nullptr && stands(record, *granted, view.nodes);
  const bool is_ill = is_there && ill_among(record, *granted, view.nodes) != nullptr;
  if (is_there && !is_ill && watch_over(d, record, *granted, view, terms)) return;
  if (auto refused = why_not(*record.workspace, terms)) {
    refused->claim_reason = "NodeClaimNotReady";
    refused->claim_message = "nothing is bought: " + refused->message;
    refused->node_reason = "NodeNotReady";
    refused->node_message = "Not enough Nodes are ready: nothing is bought";
    return say(d, record, std::move(*refused), orders_of(record));
  }
  buy(d, record, view, terms);
}
}  // namespace

runtime::Decision decide(const wire::RecordT& record, const runtime::View& view,
                         const Terms& terms) {
  runtime::Decision d;
  if (terms.mode != Mode::own) {
    decide_bought(d, record, view, terms);
    return d;
  }
  if (runtime::is_leaving(record)) {
    runtime::publish(d, record, word(*record.workspace, ResourcesState::Released, "", ""));
    return d;
  }
  if (!runtime::is_live(record)) return d;
  const auto* granted = granted_to(record);
  const bool is_there = granted != nullptr && stands(record, *granted, view.nodes);
  const bool is_ill = is_there && ill_among(record, *granted, view.nodes) != nullptr;
  if (is_there && !is_ill) return d;
  // What it has itself is free for it.
  const auto held = view.held == nullptr ? runtime::GpusHeld()
                                         : held_by_others(*view.held, record.resources.get());
  wire::ResourcesT said = assess(*record.workspace, view.nodes, &held,
                                 record.resources ? record.resources->places : no_places);
  if (said.drain && record.resources) said.places = record.resources->places;  // all lies there
  if (waits_for_gpus(said)) wake(d, view.now_ms + gpus_again_ms);
  runtime::publish(d, record, std::move(said));
  return d;
}

bool concerns(const wire::RecordT& record, const std::string& name, const wire::NodeT* before,
              const wire::NodeT& after, const Terms& terms) {
  if (!runtime::is_live(record)) return false;
  const auto* granted = granted_to(record);
  const bool is_granted =
      granted != nullptr &&
      std::find(granted->nodes.begin(), granted->nodes.end(), name) != granted->nodes.end();
  if (terms.mode != Mode::own)
    return is_granted || claim_of_node(record, name) != nullptr || is_given(after, record) ||
           (before != nullptr && is_given(*before, record));
  if (granted != nullptr)
    return is_granted && (!after.exists || (before != nullptr && before->uid != after.uid) ||
                          gpu_trouble(after) != (before == nullptr ? "" : gpu_trouble(*before)));
  return may_change(*record.workspace, record.resources.get(), name, before, after);
}
}  // namespace kairo::provisioner
