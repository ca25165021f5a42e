// agents/provisioner/bought.cpp - the slowest of its nodes is told of; all of them are granted.
#include "agents/provisioner/bought.h"

#include <algorithm>

#include "agents/provisioner/assess.h"
#include "agents/provisioner/end.h"
#include "agents/provisioner/follow.h"
#include "agents/provisioner/party.h"
#include "schemas/base/clock.h"

namespace kairo::provisioner {
namespace {
using runtime::Decision;
using wire::ResourcesState;
using wire::ResourcesT;

// A node that does not come back: its claim goes, and another is asked for when it has gone.
void give_up_lost(Decision& d, const wire::RecordT& record, std::vector<Part>& parts,
                  const runtime::View& view, const Terms& terms) {
  for (Part& part : parts) {
    const bool is_down = (part.stage.name == "node" || part.stage.name == "ill") &&
                         part.stage.machine != nullptr;
    if (!is_down || part.claim == nullptr || terms.lost_after_ms <= 0) continue;
    if (!has_lasted(d, record, key_of("unready", part.ordinal), part.claim->uid,
                    terms.lost_after_ms, view.now_ms))
      continue;
    give_up(d, record, part.ordinal, *part.claim, "lost/" + part.claim->uid);
    part.stage.node.message +=
        "; it is given up after " + std::to_string(terms.lost_after_ms / 60'000) + " minutes";
  }
}
void label(Decision& d, const wire::RecordT& record, const std::vector<Part>& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].stage.name != "label") continue;
    wire::LabelNodeT body;
    body.node = parts[i].stage.machine->first;
    body.uid = parts[i].stage.machine->second.uid;
    const std::string wish = body.node + "/" + body.uid;
    runtime::ask(d, record, key_of("label", i), wish, "", std::move(body),
                 {parts[i].stage.machine->second.version});
  }
}

// All are usable.
void grant(Decision& d, const wire::RecordT& record, const Party& party, const runtime::View& view,
           const Terms& terms) {
  Machines machines;
  for (const Part& part : party.parts) {
    machines.push_back(part.stage.machine);
    if (part.claim != nullptr)
      (void)since(d, record, key_of("granted", part.ordinal), part.claim->uid, view.now_ms);
  }
  ResourcesT out = assess_together(*record.workspace, machines, party.needed);
  if (out.state != ResourcesState::Ready)  // each by itself would do
    out = bought_word(record, {}, {out.reason, out.message});
  else if (terms.mode == Mode::karpenter)
    out.node_message = "Enough Nodes are ready with GPU resources";  // KAITO's words there
  say(d, record, std::move(out), party.orders);
}
std::string figures(const Party& party, std::size_t done, std::size_t all, const char* what) {
  if (party.needed == 1) return {};
  return "; " + std::to_string(done) + " of " + std::to_string(all) + " " + what;
}
// Of the slowest, after how many there are; when it lasts too long, what to look at.
void tell(Decision& d, const wire::RecordT& record, Party party, const runtime::View& view,
          const Terms& terms) {
  std::vector<Part>& parts = party.parts;
  const auto usable = static_cast<std::size_t>(std::count_if(
      parts.begin(), parts.end(), [](const Part& part) { return part.stage.name == "usable"; }));
  if (usable == parts.size()) return grant(d, record, party, view, terms);
  std::size_t ready = 0, bought = 0, slowest = 0;
  std::int64_t since_ms = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    bought += part.is_given ? 0U : 1U;
    ready += part.claim != nullptr && part.stage.claim.reason.empty() ? 1U : 0U;
    if (rank_of(part.stage) < rank_of(parts[slowest].stage)) slowest = i;
    const std::size_t order = std::min(i, party.orders.size() - 1);
    const std::string& what = part.claim != nullptr ? part.claim->uid : party.orders[order].claim;
    const std::int64_t its_ms =
        since(d, record, key_of("stage", i), what + "/" + part.stage.name, view.now_ms);
    if (slowest == i) since_ms = its_ms;
  }
  Stage& stage = parts[slowest].stage;
  if (stage.end != nullptr) {
    stage.claim = explain(d, record, *stage.end, view.now_ms);
    stage.claim.message += stage.then;
  }
  if (!stage.claim.reason.empty())
    stage.claim.message += figures(party, ready, bought, "NodeClaims are ready");
  stage.node.message += figures(party, usable, party.needed, "nodes are usable");
  const std::int64_t due_ms = since_ms + terms.late_after_ms;
  if (!stage.look.empty() && view.now_ms < due_ms) wake(d, due_ms);
  if (!stage.look.empty() && view.now_ms >= due_ms) {
    Told& told = stage.claim.reason.empty() ? stage.node : stage.claim;
    told.message += "; it has been so since " + rfc3339(since_ms) + ": " + stage.look;
  }
  ResourcesT out = bought_word(record, stage.claim, stage.node);
  if (party.needed > 1) out.target = party.needed;
  if (stage.name == "ill" && record.resources) {
    out.drain = true;
    out.places = record.resources->places;  // its data and checkpoints lie there
  }
  say(d, record, std::move(out), party.orders);
}
}  // namespace

ResourcesT bought_word(const wire::RecordT& record, const Told& claim, const Told& node) {
  const Told& why = claim.reason.empty() ? node : claim;
  ResourcesT out = word(*record.workspace, ResourcesState::Waiting, why.reason, why.message);
  out.claim_reason = claim.reason;
  out.claim_message = claim.message;
  out.node_reason = node.reason;
  out.node_message = node.message;
  return out;
}
void say(Decision& d, const wire::RecordT& record, ResourcesT out, const Orders& orders) {
  out.buys = true;
  put_orders(out, orders);
  runtime::publish(d, record, std::move(out));
}

void buy(Decision& d, const wire::RecordT& record, const runtime::View& view, const Terms& terms) {
  Party party = follow(d, record, view, terms);
  label(d, record, party.parts);
  give_up_lost(d, record, party.parts, view, terms);
  tell(d, record, std::move(party), view, terms);
}
}  // namespace kairo::provisioner
