// tests/sim/witness.cpp - never: two trainings or pushes of one wish, a status that goes back or
// says what is not so. In the end: each wish fulfilled or explained, and nothing left behind.
#include "tests/sim/witness.h"

#include "agents/cluster/kinds.h"
#include "tests/sim/json_at.h"

namespace kairo::sim {
namespace {
using Json = nlohmann::json;

std::string text(const Json& object, const char* path) {
  const Json& value = at(object, path);
  return value.is_string() ? value.get<std::string>() : "";
}
std::uint64_t generation_of(const Json& workspace) {
  return workspace["metadata"].value("generation", std::uint64_t{0});
}
std::uint64_t observed(const Json& workspace) {
  const Json& value = at(workspace, "/status/conditions/0/observedGeneration");
  return value.is_number() ? value.get<std::uint64_t>() : 0;
}
Json condition(const Json& workspace, const std::string& type) {
  for (const Json& c : at(workspace, "/status/conditions"))
    if (c["type"] == type) return c;
  return Json::object();
}
// A list of conditions is a map by type.
Json by_type(Json status) {
  Json conditions = Json::object();
  for (const Json& c : at(status, "/conditions")) conditions[c["type"].get<std::string>()] = c;
  status["conditions"] = std::move(conditions);
  return status;
}

bool is_final(const std::string& state) {
  return state == "Succeeded" || state == "Failed";
}
}  // namespace

void Witness::wrong(const std::string& what) {
  if (wrong_.empty()) wrong_ = what;
}

void Witness::applied(const cluster::Apply& apply, const std::string& object) {
  const Json written = Json::parse(object);
  if (apply.ref.ns == "evil") wrong("written where a forger wanted it: " + object);
  if (apply.ref.kind == cluster::jobs) job_written(written);
  if (apply.ref.kind == cluster::workspaces && apply.subresource == "status")
    status_written(written);
}

void Witness::put_back() {
  ++put_back_;
  shown_.clear();
}

bool Witness::is_there(const std::string& uid, const std::string& name) const {
  const auto workspace = world_.cluster.get({cluster::workspaces, "default", name});
  return workspace.ok() && Json::parse(workspace.value())["metadata"]["uid"] == uid;
}
// One Job for each time that a revision was wished for. A launcher that died may repeat itself, and
// what somebody deletes by hand is made again.
void Witness::job_written(const Json& job) {
  const Json& notes = job["metadata"]["annotations"];
  const std::string key = notes["kairo.dev/workspace-uid"].get<std::string>() + "/" +
                          notes["kairo.dev/revision"].get<std::string>();
  if (!job_uids_.emplace(job["metadata"]["uid"], key).second) return;
  if (!is_there(key.substr(0, key.find('/')), job["metadata"]["name"])) return;  // goes with it
  const auto restarts = restarts_.find("launcher");
  const unsigned repeats = world_.meddler.jobs_ended() + world_.machines.losses +
                           world_.machines.illnesses + put_back_ +
                           (restarts == restarts_.end() ? 0 : restarts->second);
  if (++jobs_[key] > world_.user.times(key) + repeats)
    wrong("a Job that nobody wished for: " + key);
}

void Witness::status_written(const Json& w) {
  if (w["status"].dump().find("orged") != std::string::npos)
    wrong("a forger was believed: " + w["status"].dump());
  const std::string uid = w["metadata"]["uid"], state = text(w, "/status/state"),
                    digest = text(w, "/status/artifact/digest");
  Shown& before = shown_[uid];
  const std::uint64_t now = observed(w);
  const std::string which = uid + " generation " + std::to_string(now);
  if (now < before.generation && put_back_ == 0)
    wrong("status went back to an older generation: " + which);
  // What is told of a wish that has been replaced tells how it is taken apart. A wish that came
  // back finds the facts of its first time, then those of the wish between.
  const bool may_turn = w["metadata"].contains("deletionTimestamp") || now != generation_of(w) ||
                        world_.user.came_back(uid) || world_.meddler.jobs_ended() > 0 ||
                        world_.machines.losses > 0 || put_back_ > 0 ||
                        world_.meddler.has_meddled_with(uid);
  if (now == before.generation && !may_turn) {
    if (is_final(before.state) && state != before.state)
      wrong("status went back from " + before.state + " to " + state + ": " + which);
    if (before.state == "Running" && state == "Pending")
      wrong("status went back from Running to Pending: " + which);
    if (!before.digest.empty() && digest != before.digest)
      wrong("the image was told and taken back: " + which);
  }
  if (state == "Succeeded") {
    const std::string content = digest.substr(std::min<std::size_t>(digest.size(), 7));
    if (!content.starts_with(uid + "/") || !world_.registry.blobs.contains(content))
      wrong("Succeeded with an image that nobody pushed for it: " + which + " " + digest);
  }
  before = {now, state, digest};
}

std::string Witness::left_behind() const {
  std::size_t alive = 0;
  for (const auto& [name, wish] : world_.user.wishes()) {
    if (wish.want != Want::none) {
      ++alive;
      continue;
    }
    for (const auto& kind :
         {cluster::workspaces, cluster::jobs, cluster::stateful_sets, cluster::services}) {
      const auto object = world_.cluster.get({kind, "default", name});
      if (object.ok())
        return name + " was deleted, a " + kind.kind + " is there: " + object.value();
    }
  }
  for (const auto& [node, disk] : world_.machines.disks)
    for (const auto& [key, run] : disk.dirs) {
      const auto wish = world_.user.wishes().find(run.name);
      const bool is_wanted = wish != world_.user.wishes().end() && wish->second.uid == run.uid &&
                             wish->second.want != Want::none;
      if (!world_.machines.is_lost(node) && !is_wanted)
        return "a run directory was left behind on " + node + ": " + key + " of " + run.name;
    }
  return {};
}

std::string Witness::pushed_too_often() const {
  for (const auto& [what, times] : world_.registry.pushes) {
    const std::string content = what.substr(what.find(' ') + 1);
    const std::string key = content.substr(0, content.find('|'));
    if (times > std::max(world_.user.times(key), 1U))
      return "pushed " + std::to_string(times) + " times: " + what;
  }
  return {};
}

// The last announcement on the bus says what the object says.
std::string Witness::told(const std::string& name, const Json& w) const {
  for (const auto& message : world_.broker.stored("kairo.status.default." + bus::token(name))) {
    const Json event = Json::parse(message.bytes);
    if (event["data"]["uid"] != w["metadata"]["uid"] ||
        by_type(event["data"]["status"]) != by_type(w["status"]))
      return name + ": the bus says " + event["data"].dump() + ", the object " + w["status"].dump();
    return {};
  }
  return name + ": no status on the bus";
}

std::string Witness::ending_of(const std::string& name, const Wish& wish) const {
  const auto object = world_.cluster.get({cluster::workspaces, "default", name});
  if (!object.ok()) return name + " is missing";
  const Json w = Json::parse(object.value());
  if (w["metadata"]["uid"] != wish.uid) return name + " is another object";
  const std::string state = text(w, "/status/state");
  const auto because = [&](const char* type, const char* reason) {
    const Json c = condition(w, type);
    if (c.value("status", "") == "False" && c.value("reason", "") == reason &&
        !c.value("message", "").empty() && !is_final(state))
      return std::string();
    return name + " is not explained by " + reason + ": " + w["status"].dump();
  };
  if (observed(w) != generation_of(w)) return name + ": status is of an older generation";
  if (text(w, "/metadata/annotations/workspace.kaito.io~1hash") != wish.revision)
    return name + ": the revision was not saved";
  if (const std::string silent = told(name, w); !silent.empty()) return silent;
  const bool is_granted = condition(w, "ResourceReady").value("status", "") == "True";
  const bool is_refused =  // of nodes that are bought, whatever becomes of the machine
      wish.want == Want::unsupported && because("ResourceReady", "UnsupportedModel").empty();
  const bool waits_for_nodes = wish.want == Want::wide &&
                               because("ResourceReady", "NotEnoughNodes").empty() &&
                               !world_.machines.lost.empty();
  if (waits_for_nodes) return {};
  const bool is_ill =
      !world_.machines.ill.empty() && because("ResourceReady", "GPUUnhealthy").empty();
  if (!is_granted && !node_ready_ && !is_final(state) && !is_refused && !is_ill)
    return because("ResourceReady", "NodeNotReady");
  if (!node_ready_ && is_ill) return {};
  const std::string key = wish.uid + "/" + wish.revision;
  switch (wish.want) {
    case Want::none:
      return {};
    case Want::unsupported:
      return because("ResourceReady", "UnsupportedModel");
    case Want::missing_secret:
      return because("JobStarted", "DependencyNotFound");
    case Want::bad_data:
      return state == "Failed" ? "" : name + ": bad data ended in " + w["status"].dump();
    case Want::server:
      if (state != "Ready") return name + ": a server ended in " + w["status"].dump();
      for (const std::string& service : {name, name + "-headless"})
        if (!world_.cluster.get({cluster::services, "default", service}).ok())
          return name + ": Service " + service + " is missing";
      if (!world_.kubelet.serves(name, wish.revision)) return name + ": an older server answers";
      return tuned(name, wish, w);
    case Want::wide:
      if (state == "Ready")
        return world_.kubelet.serves(name, wish.revision, 2) ? "" : name + ": not on two nodes";
      if (!all_nodes_ready_ && because("ResourceReady", "NodeNotReady").empty()) return {};
      if (const std::string bad = because("ResourceReady", "GPUsInUse"); !bad.empty()) return bad;
      for (const auto& [other, other_wish] : world_.user.wishes())
        if (other != name && other_wish.want != Want::none) return {};
      return name + " waits for what nobody has: " + w["status"].dump();
    case Want::adapter:
    case Want::forbidden:
      break;
  }
  if (state == "Failed" && world_.kubelet.failed.contains(key)) return {};
  if (wish.want == Want::forbidden) return because("WorkspaceSucceeded", "PushRefused");
  if (state != "Succeeded") return name + " ended in " + w["status"].dump();
  const auto image = world_.registry.images.find(wish.image);
  if (image == world_.registry.images.end()) return name + ": no image";
  if (image->second != key + "|" + wish.urls)
    return name + ": the image is not of the wanted revision: " + image->second;
  if (text(w, "/status/artifact/image") != wish.image ||
      text(w, "/status/artifact/digest") != RegistryModel::digest_of(image->second))
    return name + ": status names another image: " + w["status"].dump();
  return {};
}

// The tuning that it names answers, or the status says why not.
std::string Witness::tuned(const std::string& name, const Wish& wish, const Json& w) const {
  const std::string other = text(w, "/metadata/annotations/kairo.dev~1adapters-from");
  const Json& told = at(w, "/status/adapters");
  if (other.empty()) return told.is_null() ? "" : name + " tells of adapters: " + told.dump();
  if (told.size() != 1) return name + " tells nothing of " + other + ": " + w["status"].dump();
  const std::string state = text(told[0], "/state"), digest = text(told[0], "/digest");
  for (const auto& [node, disk] : world_.machines.disks) {
    const std::string key = wish.uid + "/" + wish.revision;
    const auto loaded = disk.loaded.find(key);
    if (!world_.kubelet.runs(node, key)) continue;
    const node::ServedName* model =
        loaded == disk.loaded.end() ? nullptr : node::find(loaded->second, other);
    if (digest != (model == nullptr ? "" : model->digest))
      return name + " has another adapter than it says: " + told.dump();
  }
  const auto tuning = world_.cluster.get({cluster::workspaces, "default", other});
  const std::string message = text(told[0], "/message");
  if (!tuning.ok())
    return message.find("not found") != message.npos ? "" : name + ": is not said: " + told.dump();
  const Json t = Json::parse(tuning.value());
  if (text(t, "/status/state") != "Succeeded") return message.empty() ? name + ": no reason" : "";
  const bool is_it = state == "Serving" && digest == text(t, "/status/artifact/digest");
  return is_it ? "" : name + " does not answer as " + other + ": " + told.dump();
}

std::string Witness::verdict() const {
  if (!wrong_.empty()) return wrong_;
  if (!world_.kubelet.wrong.empty()) return world_.kubelet.wrong;
  if (!world_.user.wrong.empty()) return world_.user.wrong;
  if (const std::string often = pushed_too_often(); !often.empty()) return often;
  for (const auto& [name, wish] : world_.user.wishes()) {
    if (wish.want == Want::none) continue;
    if (const std::string bad = ending_of(name, wish); !bad.empty()) return bad;
  }
  return left_behind();
}
}  // namespace kairo::sim
