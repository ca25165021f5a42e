// agents/provisioner/effects.cpp - create what is not there, delete until it is gone, ask why.
#include "agents/provisioner/effects.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/cluster/config_map.h"
#include "agents/cluster/kinds.h"
#include "agents/provisioner/order.h"

namespace kairo::provisioner {
namespace {
using Json = nlohmann::json;
constexpr std::size_t provider_words_max = 1024;

std::string text_at(const Json& object, const char* pointer) {
  const Json::json_pointer at(pointer);
  return object.is_object() && object.contains(at) && object[at].is_string()
             ? object[at].get<std::string>()
             : "";
}
Json parsed(const std::string& object) {
  return Json::parse(object, nullptr, false);
}
std::string owner_of(const Json& object) {  // the uid of the Workspace; "" = it does not say
  return text_at(object, "/metadata/annotations/kairo.dev~1workspace-uid");
}
bool is_leaving(const Json& object) {
  return !text_at(object, "/metadata/deletionTimestamp").empty();
}
bool is_of(const Json& object, const wire::CommandT& command) {
  const std::string owner = owner_of(object);
  if (!owner.empty()) return owner == command.uid;
  const std::string labels = "/metadata/labels/karpenter.kaito.sh~1workspace-";
  return text_at(object, (labels + "name").c_str()) == command.name &&  // KAITO's, of a pool
         text_at(object, (labels + "namespace").c_str()) == command.ns;
}
}  // namespace

Status ProvisionerEffects::perform(const wire::CommandT& command) {
  if (command.body.type == wire::CommandBody::BuyNode) return buy(command);
  if (command.body.type == wire::CommandBody::GiveUpNodes) return give_up(command);
  if (command.body.type == wire::CommandBody::LabelNode) return label(command);
  if (command.body.type == wire::CommandBody::ExplainEnd) return explain(command);
  return Error{Code::invalid, "the provisioner does not perform this command"};
}

void ProvisionerEffects::answer(const wire::CommandT& command, wire::ClaimEndT end) {
  observe_(runtime::fact_about(command, std::move(end)));
}

// A kind that the cluster has not has no objects.
Result<std::vector<ProvisionerEffects::Found>> ProvisionerEffects::all_of(
    const wire::CommandT& command) {
  std::vector<Found> out;
  for (const Marking& marking : markings(command.name)) {
    const auto listed = cluster_.list({marking.kind, "", marking.label});
    if (!listed.ok()) {
      if (!TRY(cluster_.serves(marking.kind))) continue;
      return listed.error();
    }
    for (const std::string& item : listed.value().items) {
      const Json object = parsed(item);
      const std::string owner = owner_of(object);
      const Json labels = object["metadata"].value("labels", Json::object());
      const bool is_here = labels.value(marking.ns_key, "") == command.ns;
      if (!is_here || (!owner.empty() && owner != command.uid)) continue;
      out.push_back({{marking.kind, "", text_at(object, "/metadata/name")},
                     text_at(object, "/metadata/uid"),
                     is_leaving(object)});
    }
  }
  return out;
}

// What the training would fail on is said before a machine is paid for.
Status ProvisionerEffects::check(const wire::CommandT& command) {
  const wire::WorkspaceT& w = *command.body.AsBuyNode()->workspace;
  if (!w.tuning || w.tuning->config.empty()) return ok();
  const std::string map = TRY(cluster::named_config_map(cluster_, command.ns, w.tuning->config));
  const std::string wrong = check_config_(map, w.tuning->config, w.tuning->method);
  if (!wrong.empty()) return Error{Code::conflict, wrong};
  return ok();
}

Status ProvisionerEffects::buy(const wire::CommandT& command) {
  TRY(check(command));
  const wire::BuyNodeT& wish = *command.body.AsBuyNode();
  const bool is_pool = terms_.mode == Mode::karpenter;
  if (wish.look) {
    std::uint32_t there = 0;
    for (const Found& found : TRY(all_of(command)))
      if (!found.is_leaving && found.ref.kind == asked_kind(terms_)) ++there;
    if (there >= (is_pool ? 1 : std::max(wish.nodes, 1U))) return ok();  // are seen soon
  }
  const cluster::Apply order = plan_order(command, terms_);
  const auto made = cluster_.create(order);
  if (made.ok() || made.error().code != Code::conflict)
    return made.ok() ? ok() : Status(made.error());
  const auto there = cluster_.get(order.ref);
  if (!there.ok()) return Error{Code::unavailable, there.error().what};
  const Json object = parsed(there.value());
  if (is_of(object, command)) return is_pool ? size(order.ref, wish.nodes) : ok();
  return Error{Code::unavailable,
               order.ref.kind.kind + " " + order.ref.name + " is there, and is somebody else's"};
}

// Not compared with what was read: that may be of before somebody has scaled it. Where it is so
// already, nothing changes.
Status ProvisionerEffects::size(const cluster::Ref& pool, std::uint32_t replicas) {
  const Json patch = {{"spec", {{"replicas", std::max(replicas, 1U)}}}};
  const auto done = cluster_.patch({pool, patch.dump(), ""});
  return done.ok() ? ok() : Status(done.error());
}

Status ProvisionerEffects::give_up(const wire::CommandT& command) {
  const wire::GiveUpNodesT& wish = *command.body.AsGiveUpNodes();
  // That one has ended shows itself; a machine that takes its time must not hold up the others.
  if (!wish.claim.empty()) {
    const Status done = cluster_.remove({cluster::node_claims, "", wish.claim}, wish.uid);
    return !done.ok() && done.error().code == Code::conflict ? ok() : done;  // another of its name
  }
  std::vector<Found> left;
  const auto look = [&]() -> Status {
    left = TRY(all_of(command));
    return ok();
  };
  TRY(look());
  if (!left.empty()) {
    for (const Found& found : left)
      if (!found.is_leaving) TRY(cluster_.remove(found.ref, found.uid));
    TRY(look());
  }
  if (!left.empty())
    return Error{Code::unavailable,
                 left.front().ref.kind.kind + " " + left.front().ref.name + " is still ending"};
  wire::ClaimEndT end;
  end.wish = wish.wish;
  end.gone = true;
  answer(command, std::move(end));
  return ok();
}

// The node agent's DaemonSet chooses its nodes by it, as KAITO's plug-ins do.
Status ProvisionerEffects::label(const wire::CommandT& command) {
  const wire::LabelNodeT& wish = *command.body.AsLabelNode();
  const Json patch = {{"metadata", {{"labels", {{"accelerator", "nvidia"}}}}}};
  const auto done = cluster_.patch({{cluster::nodes, "", wish.node}, patch.dump(), ""});
  if (done.ok() || done.error().code == Code::not_found) return ok();
  return done.error();
}

// Best effort: whatever hides the reason must not hold up what follows.
Status ProvisionerEffects::explain(const wire::CommandT& command) {
  const wire::ExplainEndT& wish = *command.body.AsExplainEnd();
  wire::ClaimEndT end;
  end.wish = wish.wish;
  const auto listed =
      cluster_.list({cluster::events, "default", "",
                     "involvedObject.kind=NodeClaim,involvedObject.name=" + wish.claim});
  std::string newest;
  if (listed.ok())
    for (const std::string& item : listed.value().items) {
      const Json event = parsed(item);
      if (text_at(event, "/type") != "Warning" ||
          text_at(event, "/involvedObject/name") != wish.claim ||
          text_at(event, "/involvedObject/uid") != wish.uid)
        continue;
      const std::string at = text_at(event, "/lastTimestamp");
      if (!end.reason.empty() && at < newest) continue;
      newest = at;
      end.reason = text_at(event, "/reason");
      end.message = text_at(event, "/message").substr(0, provider_words_max);
    }
  answer(command, std::move(end));
  return ok();
}
}  // namespace kairo::provisioner
