// agents/cli/follow.cpp - wait (the live bar), logs, files.
#include <httplib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "agents/cli/cli.h"
#include "agents/cli/conditions.h"
#include "agents/cli/printers.h"
#include "agents/cluster/kinds.h"
#include "schemas/base/clock.h"

namespace kairo::cli {
namespace {
using Json = nlohmann::json;

class Screen {  // one line that changes on a terminal; only news elsewhere
 public:
  void show(const Json& workspace) {
    const std::string waiting = waiting_for(workspace);
    std::string line = progress_line(workspace.dump(), terminal_ ? 24 : 0);
    if (line.empty() || line == "Waiting" || line == "Preparing" || line == "Queued" ||
        line == "Paused")
      line = (line.empty() ? "Waiting" : line) + (waiting.empty() ? "" : "  " + waiting);
    if (workspace.value(Json::json_pointer("/status/state"), "") == "Running" && !waiting.empty())
      line += "  " + waiting;
    if (line == last_) return;
    if (terminal_)
      std::cerr << "\r\033[K" << line.substr(0, width()) << std::flush;
    else
      std::cerr << line << std::endl;
    last_ = line;
  }
  ~Screen() {
    if (terminal_ && !last_.empty()) std::cerr << "\n";
  }

 private:
  static std::size_t width() {  // a line that wraps could not be written over
    winsize size{};
    const bool is_known = ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return is_known ? size.ws_col - 1U : 79U;
  }
  const bool terminal_ = isatty(2) == 1;
  std::string last_;
};
}  // namespace

Status wait(Context& context, const std::string& name, std::int64_t timeout_s) {
  const auto cluster = TRY(context.connect());
  const cluster::Ref ref{cluster::workspaces, context.ns, name};
  const SystemClock clock;
  const std::int64_t deadline = clock.monotonic_ms() + timeout_s * 1000;
  Screen screen;
  std::string waiting;
  while (!context.stop) {
    const auto object = cluster->get(ref);
    if (!object.ok() && object.error().code != Code::unavailable) return object.error();
    if (object.ok()) {
      const Json workspace = Json::parse(object.value(), nullptr, false);
      screen.show(workspace);
      waiting = waiting_for(workspace);
      const Json status = workspace.contains("status") ? workspace["status"] : Json::object();
      const std::string state = status.value("state", "");
      if (state == "Succeeded" || state == "Ready") return ok();
      if (state == "Failed")
        return Error{Code::invalid, "workspace " + name + " failed: " +
                                        condition_of(workspace, "WorkspaceSucceeded").message};
    } else {
      TRY(must_run(context));  // else the workspace goes on when it is started again
    }
    if (clock.monotonic_ms() > deadline)
      return Error{Code::unavailable, "workspace " + name + " is not done after " +
                                          std::to_string(timeout_s) + " s; " + waiting};
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  return Error{Code::unavailable, "interrupted; the workspace goes on (kairo get workspace -w)"};
}

namespace {
// A Workspace's name stands for its newest pod; else the name is a pod's.
Result<Json> pod_named(const Context& context, cluster::Cluster& cluster, const std::string& name) {
  const auto listing = TRY(cluster.list({cluster::pods, context.ns, "kaito.sh/workspace=" + name}));
  Json newest;
  for (const std::string& item : listing.items) {
    const auto born = [](const Json& pod) {
      return pod["metadata"].value("creationTimestamp", "");
    };
    Json pod = Json::parse(item, nullptr, false);
    if (newest.is_null() || born(pod) >= born(newest)) newest = std::move(pod);
  }
  if (!newest.is_null()) return newest;
  const auto pod = cluster.get({cluster::pods, context.ns, name});
  if (pod.ok()) return Json::parse(pod.value(), nullptr, false);
  if (pod.error().code != Code::not_found) return pod.error();
  const auto workspace = cluster.get({cluster::workspaces, context.ns, name});
  if (!workspace.ok())
    return Error{Code::not_found,
                 "no workspace and no pod \"" + name + "\" in namespace " + context.ns};
  const Json object = Json::parse(workspace.value(), nullptr, false);
  const std::string phase = progress_line(object.dump(), 0), why = waiting_for(object);
  return Error{Code::unavailable, "workspace " + name + " has no pod yet, so no log: " +
                                      (phase.empty() ? "Pending" : phase) +
                                      (why.empty() ? "" : ", " + why)};
}
// How often its container has been started again: each start begins a log of its own.
int restarts_of(const Json& pod, const std::string& container) {
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (const Json& c : pod.value("status", Json::object()).value(list, Json::array()))
      if (c.value("name", "") == container) return c.value("restartCount", 0);
  return 0;
}
}  // namespace

namespace {
// To its end as it is now, or, followed, to the end of the pod. false: nobody listens any more.
Result<bool> print_log(const Context& context, cluster::Cluster& cluster, Json& pod,
                       const std::string& wanted, bool follow) {
  const std::string container =
      wanted.empty() ? pod["spec"]["containers"][0].value("name", "") : wanted;
  const cluster::Ref ref{cluster::pods, context.ns, pod["metadata"].value("name", "")};
  std::uint64_t offset = 0;
  for (int restarts = restarts_of(pod, container); !context.stop && std::cout;) {
    const std::string phase = pod.value(Json::json_pointer("/status/phase"), "");
    const auto text = cluster.log(ref, container, offset);
    if (!text.ok() && text.error().code == Code::not_found && offset > 0) return true;  // it went
    if (!text.ok()) return text.error();
    std::cout << text.value() << std::flush;
    offset += text.value().size();
    if (!text.value().empty()) continue;
    if (!follow || phase == "Succeeded" || phase == "Failed") return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const auto now = cluster.get(ref);
    if (!now.ok() && now.error().code == Code::not_found) return true;
    pod = Json::parse(TRY(now), nullptr, false);
    if (std::exchange(restarts, restarts_of(pod, container)) != restarts) offset = 0;
  }
  return false;
}
// The pod that follows on this one: the next attempt of a tuning, a server's next life. Waited for;
// null: none will, for the Workspace has gone, or a tuning has come to its end.
Result<Json> pod_after(const Context& context, cluster::Cluster& cluster, const std::string& name,
                       const Json& pod) {
  const std::string uid = pod["metadata"].value("uid", "");
  if (pod.value(Json::json_pointer("/status/phase"), "") == "Succeeded") return Json();
  while (!context.stop) {
    const auto workspace = cluster.get({cluster::workspaces, context.ns, name});
    if (!workspace.ok() && workspace.error().code == Code::not_found) return Json();
    const Json object = Json::parse(TRY(workspace), nullptr, false);
    auto next = pod_named(context, cluster, name);
    const bool has_begun =  // before that it has no log
        next.ok() && next.value()["metadata"].value("uid", "") != uid &&
        next.value().value(Json::json_pointer("/status/phase"), "Pending") != "Pending";
    if (has_begun) return next;
    const std::string state = object.value(Json::json_pointer("/status/state"), "");
    if (state == "Succeeded" || state == "Failed") return Json();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  return Json();
}
}  // namespace

Status logs(Context& context, const std::string& name, const std::string& wanted, bool follow) {
  const auto cluster = TRY(context.connect());
  Json pod = TRY(pod_named(context, *cluster, name));
  const bool is_workspaces =
      pod.value(Json::json_pointer("/metadata/labels/kaito.sh~1workspace"), "") == name;
  while (TRY(print_log(context, *cluster, pod, wanted, follow)) && follow && is_workspaces) {
    Json next = TRY(pod_after(context, *cluster, name, pod));
    if (next.is_null()) break;
    std::cerr << "pod " << pod["metadata"].value("name", "") << " has ended; pod "
              << next["metadata"].value("name", "") << " goes on" << std::endl;
    pod = std::move(next);
  }
  return ok();
}

Status serve_files(Context& context, const std::string& folder, int port) {
  httplib::Server server;
  if (!server.set_mount_point("/", folder))
    return Error{Code::not_found, "no such folder: " + folder};
  server.set_socket_options([](socket_t socket) {  // without httplib's SO_REUSEPORT: one owner
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  if (!server.bind_to_port("127.0.0.1", port))
    return Error{Code::unavailable, "port " + std::to_string(port) + " on 127.0.0.1 is taken"};
  std::thread thread([&] { server.listen_after_bind(); });
  while (!server.is_running()) std::this_thread::yield();  // stop() works from here on
  std::cerr << "serving " << folder << " on http://127.0.0.1:" << port << "/\n";
  while (!context.stop) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server.stop();
  thread.join();
  return ok();
}
}  // namespace kairo::cli
