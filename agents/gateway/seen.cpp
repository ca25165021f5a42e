// agents/gateway/seen.cpp - one list, then what changes.
#include "agents/gateway/seen.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/gateway/job_objects.h"
#include "schemas/base/clock.h"
#include "schemas/base/log.h"

namespace kairo::gateway {
namespace {
namespace fs = std::filesystem;
constexpr std::uintmax_t lines_bytes_max = 256 << 20;

std::string member_text(const Json& object, const char* path) {
  const Json::json_pointer at(path);
  return object.contains(at) && object.at(at).is_string() ? object.at(at).get<std::string>() : "";
}
std::string file_text(const fs::path& path) {
  std::error_code error;
  if (fs::file_size(path, error) > lines_bytes_max || error) return "";
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
// The newest revision's run of a Workspace; "" = none that can be read.
std::string progress_of(const std::string& runs, const std::string& ns, const std::string& uid) {
  if (runs.empty() || uid.empty()) return "";
  std::error_code error;
  fs::path newest;
  fs::file_time_type newest_at;
  for (const auto& run : fs::directory_iterator(fs::path(runs) / ns / uid, error)) {
    const fs::path file = run.path() / "state" / "progress.jsonl";
    const auto at = fs::last_write_time(file, error);
    if (error) continue;
    if (newest.empty() || at > newest_at) newest = file, newest_at = at;
  }
  return newest.empty() ? "" : file_text(newest);
}
}  // namespace

Seen::Seen(cluster::Cluster& cluster, std::string ns, std::string runs, std::string steps)
    : cluster_(cluster), ns_(std::move(ns)), runs_(std::move(runs)), steps_(std::move(steps)) {}

bool Seen::has_listed() const {
  const std::scoped_lock lock(mutex_);
  return has_listed_;
}
std::shared_ptr<const Workspaces> Seen::now() const {
  const std::scoped_lock lock(mutex_);
  return now_;
}
std::shared_ptr<const Workspaces> Seen::after(const std::shared_ptr<const Workspaces>& before,
                                              std::int64_t wait_ms) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(wait_ms), [&] { return now_ != before; });
  return now_;
}
void Seen::put(Workspaces workspaces) {
  {
    const std::scoped_lock lock(mutex_);
    now_ = std::make_shared<const Workspaces>(std::move(workspaces));
    has_listed_ = true;
  }
  changed_.notify_all();
}

void Seen::note_step(const Json& workspace) const {
  if (!runs_.empty() || member_text(workspace, "/metadata/labels/kairo.dev~1openai") != "job")
    return;
  const Json::json_pointer at("/status/tuning");
  if (!workspace.contains(at) || !workspace.at(at).contains("step")) return;
  const Json& tuning = workspace.at(at);
  const Json line = {{"phase", "Training"},
                     {"step", tuning["step"]},
                     {"total_steps", tuning.value("totalSteps", Json(0))},
                     {"loss", tuning.value("loss", Json(0))},
                     {"eval_step", tuning.value("evalStep", Json(0))},
                     {"eval_loss", tuning.value("evalLoss", Json(0))},
                     {"at_ms", SystemClock().now_ms()}};
  std::ofstream out(steps_ + "/" + member_text(workspace, "/metadata/uid"), std::ios::app);
  out << line.dump() << "\n";
}
std::vector<Point> Seen::points(const Json& workspace) const {
  const std::string uid = member_text(workspace, "/metadata/uid");
  if (uid.empty() || uid.find('/') != std::string::npos) return {};
  std::vector<Point> out = points_in(progress_of(runs_, ns_, uid));
  return out.empty() ? points_in(file_text(steps_ + "/" + uid)) : out;
}

void Seen::follow(const std::atomic<bool>& stop) {
  constexpr std::int64_t watch_ms = 1'000;
  constexpr auto pause = std::chrono::milliseconds(500);
  const cluster::Selection selection{cluster::workspaces, ns_, ""};
  std::string version;
  bool is_silent = false;  // the trouble was logged
  Workspaces workspaces;
  const auto name_of = [](const Json& w) { return member_text(w, "/metadata/name"); };
  while (!stop) {
    if (version.empty()) {
      const auto listing = cluster_.list(selection);
      if (!listing.ok()) {
        if (!std::exchange(is_silent, true))
          log::warn("Workspaces cannot be listed", {{"why", listing.error().what}});
        std::this_thread::sleep_for(pause);
        continue;
      }
      is_silent = false;
      workspaces.clear();
      for (const std::string& item : listing.value().items) {
        Json w = Json::parse(item, nullptr, false);
        if (!w.is_object()) continue;
        note_step(w);
        const std::string name = name_of(w);
        workspaces[name] = std::move(w);
      }
      version = listing.value().resource_version;
      put(workspaces);
    }
    const auto events = cluster_.watch(selection, version, watch_ms);
    if (!events.ok()) {
      version.clear();
      if (events.error().code != Code::expired) std::this_thread::sleep_for(pause);
      continue;
    }
    bool has_changed = false;
    for (const cluster::Event& event : events.value()) {
      Json w = Json::parse(event.object, nullptr, false);
      if (!w.is_object()) continue;
      version = member_text(w, "/metadata/resourceVersion");
      if (event.type == cluster::Event::Type::bookmark) continue;
      has_changed = true;
      const std::string name = name_of(w);
      if (event.type == cluster::Event::Type::deleted) {
        workspaces.erase(name);
        continue;
      }
      note_step(w);
      workspaces[name] = std::move(w);
    }
    if (has_changed) put(workspaces);
  }
}
}  // namespace kairo::gateway
