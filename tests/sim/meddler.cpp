// tests/sim/meddler.cpp - kubectl replace, edit, scale, delete; a controller that wants the same
// object; a forger in another namespace.
#include "tests/sim/meddler.h"

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/objects.h"
#include "tests/sim/json_at.h"

namespace kairo::sim {
namespace {
using Json = nlohmann::json;
constexpr const char* foreign_finalizer = "example.com/hold";
}  // namespace

Json Meddler::object(const cluster::Kind& kind, const std::string& name) {
  const auto got = cluster_.get({kind, "default", name});
  return got.ok() ? Json::parse(got.value()) : Json();
}

void Meddler::patch(const cluster::Kind& kind, const std::string& name, const Json& change,
                    const char* subresource) {
  cluster::WriteOptions options;
  options.manager = "somebody";
  options.subresource = subresource;
  const auto done = cluster_.patch({kind, "default", name}, change.dump(), options);
  if (done.ok()) dice_.journal.note("meddler patches " + kind.kind + " " + name, change.dump());
}

void Meddler::remove(const cluster::Kind& kind, const std::string& name) {
  if (!cluster_.remove({kind, "default", name}, "").ok()) return;
  dice_.journal.note("meddler deletes " + kind.kind, name);
  if (kind == cluster::jobs) ++jobs_ended_;
}

void Meddler::delete_workload() {
  const std::string name = dice_.below(2) == 0 ? "a" : "b";
  remove(dice_.below(2) == 0 ? cluster::jobs : cluster::stateful_sets, name);
}

// Somebody's file, which knows nothing of what the agents have put on the object.
void Meddler::replace_workspace(const std::string& name) {
  Json w = object(cluster::workspaces, name);
  if (w.is_null()) return;
  for (const char* key : {"finalizers", "annotations", "managedFields", "resourceVersion"})
    w["metadata"].erase(key);
  w.erase("status");
  cluster::WriteOptions options;
  options.manager = "kubectl-replace";
  const auto done = cluster_.replace({cluster::workspaces, "default", name}, w.dump(), options);
  if (done.ok()) dice_.journal.note("meddler replaces", name);
}

void Meddler::overwrite_status(const std::string& name) {
  const Json w = object(cluster::workspaces, name);
  if (w.is_null()) return;
  uids_.insert(w["metadata"]["uid"]);
  Json status = {{"state", dice_.below(2) == 0 ? "Overwritten" : "Succeeded"},
                 {"artifact", {{"digest", "sha256:forged"}}}};
  if (dice_.below(2) == 0) status["conditions"] = Json::array();
  patch(cluster::workspaces, name, {{"status", status}}, "status");
}

void Meddler::take_finalizer(const std::string& name) {
  const Json w = object(cluster::workspaces, name);
  if (w.is_null() || at(w, "/metadata").contains("deletionTimestamp")) return;
  const Json mine = {{"apiVersion", w["apiVersion"]},
                     {"kind", "Workspace"},
                     {"metadata",
                      {{"name", name},
                       {"namespace", "default"},
                       {"finalizers", {"workspace.finalizer.kaito.sh"}}}}};
  (void)cluster_.apply({{cluster::workspaces, "default", name}, mine.dump(), "kaito", ""});
  dice_.journal.note("meddler owns the finalizer of", name);
}

void Meddler::hold(const std::string& name) {
  const Json w = object(cluster::workspaces, name);
  if (w.is_null() || at(w, "/metadata").contains("deletionTimestamp")) return;
  Json finalizers = w["metadata"].value("finalizers", Json::array());
  for (const Json& f : finalizers)
    if (f == foreign_finalizer) return;
  finalizers.push_back(foreign_finalizer);
  patch(cluster::workspaces, name, {{"metadata", {{"finalizers", finalizers}}}});
}

void Meddler::pause(const std::string& name, bool is_paused) {
  patch(cluster::workspaces, name,
        {{"metadata",
          {{"annotations", {{"kairo.dev/paused", is_paused ? Json("true") : Json(nullptr)}}}}}});
}

void Meddler::let_go() {
  for (const char* name : {"a", "b"}) {
    pause(name, false);
    const Json w = object(cluster::workspaces, name);
    Json kept = Json::array();
    for (const Json& f : at(w, "/metadata/finalizers"))
      if (f != foreign_finalizer) kept.push_back(f);
    if (!w.is_null() && kept.size() != at(w, "/metadata/finalizers").size())
      patch(cluster::workspaces, name, {{"metadata", {{"finalizers", kept}}}});
  }
}

// Objects that say that they are the Workspace's: in another namespace, or without its workload
// behind them (kubectl debug --copy-to).
void Meddler::forge(const std::string& name) {
  const Json w = object(cluster::workspaces, name);
  if (w.is_null()) return;
  const std::string uid = w["metadata"]["uid"];
  const std::uint64_t what = dice_.below(3);
  const cluster::Kind& kind = what == 0   ? cluster::jobs
                              : what == 1 ? cluster::stateful_sets
                                          : cluster::pods;
  const bool is_copy = what == 2 && dice_.below(2) == 0;
  const std::string ns = is_copy ? "default" : "evil", as = is_copy ? name + "-debug" : name;
  Json forged = {
      {"apiVersion", kind.group.empty() ? kind.version : kind.group + "/" + kind.version},
      {"kind", kind.kind},
      {"metadata",
       {{"name", as},
        {"namespace", ns},
        {"labels", {{"kaito.sh/workspace", name}}},
        {"annotations",
         {{"kairo.dev/workspace-uid", uid},
          {"kairo.dev/revision", at(w, "/metadata/annotations/workspace.kaito.io~1hash")}}}}},
      {"status",
       {{"succeeded", 1},
        {"readyReplicas", 1},
        {"phase", "Failed"},
        {"reason", "Forged"},
        {"conditions", {{{"type", "Complete"}, {"status", "True"}, {"reason", "Forged"}}}}}}};
  if (!is_copy)
    forged["metadata"]["ownerReferences"] = {{{"apiVersion", "kaito.sh/v1beta1"},
                                              {"kind", kind == cluster::pods ? "Job" : "Workspace"},
                                              {"name", name},
                                              {"uid", uid},
                                              {"controller", true}}};
  for (const char* part : {"", "status"})
    (void)cluster_.apply({{kind, ns, as}, forged.dump(), "forger", part});
  dice_.journal.note("forged " + kind.kind, ns + "/" + as);
}

void Meddler::act() {
  const std::string name = dice_.below(2) == 0 ? "a" : "b";
  switch (dice_.below(10)) {
    case 0:
      return delete_workload();
    case 1:
      return replace_workspace(name);
    case 2:
      return overwrite_status(name);
    case 3:
      return take_finalizer(name);
    case 4:
      return hold(name);
    case 5:
      return patch(cluster::stateful_sets, name, {{"spec", {{"replicas", dice_.below(3)}}}});
    case 6:
      ++jobs_ended_;  // its pod ends
      return patch(cluster::jobs, name, {{"spec", {{"suspend", true}}}});
    case 7:
      ++jobs_ended_;
      return pause(name, dice_.below(2) == 0);
    case 8:
      return remove(cluster::services, dice_.below(2) == 0 ? name : name + "-headless");
    default:
      return forge(name);
  }
}
}  // namespace kairo::sim
