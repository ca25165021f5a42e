// agents/node/local_run_dirs.cpp - mkdir, link, rename, remove.
#include "agents/node/local_run_dirs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agents/node/model_cache.h"
#include "schemas/base/digest.h"

namespace kairo::node {
namespace {
namespace fs = std::filesystem;
constexpr const char* current = "current";  // in a Workspace's folder: a link to that run's

Error disk(const std::string& what, const std::error_code& error) {
  return {Code::unavailable, "run directory: " + what + ": " + error.message()};
}
// A name that becomes part of a path must be one segment of it.
bool is_plain(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

class LocalRunDirs final : public RunDirs {
 public:
  LocalRunDirs(std::string root, std::string models)
      : root_(std::move(root)), models_(std::move(models)) {}
  Result<std::string> prepare(const RunKey& run) override;
  std::string volume(const RunKey& run) override { return (fs::path(root_) / run.ns).string(); }
  Status remove(const std::string& ns, const std::string& uid) override;
  Result<Adapter> adapter(const RunKey& run) override;
  Result<std::vector<RunKey>> list() override;
  std::string progress_file(const RunKey& run) override {
    return (folder(run) / "state" / "progress.jsonl").string();
  }

 private:
  fs::path folder(const RunKey& run) const {
    return fs::path(root_) / run.ns / run.uid / run.revision.substr(0, 12);
  }
  Status adopt(const RunKey& run) const;
  Status link_weights(const fs::path& from, const fs::path& to) const;
  static Status make_current(const fs::path& dir);
  Result<RunKey> about(const fs::path& dir);
  const std::string root_, models_;
  std::map<std::string, RunKey> known_;  // by directory: run.json never changes; list()'s alone
};

// Hard links share the bytes; across file systems a symbolic link to the cache serves as well.
Status LocalRunDirs::link_weights(const fs::path& from, const fs::path& to) const {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(from, error)) {
    if (!file.is_regular_file(error) || file.path().filename().string().starts_with('.')) continue;
    const fs::path target = to / file.path().filename();
    fs::create_hard_link(file.path(), target, error);
    if (error == std::errc::file_exists) error.clear();
    if (error) {
      error.clear();
      fs::create_symlink(file.path(), target, error);
    }
    if (error && error != std::errc::file_exists) return disk("link " + target.string(), error);
  }
  return ok();
}

Status LocalRunDirs::make_current(const fs::path& dir) {
  const fs::path link = dir.parent_path() / current, draft = dir.parent_path() / "current.new";
  std::error_code error;
  fs::remove(draft, error);
  fs::create_symlink(dir.filename(), draft, error);
  if (error) return disk("link " + draft.string(), error);
  fs::rename(draft, link, error);
  if (error) return disk("rename " + link.string(), error);
  return ok();
}

// What an earlier version made lies a folder higher.
Status LocalRunDirs::adopt(const RunKey& run) const {
  const fs::path before = fs::path(root_) / run.uid, now = fs::path(root_) / run.ns / run.uid;
  std::error_code error;
  if (!fs::is_symlink(before / current, error) || fs::exists(now, error)) return ok();
  fs::rename(before, now, error);
  return error ? Status(disk("rename " + before.string(), error)) : ok();
}

Result<std::string> LocalRunDirs::prepare(const RunKey& run) {
  if (!is_plain(run.ns) || !is_plain(run.uid) || !is_plain(run.revision) || !is_plain(run.preset))
    return Error{Code::invalid, "run directory: not a name: " + run.uid + "/" + run.preset};
  const fs::path model = fs::path(models_) / run.preset;
  if (!is_model(model))
    return Error{Code::not_found, "the weights of preset '" + run.preset +
                                      "' are not on this node: put config.json, tokenizer.json and "
                                      "*.safetensors into " +
                                      model.string()};
  const fs::path dir = folder(run);
  std::error_code error;
  fs::create_directories(volume(run), error);
  if (error) return disk("create " + volume(run), error);
  TRY(adopt(run));
  for (const char* part : {"weights", "data", "state", "results", "adapters"}) {
    fs::create_directories(dir / part, error);
    if (error) return disk("create " + (dir / part).string(), error);
  }
  for (const fs::path& p : {fs::path(root_), dir.parent_path(), dir}) ::chmod(p.c_str(), S_IRWXU);
  // As the kubelet wants a volume with an fsGroup: else it goes through all files of all runs.
  ::chmod(volume(run).c_str(), S_IRWXU | S_IRWXG | S_ISGID);
  TRY(link_weights(model, dir / "weights"));
  const nlohmann::json about = {{"uid", run.uid},
                                {"namespace", run.ns},
                                {"name", run.name},
                                {"revision", run.revision},
                                {"preset", run.preset}};
  const fs::path file = dir / "run.json", draft = dir / "run.json.new";
  std::ofstream out(draft);
  out << about.dump() << "\n";
  out.close();
  if (!out) return Error{Code::unavailable, "run directory: write " + draft.string() + " failed"};
  fs::rename(draft, file, error);
  if (error) return disk("rename " + file.string(), error);
  TRY(make_current(dir));
  return dir.string();
}

Status LocalRunDirs::remove(const std::string& ns, const std::string& uid) {
  if (!is_plain(ns) || !is_plain(uid))
    return Error{Code::invalid, "run directory: not a name: " + ns + "/" + uid};
  for (const fs::path& parent : {fs::path(root_) / ns, fs::path(root_)}) {  // and as it was before
    std::error_code error;
    fs::remove_all(parent / uid, error);
    if (error) return disk("remove " + uid, error);
  }
  return ok();
}

Result<Adapter> LocalRunDirs::adapter(const RunKey& run) {
  const fs::path results = folder(run) / "results";
  for (const char* name :
       {"adapter_config.json", "adapter_model.safetensors", "fine_tuning_completed.txt"}) {
    std::error_code ignored;
    if (!fs::is_regular_file(results / name, ignored))
      return Error{Code::not_found, "the run ended without " + std::string(name)};
  }
  const fs::path weights = results / "adapter_model.safetensors";
  std::ifstream in(weights, std::ios::binary);
  Sha256 hash;
  Adapter out{results.string(), 0, {}};
  std::array<char, 1 << 16> block{};
  while (in.read(block.data(), block.size()) || in.gcount() > 0) {
    hash.update({block.data(), static_cast<std::size_t>(in.gcount())});
    out.bytes += static_cast<std::uint64_t>(in.gcount());
  }
  if (in.bad() || out.bytes == 0)
    return Error{Code::unavailable, "read " + weights.string() + " failed"};
  out.digest = hash.hex();
  return out;
}

// not_found: the directory is being prepared.
Result<RunKey> LocalRunDirs::about(const fs::path& dir) {
  std::ifstream in(dir / "run.json");
  const auto json = nlohmann::json::parse(in, nullptr, false);
  const auto text = [&](const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
  };
  if (!json.is_object()) return Error{Code::not_found, "run directory: no run.json"};
  return RunKey{text("uid"), text("namespace"), text("name"), text("revision"), text("preset")};
}
Result<std::vector<RunKey>> LocalRunDirs::list() {
  std::map<std::string, RunKey> there;
  std::error_code error;
  const auto look = [&](const fs::path& of_uid) {
    std::error_code none;
    const fs::path to = fs::read_symlink(of_uid / current, none);
    const fs::path dir = of_uid / to.filename();
    if (to.empty()) return;  // being made
    if (const auto known = known_.find(dir.string()); known != known_.end()) {
      there.insert(*known);
    } else if (const auto run = about(dir); run.ok()) {
      there.emplace(dir.string(), run.value());
    }
  };
  for (const auto& of_namespace : fs::directory_iterator(root_, error)) {
    std::error_code none;
    for (const auto& of_uid : fs::directory_iterator(of_namespace.path(), none))
      look(of_uid.path());
  }
  known_ = std::move(there);
  std::vector<RunKey> out;
  for (const auto& [path, run] : known_) out.push_back(run);
  std::sort(out.begin(), out.end());
  return out;
}
}  // namespace

std::unique_ptr<RunDirs> make_run_dirs(const std::string& root, const std::string& models) {
  return std::make_unique<LocalRunDirs>(root, models);
}

std::vector<std::string> models_in(const std::string& models) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(models, error))
    if (is_model(folder.path())) out.push_back(folder.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}
}  // namespace kairo::node
