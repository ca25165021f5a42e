// agents/local/node/pod_files.cpp - attempts, last words, log tails, and the end of all.
#include "agents/local/node/pod_files.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agents/cluster/json.h"
#include "agents/cluster/rest.h"
#include "agents/local/local_cluster.h"
#include "agents/local/node/kubelet.h"
#include "schemas/base/digest.h"

namespace kairo::cluster {
namespace {
namespace fs = std::filesystem;
constexpr std::uint64_t message_bytes_max = 2048;

std::string read_tail(const std::string& path, std::uint64_t bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const auto size = static_cast<std::uint64_t>(file.tellg());
  file.seekg(static_cast<std::streamoff>(size - std::min(size, bytes)));
  std::string out(static_cast<std::size_t>(std::min(size, bytes)), '\0');
  file.read(out.data(), static_cast<std::streamsize>(out.size()));
  return out;
}
std::string last_line(const std::string& text) {
  const auto end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  const auto start = text.find_last_of("\r\n", end);
  return text.substr(start == std::string::npos ? 0 : start + 1,
                     end - (start == std::string::npos ? 0 : start + 1) + 1);
}
std::string as_utf8(const std::string& bytes) {  // what is not becomes U+FFFD
  return Json::parse(Json(bytes).dump(-1, ' ', false, Json::error_handler_t::replace));
}
}  // namespace

int latest_attempt(const std::string& container_dir) {
  int out = -1;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(container_dir, error)) {
    const std::string name = entry.path().filename();
    if (!name.empty() && name.size() < 9 &&
        name.find_first_not_of("0123456789") == std::string::npos)
      out = std::max(out, std::stoi(name));
  }
  return out;
}

void for_each_attempt(const std::string& pod_dir,
                      const std::function<void(const std::string& dir)>& what) {
  std::error_code error;
  for (const auto& container : fs::directory_iterator(pod_dir, error)) {
    if (container.path().filename() == "volumes") continue;
    std::error_code inner;
    for (const auto& attempt : fs::directory_iterator(container.path(), inner))
      if (attempt.is_directory(inner)) what(attempt.path());
  }
}

void end_pods(const std::string& state_dir) {
  const auto signal_all = [&](int signal) {  // false: none runs
    bool is_running = false;
    std::error_code error;
    for (const auto& pod : fs::directory_iterator(state_dir + "/pods", error))
      for_each_attempt(pod.path(), [&](const std::string& dir) {
        if (look_at(dir).phase != ProcessState::Phase::running) return;
        is_running = true;
        if (signal != 0) send_signal(dir, signal);
      });
    return is_running;
  };
  constexpr int look_ms = 20;
  bool is_running = signal_all(SIGTERM);
  for (int waited = 0; is_running; waited += look_ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(look_ms));
    is_running = signal_all(waited >= pods_grace_ms ? SIGKILL : 0);
  }
}

std::string last_words(const std::string& attempt_dir, bool has_failed) {
  std::string said = read_tail(attempt_dir + "/termination-log", message_bytes_max);
  if (said.empty() && has_failed)
    said = last_line(read_tail(attempt_dir + "/log", message_bytes_max));
  return as_utf8(said);
}

std::string cgroup_name(const std::string& attempt_dir) {
  return short_name(attempt_dir, 20);
}

Result<std::string> read_container_log(const std::string& state_dir, const std::string& pod_json,
                                       const std::string& container, std::uint64_t offset) {
  const Json pod = Json::parse(pod_json);
  bool is_known = false;
  for (const char* list : {"initContainers", "containers"})
    for (const Json& c : at(pod, {"spec", list}))
      is_known = is_known || text(c, {"name"}) == container;
  if (!is_known)
    return Error{Code::invalid, "container " + container + " is not valid for pod " +
                                    text(pod, {"metadata", "name"})};
  const std::string dir = state_dir + "/pods/" + text(pod, {"metadata", "uid"}) + "/" + container;
  const int attempt = latest_attempt(dir);
  std::ifstream file(dir + "/" + std::to_string(attempt) + "/log", std::ios::binary);
  if (attempt < 0 || !file) return std::string();
  file.seekg(static_cast<std::streamoff>(offset));
  std::string out(log_bytes_max, '\0');
  file.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(file.gcount() > 0 ? static_cast<std::size_t>(file.gcount()) : 0);
  return out;
}
}  // namespace kairo::cluster
