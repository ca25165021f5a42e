// tests/sim/models.cpp - small honest models.
#include "tests/sim/models.h"

namespace kairo::sim {
Result<std::string> DiskModel::prepare(const node::RunKey& run) {
  if (dice_.fault(10)) return Error{Code::unavailable, "no space left on device"};
  dirs[key_of(run)] = current[run.uid] = run;
  return volume(run) + "/" + key_of(run);
}
Status DiskModel::remove(const std::string&, const std::string& uid) {
  if (dice_.fault(10)) return Error{Code::unavailable, "device busy"};
  const auto is_its = [&](const auto& row) { return row.first.starts_with(uid + "/"); };
  current.erase(uid);
  std::erase_if(dirs, is_its);
  std::erase_if(adapters, is_its);
  std::erase_if(steps, is_its);
  std::erase_if(wanted, is_its);
  std::erase_if(told, is_its);
  return ok();
}
void DiskModel::wipe() {
  dirs.clear();
  current.clear();
  adapters.clear();
  steps.clear();
  wanted.clear();
  told.clear();
  loaded.clear();
}
Result<node::Adapter> DiskModel::adapter(const node::RunKey& run) {
  const auto found = adapters.find(key_of(run));
  if (found == adapters.end()) return Error{Code::not_found, "the run ended without an adapter"};
  return node::Adapter{found->first, 10, "digest-of-" + found->second};
}
Result<std::vector<node::RunKey>> DiskModel::list() {
  std::vector<node::RunKey> out;
  for (const auto& [uid, run] : current) out.push_back(run);
  return out;
}

Status WeightsModel::want(const node::Wish& wish) {
  const auto [late, is_new] = late_.try_emplace(wish.uid + "/" + wish.revision, 0);
  if (is_new && dice_.fault(3)) late->second = 1 + dice_.below(6);
  if (late->second == 0 || dice_.healed) return ok();
  --late->second;
  wire::RunDirT dir;
  dir.revision = wish.revision;
  dir.node = self_;
  dir.place = wish.place;
  const bool is_refused = dice_.below(4) == 0;
  dir.state = is_refused ? wire::RunDirState::Failed : wire::RunDirState::Fetching;
  dir.reason = is_refused ? "WeightsRefused" : "WeightsDownloading";
  if (!is_refused) dir.volume = "/runs/" + wish.ns;
  dir.message = "weights: " + std::to_string(late->second) + " to come";
  observe_(runtime::fact_about(wish, std::move(dir)));
  dice_.crash("inside", 30);
  return Error{Code::pending, "on their way"};
}
void WeightsModel::forget(const std::string& uid) {
  std::erase_if(late_, [&](const auto& row) { return row.first.starts_with(uid + "/"); });
}

Result<pusher::PushResult> RegistryModel::push(
    const pusher::PushRequest& request,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  if (dice_.fault(5)) return Error{Code::unavailable, "connection refused"};
  if (request.reference.starts_with("forbidden."))
    return Error{Code::invalid, request.reference + ": 403 Forbidden"};
  const std::string content = content_of ? content_of(request.directory) : request.directory;
  if (content.empty()) return Error{Code::unavailable, request.directory + ": no such directory"};
  progress(1, 2);
  dice_.crash("inside", 30);
  const bool is_sent = blobs.insert(content).second;
  dice_.crash("inside", 30);  // the blobs are there, the manifest is not
  std::string& image = images[request.reference];
  if (image != content) {
    image = content;
    ++pushes[request.reference + " " + content];
  }
  dice_.crash("inside", 30);  // the image is there, nobody wrote it down
  return pusher::PushResult{digest_of(content), 10, is_sent ? 10U : 0U};
}
}  // namespace kairo::sim
