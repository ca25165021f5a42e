// agents/pusher/checkpoint_pushes.cpp - the files are linked aside, so that the trainer may go on
// and remove its older checkpoints while one is pushed.
#include "agents/pusher/checkpoint_pushes.h"

#include <charconv>
#include <filesystem>

#include "agents/pusher/registry_uploader.h"
#include "agents/transfer/manifests.h"
#include "schemas/base/log.h"

namespace kairo::pusher {
namespace {
namespace fs = std::filesystem;
constexpr const char *state_file = "state.json", *tensors_file = "state.safetensors";

std::string folder_of(const std::string& run_dir, std::uint32_t step) {
  return run_dir + "/state/checkpoints/checkpoint-" + std::to_string(step);
}
// Links of both files, in a folder of this push's own.
Status link_aside(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::remove_all(to, error);
  fs::create_directories(to, error);
  for (const char* file : {state_file, tensors_file})
    if (!error) fs::create_hard_link(fs::path(from) / file, fs::path(to) / file, error);
  if (!error) return ok();
  return Error{Code::unavailable, "checkpoint: link its files: " + error.message()};
}
class Aside {  // removed at the end
 public:
  explicit Aside(std::string path) : path_(std::move(path)) {}
  ~Aside() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};
Status delete_at(const transfer::Reference& reference, const std::string& docker_config,
                 const transfer::RegistryOptions& options, std::string digest) {
  auto credentials = TRY(transfer::credentials_for(docker_config, reference));
  transfer::Access access{"pull,push,delete", "check the Secret named in output.imagePushSecret",
                          std::move(credentials)};
  transfer::RegistrySession session(reference, std::move(access), options);
  TRY(session.open());
  if (digest.empty()) {
    const transfer::Named there = TRY(transfer::look_up(session, reference.tag));
    if (!there.is_there) return ok();
    digest = there.digest.empty() ? reference.tag : there.digest;
  }
  return transfer::delete_manifest(session, digest);
}
}  // namespace

std::uint32_t newest_checkpoint(const std::string& run_dir) {
  constexpr std::string_view prefix = "checkpoint-";
  std::uint32_t newest = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run_dir + "/state/checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    std::uint32_t step = 0;
    const char* end = name.data() + name.size();
    const auto [rest, bad] = std::from_chars(name.data() + prefix.size(), end, step);
    std::error_code none;
    const bool is_whole = bad == std::errc() && rest == end &&
                          fs::is_regular_file(entry.path() / state_file, none) &&
                          fs::is_regular_file(entry.path() / tensors_file, none);
    if (is_whole) newest = std::max(newest, step);
  }
  return newest;
}

transfer::RegistryOptions CheckpointPushes::options_of(const Push& push) const {
  transfer::RegistryOptions options = options_;
  options.stop = &push.stop;
  return options;
}

Result<PushedCheckpoint> CheckpointPushes::push(const CheckpointJob& job) {
  const auto on_its_way = [] { return Error{Code::pending, "a checkpoint is being pushed"}; };
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = pushes_.find(job.uid); found != pushes_.end()) {
      if (!found->second->result) return on_its_way();
      const auto result = std::move(*found->second->result);
      pushes_.erase(found);
      return result;
    }
  }
  const std::uint32_t newest = newest_checkpoint(job.run_dir);
  if (newest == 0 || newest == job.known_step) return PushedCheckpoint{};
  auto begun = std::make_shared<Push>();
  begun->job = job;
  begun->docker_config = TRY(job.docker_config());
  const std::lock_guard lock(mutex_);
  if (is_stopped_) return Error{Code::unavailable, "the pusher ends"};
  pushes_.emplace(job.uid, std::move(begun));
  return on_its_way();
}
void CheckpointPushes::stop(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  const auto found = pushes_.find(uid);
  if (found == pushes_.end()) return;
  found->second->stop = true;
  pushes_.erase(found);
}
void CheckpointPushes::stop_all() {
  const std::lock_guard lock(mutex_);
  is_stopped_ = true;
  for (auto& [uid, push] : pushes_) push->stop = true;
}

bool CheckpointPushes::step() {
  std::shared_ptr<Push> next;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [uid, push] : pushes_)
      if (!push->is_running && !push->result) next = push;
    if (next == nullptr || is_stopped_) return false;
    next->is_running = true;
  }
  auto result = perform(*next);
  const std::lock_guard lock(mutex_);
  next->is_running = false;
  next->result.emplace(std::move(result));
  return true;
}

// What another push had under this tag is not needed any more. Registries that do not delete keep
// it until they clean up themselves.
Result<PushedCheckpoint> CheckpointPushes::perform(Push& push) {
  const std::uint32_t step = newest_checkpoint(push.job.run_dir);
  if (step == 0) return PushedCheckpoint{};
  const Aside aside(push.job.run_dir + "/pushing");
  TRY(link_aside(folder_of(push.job.run_dir, step), aside.path()));
  const transfer::Reference output = TRY(transfer::parse_reference(push.job.output));
  const transfer::Reference at = transfer::checkpoint_of(output, push.job.uid);
  PushRequest request;
  request.reference = transfer::text_of(at);
  request.directory = aside.path();
  request.docker_config_json = push.docker_config;
  request.files = {state_file, tensors_file};
  request.annotations = {{"dev.kairo.checkpoint.step", std::to_string(step)}};
  RegistryUploader uploader(store_, options_of(push));
  const PushResult done = TRY(uploader.push(request, {}));
  if (!done.replaced.empty()) {
    const Status gone = delete_at(at, push.docker_config, options_of(push), done.replaced);
    if (!gone.ok()) log::debug("an older checkpoint stays", {{"why", gone.error().what}});
  }
  return PushedCheckpoint{step, request.reference, done.digest, done.bytes};
}

Status CheckpointPushes::remove(const CheckpointJob& job) {
  const transfer::Reference output = TRY(transfer::parse_reference(job.output));
  const std::string docker_config = TRY(job.docker_config());
  return delete_at(transfer::checkpoint_of(output, job.uid), docker_config, options_, "");
}
}  // namespace kairo::pusher
