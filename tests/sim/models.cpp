// tests/sim/models.cpp - small honest models.
#include "tests/sim/models.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"

namespace kairo::sim {
using Json = nlohmann::json;

Result<std::string> DiskModel::prepare(const node::RunKey& run) {
  if (dice_.fault(10)) return Error{Code::unavailable, "no space left on device"};
  dirs[run.uid].insert(run.revision);
  return run.uid + "/" + run.revision;
}
Status DiskModel::remove(const std::string& uid) {
  if (dice_.fault(10)) return Error{Code::unavailable, "device busy"};
  dirs.erase(uid);
  std::erase_if(adapters, [&](const std::string& key) { return key.starts_with(uid + "/"); });
  return ok();
}
Result<node::Adapter> DiskModel::adapter(const node::RunKey& run) {
  const std::string key = run.uid + "/" + run.revision;
  if (!adapters.contains(key)) return Error{Code::not_found, "the run ended without an adapter"};
  return node::Adapter{key, 10, "digest-of-" + key};
}

Result<pusher::PushResult> RegistryModel::push(
    const pusher::PushRequest& request,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  if (dice_.fault(5)) return Error{Code::unavailable, "connection refused"};
  progress(1, 2);
  if (dice_.fault(30)) throw Crash{};
  const auto there = images.find(request.reference);
  const bool same = there != images.end() && there->second == request.directory;
  if (!same) {
    images[request.reference] = request.directory;
    ++uploads[request.directory];
  }
  if (dice_.fault(30)) throw Crash{};  // the image is there, nobody wrote it down
  return pusher::PushResult{"sha256:" + request.directory, 10, same ? 0u : 10u};
}

void KubeletModel::status(const std::string& object, int active, int succeeded, int failed,
                          bool finished) {
  const Json job = Json::parse(object);
  Json conditions = Json::array();
  if (finished)
    conditions.push_back({{"type", succeeded > 0 ? "Complete" : "Failed"},
                          {"status", "True"},
                          {"reason", succeeded > 0 ? "Completed" : "BackoffLimitExceeded"}});
  const Json patch = {
      {"apiVersion", "batch/v1"},
      {"kind", "Job"},
      {"metadata",
       {{"name", job["metadata"]["name"]}, {"namespace", job["metadata"]["namespace"]}}},
      {"status",
       {{"active", active},
        {"ready", active},
        {"succeeded", succeeded},
        {"failed", failed},
        {"conditions", conditions}}}};
  (void)cluster_.apply({{cluster::jobs, job["metadata"]["namespace"], job["metadata"]["name"]},
                        patch.dump(),
                        "kubelet",
                        "status"});
}

void KubeletModel::train(const std::string& object) {
  const Json job = Json::parse(object);
  const Json& meta = job["metadata"];
  const std::string uid = meta["uid"];
  const std::string workspace = meta["annotations"]["kairo.dev/workspace-uid"];
  const std::string revision = meta["annotations"]["kairo.dev/revision"];
  const bool is_finished = job.contains("status") && job["status"].contains("conditions") &&
                           !job["status"]["conditions"].empty();
  if (is_finished) return;
  const auto other = running_.find(workspace);
  if (other != running_.end() && other->second != uid && wrong.empty())
    wrong = "two trainings of one Workspace at a time";
  running_[workspace] = uid;
  if (!disk_.dirs[workspace].contains(revision) && wrong.empty())
    wrong = "a training without its run directory";
  const int round = ++rounds_[uid];
  const int failed = round > 3 && dice_.fault(6) ? 1 : 0;
  if (round < 3) {
    status(object, 1, 0, failed, false);
  } else if (dice_.fault(40)) {
    status(object, 0, 0, 7, true);
    running_.erase(workspace);
  } else {
    // A wish that came back finds its adapter: the trainer sees it and ends at once.
    const bool news = disk_.adapters.insert(workspace + "/" + revision).second;
    if (news && ++trainings[workspace + "/" + revision] > 1 && wrong.empty())
      wrong = "one revision was trained twice";
    status(object, 0, 1, failed, true);
    running_.erase(workspace);
  }
}

void KubeletModel::step() {
  const auto listing = cluster_.list({cluster::jobs, "", ""});
  if (!listing.ok()) return;
  std::set<std::string> there;
  for (const std::string& object : listing.value().items)
    there.insert(Json::parse(object)["metadata"]["uid"].get<std::string>());
  // A Job is gone only when its pod has ended (foreground deletion): what is gone runs no more.
  std::erase_if(running_, [&](const auto& run) { return !there.contains(run.second); });
  for (const std::string& object : listing.value().items)
    if (!Json::parse(object)["metadata"].contains("deletionTimestamp")) train(object);
}
}  // namespace kairo::sim
