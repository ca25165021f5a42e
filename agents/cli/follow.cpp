// agents/cli/follow.cpp - wait (the live bar), logs, chat.
#include <httplib.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "agents/cli/cli.h"
#include "agents/cli/printers.h"
#include "agents/cluster/kinds.h"
#include "schemas/base/clock.h"

namespace kairo::cli {
namespace {
using Json = nlohmann::json;

struct Condition {
  std::string value, reason, message;
};
Condition condition(const Json& workspace, const std::string& type) {
  const Json::json_pointer at("/status/conditions");
  if (workspace.contains(at))
    for (const Json& c : workspace[at])
      if (c.value("type", "") == type)
        return {c.value("status", ""), c.value("reason", ""), c.value("message", "")};
  return {};
}
// What the Workspace waits for, in its own words; "" when nothing is wrong.
std::string waiting_for(const Json& workspace) {
  for (const char* type : {"ResourceReady", "JobStarted", "InferenceReady", "WorkspaceSucceeded"}) {
    const Condition c = condition(workspace, type);
    if (c.value == "False" && c.reason != "workspacePending") return c.reason + ": " + c.message;
  }
  return {};
}

class Screen {  // one line that changes on a terminal; only news elsewhere
 public:
  void show(const Json& workspace) {
    const std::string waiting = waiting_for(workspace);
    std::string line = progress_line(workspace.dump(), terminal_ ? 24 : 0);
    if (line.empty() || line == "Waiting" || line == "Preparing" || line == "Queued")
      line = (line.empty() ? "Waiting" : line) + (waiting.empty() ? "" : "  " + waiting);
    if (workspace.value(Json::json_pointer("/status/state"), "") == "Running" && !waiting.empty())
      line += "  " + waiting;
    if (line == last_) return;
    if (terminal_)
      std::cerr << "\r\033[K" << line.substr(0, 160) << std::flush;
    else
      std::cerr << line << std::endl;
    last_ = line;
  }
  ~Screen() {
    if (terminal_ && !last_.empty()) std::cerr << "\n";
  }

 private:
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
                                        condition(workspace, "WorkspaceSucceeded").message};
    }
    if (clock.monotonic_ms() > deadline)
      return Error{Code::unavailable, "workspace " + name + " is not done after " +
                                          std::to_string(timeout_s) + " s; " + waiting};
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  return Error{Code::unavailable, "interrupted; the workspace goes on (kairo get workspace -w)"};
}

Status logs(Context& context, const std::string& name, const std::string& wanted, bool follow) {
  const auto cluster = TRY(context.connect());
  std::string pod = name, container = wanted;
  // A Workspace's or Job's name stands for its newest pod.
  const auto listing =
      TRY(cluster->list({cluster::pods, context.ns, "kaito.sh/workspace=" + name}));
  std::string newest;
  Json object;
  for (const std::string& item : listing.items) {
    const Json candidate = Json::parse(item, nullptr, false);
    const std::string born = candidate["metadata"].value("creationTimestamp", "");
    if (born < newest) continue;
    newest = born;
    object = candidate;
    pod = candidate["metadata"].value("name", "");
  }
  if (object.is_null()) object = Json::parse(TRY(cluster->get({cluster::pods, context.ns, name})));
  if (container.empty()) container = object["spec"]["containers"][0].value("name", "");
  const cluster::Ref ref{cluster::pods, context.ns, pod};
  std::uint64_t offset = 0;
  while (!context.stop) {
    const std::string text = TRY(cluster->log(ref, container, offset));
    std::cout << text << std::flush;
    offset += text.size();
    if (!text.empty()) continue;
    if (!follow) return ok();
    const auto now = cluster->get(ref);
    if (!now.ok()) return now.error().code == Code::not_found ? ok() : Status(now.error());
    const std::string phase =
        Json::parse(now.value()).value(Json::json_pointer("/status/phase"), "");
    if (phase == "Succeeded" || phase == "Failed") {
      std::cout << TRY(cluster->log(ref, container, offset)) << std::flush;
      return ok();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return ok();
}

Status chat(Context& context, const ChatOptions& options) {
  const auto cluster = TRY(context.connect());
  const Json service =
      Json::parse(TRY(cluster->get({cluster::services, context.ns, options.workspace})));
  const std::string address =
      service.value(Json::json_pointer("/metadata/annotations/kairo.dev~1local-address"), "");
  if (address.empty())
    return Error{Code::unavailable, "workspace " + options.workspace +
                                        " has no address yet; see `kairo describe workspace " +
                                        options.workspace + "`"};
  httplib::Client client("http://" + address);
  client.set_read_timeout(300, 0);
  Json body = {{"temperature", options.temperature}, {"max_tokens", options.max_tokens}};
  if (!options.adapter.empty()) body["model"] = options.adapter;
  std::string path = "/v1/chat/completions";
  if (options.raw) {
    path = "/chat";
    body = {{"prompt", options.prompt},
            {"return_full_text", false},
            {"generate_kwargs",
             {{"max_new_tokens", options.max_tokens}, {"do_sample", options.temperature > 0}}}};
    if (!options.adapter.empty()) body["model"] = options.adapter;
  } else {
    body["messages"] = Json::array({{{"role", "user"}, {"content", options.prompt}}});
  }
  const auto reply = client.Post(path, body.dump(), "application/json");
  if (!reply)
    return Error{Code::unavailable, "no answer from " + address + ": " +
                                        httplib::to_string(reply.error()) + "; see `kairo logs " +
                                        options.workspace + "`"};
  const Json json = Json::parse(reply->body, nullptr, false);
  if (reply->status != 200) {
    const Json::json_pointer at("/error/message");
    return Error{Code::invalid,
                 path + " answered " + std::to_string(reply->status) + ": " +
                     (json.is_object() && json.contains(at) ? json[at].get<std::string>()
                                                            : reply->body.substr(0, 300))};
  }
  if (options.raw || !json.is_object())
    std::cout << reply->body << "\n";
  else
    std::cout << json.value(Json::json_pointer("/choices/0/message/content"), "") << "\n";
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
