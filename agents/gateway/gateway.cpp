// agents/gateway/gateway.cpp - which path is what, and the parts put together.
#include "agents/gateway/gateway.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agents/gateway/chat_api.h"
#include "agents/gateway/files_api.h"
#include "agents/gateway/server.h"
#include "schemas/base/log.h"

namespace kairo::gateway {
namespace {
constexpr std::size_t job_body_max = 1 << 20;

struct Api {
  FilesApi& files;
  JobsApi& jobs;
  ChatApi& chat;
  const Seen& seen;
  std::atomic<std::uint64_t>& asked;

  Reply open(const Request& request) {
    const auto& path = request.path;
    if (path.size() == 4) return files.rows(path[2], request.query);
    Reply out;
    out.type = "text/plain; version=0.0.4";
    if (path[0] == "metrics") {
      out.body = "# TYPE kairo_openai_requests_total counter\nkairo_openai_requests_total " +
                 std::to_string(asked) + "\n";
      return out;
    }
    const bool is_ready = path[0] == "healthz" || seen.has_listed();
    out.status = is_ready ? 200 : 503;
    out.body = is_ready ? "ok\n" : "it has not listed the Workspaces yet\n";
    return out;
  }
  static bool is_open(const Request& request) {
    const auto& path = request.path;
    if (request.method != "GET") return false;
    if (path.size() == 1)
      return path[0] == "healthz" || path[0] == "readyz" || path[0] == "metrics";
    return path.size() == 4 && path[0] == "v1" && path[1] == "files" &&
           (path[3] == "rows.jsonl" || path[3] == "validation.jsonl");
  }
  Reply v1(const Request& request) {
    ++asked;
    const auto& path = request.path;
    if (path.size() < 2 || path[0] != "v1") return unknown(request);
    if (path[1] == "files") return files_path(request);
    if (path[1] == "uploads") return uploads_path(request);
    if (path[1] == "models") return models_path(request);
    if (path[1] == "fine_tuning") return jobs_path(request);
    if (request.method == "POST" && path.size() == 3 && path[1] == "chat" &&
        path[2] == "completions")
      return chat.complete(request, "/v1/chat/completions");
    if (request.method == "POST" && path.size() == 2 && path[1] == "completions")
      return chat.complete(request, "/v1/completions");
    return unknown(request);
  }
  static Reply unknown(const Request& request) {
    std::string path;
    for (const std::string& part : request.path) path += "/" + part;
    return reply(Refusal{404, "no such call here: " + request.method + " " + path.substr(0, 300)});
  }
  Reply files_path(const Request& request) {
    const auto& path = request.path;
    const std::string& method = request.method;
    if (path.size() == 2 && method == "POST") return reply(files.create(request));
    if (path.size() == 2 && method == "GET") return reply(files.list(request.query));
    if (path.size() == 3 && method == "GET") return reply(files.get(path[2]));
    if (path.size() == 3 && method == "DELETE") return reply(files.remove(path[2]));
    if (path.size() == 4 && method == "GET" && path[3] == "content")
      return files.content(path[2], request);
    return unknown(request);
  }
  Reply uploads_path(const Request& request) {
    const auto& path = request.path;
    if (request.method != "POST") return unknown(request);
    if (path.size() == 2) return reply(files.create_upload(request));
    if (path.size() != 4) return unknown(request);
    if (path[3] == "parts") return reply(files.add_part(path[2], request));
    if (path[3] == "complete") return reply(files.complete(path[2], request));
    if (path[3] == "cancel") return reply(files.cancel(path[2]));
    return unknown(request);
  }
  Reply models_path(const Request& request) {
    const auto& path = request.path;
    if (path.size() == 2 && request.method == "GET") return reply(chat.models());
    if (path.size() == 3 && request.method == "GET") return reply(chat.model(path[2]));
    if (path.size() == 3 && request.method == "DELETE") return reply(jobs.delete_model(path[2]));
    return unknown(request);
  }
  Reply jobs_path(const Request& request) {
    const auto& path = request.path;
    const bool is_get = request.method == "GET", is_post = request.method == "POST";
    if (path.size() >= 3 && path[2] == "checkpoints")
      return reply(Refusal{403,
                           "permissions of checkpoints are for organizations: this server has "
                           "one"});
    if (path.size() < 3 || path[2] != "jobs") return unknown(request);
    if (path.size() == 3 && is_post) {
      const auto body = json_body(request, job_body_max);
      if (!body.ok()) return reply(body.error());
      const std::string retries = request.header("x-stainless-retry-count");
      return reply(jobs.create(body.value(), request.owner, !retries.empty() && retries != "0"));
    }
    if (path.size() == 3 && is_get) return reply(jobs.list(request.query));
    if (path.size() == 4 && is_get) return reply(jobs.get(path[3]));
    if (path.size() != 5) return unknown(request);
    if (is_get && path[4] == "events") return reply(jobs.events(path[3], request.query));
    if (is_get && path[4] == "checkpoints") return reply(jobs.checkpoints(path[3], request.query));
    if (is_post && path[4] == "cancel") return reply(jobs.cancel(path[3]));
    if (is_post && (path[4] == "pause" || path[4] == "resume"))
      return reply(jobs.pause(path[3], path[4] == "pause"));
    return unknown(request);
  }
};

Status write_port(const std::string& file, int port) {
  if (file.empty()) return ok();
  std::ofstream out(file + ".new");
  out << port << "\n";
  out.close();
  if (!out || std::rename((file + ".new").c_str(), file.c_str()) != 0)
    return Error{Code::unavailable, "write " + file + ": the disk refuses"};
  return ok();
}
}  // namespace

Status run_gateway(const Settings& settings, cluster::Cluster& cluster,
                   const std::atomic<bool>& stop) {
  const SystemClock clock;
  const auto store = TRY(FileStore::open(settings.folder, clock));
  const std::string steps = settings.folder + "/steps";
  std::error_code error;
  std::filesystem::create_directories(steps, error);
  Seen seen(cluster, settings.place.ns, settings.runs, steps);
  ChatApi chat(cluster, seen, clock, settings.place, settings.in_cluster, settings.load_wait_ms);
  // The port is known when somebody may ask already; until then jobs are not there.
  std::unique_ptr<JobsApi> jobs;
  std::unique_ptr<FilesApi> files;
  std::unique_ptr<Api> api;
  std::atomic<Api*> ready = nullptr;
  std::atomic<std::uint64_t> asked = 0;
  const auto later = [] {
    Refusal out{503, "the gateway starts", "", "", "server_error"};
    out.retry_after_s = 1;
    return reply(out);
  };
  auto server = TRY(serve_http(
      {settings.host, settings.port, settings.keys},
      {[&](const Request& r) { return ready != nullptr ? ready.load()->v1(r) : later(); },
       [&](const Request& r) { return ready != nullptr ? ready.load()->open(r) : later(); },
       Api::is_open}));
  JobRules rules{settings.place, settings.self_url, settings.jobs_max};
  if (rules.self_url.empty()) rules.self_url = "http://127.0.0.1:" + std::to_string(server->port());
  jobs = std::make_unique<JobsApi>(cluster, *store, seen, clock, rules);
  files = std::make_unique<FilesApi>(*store, *jobs, clock, settings.files_bytes_max);
  api = std::make_unique<Api>(Api{*files, *jobs, chat, seen, asked});
  ready = api.get();
  TRY(write_port(settings.port_file, server->port()));
  log::info("the gateway listens", {{"port", std::to_string(server->port())},
                                    {"keys", settings.keys.any() ? "wanted" : "none"}});
  std::thread follower([&] { seen.follow(stop); });
  constexpr std::int64_t sweep_ms = 60'000;
  for (std::int64_t swept = -sweep_ms; !stop;) {
    if (const std::int64_t now = clock.monotonic_ms(); now - swept >= sweep_ms && seen.has_listed())
      jobs->sweep(), swept = now;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  server.reset();
  follower.join();
  return ok();
}
}  // namespace kairo::gateway
