// agents/cluster/kube_cluster.cpp - the port's calls as requests.
#include "agents/cluster/kube_cluster.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "agents/cluster/api_errors.h"
#include "agents/cluster/credentials.h"
#include "agents/cluster/http.h"
#include "agents/cluster/json.h"
#include "agents/cluster/kinds.h"
#include "agents/cluster/pod_log.h"
#include "agents/cluster/rest.h"
#include "agents/cluster/watch_stream.h"

namespace kairo::cluster {
namespace {
constexpr std::int64_t busy_ms_max = 30'000;  // of all waiting for one answer

std::string name_of(const Ref& ref) {
  return ref.kind.kind + " " + (ref.ns.empty() ? "" : ref.ns + "/") + ref.name;
}
}  // namespace

KubeCluster::KubeCluster(KubeConfig config)
    : config_(std::move(config)),
      http_(std::make_unique<HttpClient>()),
      credentials_(std::make_unique<Credentials>(config_, clock_)) {}
KubeCluster::~KubeCluster() = default;

bool KubeCluster::wait(std::int64_t ms) const {
  const std::int64_t end = clock_.monotonic_ms() + ms;
  while (clock_.monotonic_ms() < end) {
    if (config_.stop != nullptr && *config_.stop) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

Result<HttpReply> KubeCluster::perform(HttpRequest& request) {
  const std::size_t plain = request.headers.size();
  for (int attempt = 0;; ++attempt) {
    const auto identity = TRY(credentials_->now());
    request.headers.resize(plain);
    if (!identity->header.empty()) request.headers.push_back(identity->header);
    request.peer = {identity, &identity->peer};
    request.is_fresh = attempt > 0;
    HttpReply reply = TRY(http_->perform(request));
    if (reply.status == 401) credentials_->forget(identity);
    if (reply.status == 401 && attempt == 0) continue;
    request.headers.resize(plain);
    return reply;
  }
}

Result<HttpReply> KubeCluster::ask(HttpRequest request, const std::string& operation) {
  request.url = config_.base_url + request.url;
  request.headers.push_back("Accept: application/json");
  for (std::int64_t waited_ms = 0;;) {
    HttpReply reply = TRY(perform(request));
    if (reply.status < 400) return reply;
    // A create that a server broke off may have made it: a second one would be refused.
    const bool is_busy = reply.status == 429 || (reply.status >= 500 && reply.retry_after_s >= 0 &&
                                                 request.method != "POST");
    const std::int64_t ms =
        1000 * std::clamp<std::int64_t>(reply.retry_after_s, 1, 24 * std::int64_t{3600});
    if (is_busy && waited_ms + ms <= busy_ms_max && wait(ms)) {
      waited_ms += ms;
      continue;
    }
    return error_of(reply.status, reply.body, operation);
  }
}

Result<std::string> KubeCluster::apply(const Apply& a) {
  HttpRequest request;
  request.method = "PATCH";
  request.url =
      object_path(a.ref, a.subresource) + "?force=true&fieldManager=" + percent_encoded(a.manager);
  request.headers = {"Content-Type: application/apply-patch+yaml"};
  request.body = a.json;
  return TRY(ask(request, "apply " + name_of(a.ref))).body;
}

Result<std::string> KubeCluster::create(const Apply& a) {
  HttpRequest request;
  request.method = "POST";
  request.url =
      collection_path(a.ref.kind, a.ref.ns) + "?fieldManager=" + percent_encoded(a.manager);
  request.headers = {"Content-Type: application/json"};
  request.body = a.json;
  return TRY(ask(request, "create " + name_of(a.ref))).body;
}

Result<std::string> KubeCluster::patch(const Patch& p) {
  HttpRequest request;
  request.method = "PATCH";
  request.url = object_path(p.ref, p.subresource);
  request.headers = {"Content-Type: application/merge-patch+json"};
  request.body = p.json;
  return TRY(ask(request, "patch " + name_of(p.ref))).body;
}

Result<std::string> KubeCluster::get(const Ref& ref) {
  HttpRequest request;
  request.url = object_path(ref);
  return TRY(ask(request, "get " + name_of(ref))).body;
}

Status KubeCluster::remove(const Ref& ref, const std::string& uid) {
  // A workload is gone when its pods are: who waits for it may free what they used.
  const bool is_workload =
      ref.kind.plural == jobs.plural || ref.kind.plural == stateful_sets.plural;
  Json options = {{"apiVersion", "v1"},
                  {"kind", "DeleteOptions"},
                  {"propagationPolicy", is_workload ? "Foreground" : "Background"}};
  if (!uid.empty()) options["preconditions"] = {{"uid", uid}};
  HttpRequest request;
  request.method = "DELETE";
  request.url = object_path(ref);
  request.headers = {"Content-Type: application/json"};
  request.body = options.dump();
  const auto done = ask(request, "delete " + name_of(ref));
  if (!done.ok() && done.error().code != Code::not_found) return done.error();
  return ok();
}

Result<HttpReply> KubeCluster::read_log(const Ref& pod, const std::string& container,
                                        std::uint64_t offset, const std::string& since,
                                        std::size_t bytes_max) {
  HttpRequest request;
  request.url = object_path(pod, "log") + "?container=" + percent_encoded(container) +
                "&timestamps=true&limitBytes=" + std::to_string(bytes_max) + "&" +
                log_offset_query + "=" + std::to_string(offset);
  if (!since.empty()) request.url += "&sinceTime=" + percent_encoded(since);
  request.skipped_by = log_offset_header;
  request.reply_bytes_max = bytes_max;
  return ask(request, "log of " + name_of(pod));
}

// The local cluster knows offsets; any other server is asked by time and gives bytes twice, at most
// a second's, which log_news leaves out.
Result<std::string> KubeCluster::log(const Ref& pod, const std::string& container,
                                     std::uint64_t offset) {
  constexpr std::size_t containers_max = 100, reply_bytes_max = 64 << 20;
  const std::pair key(pod, container);
  LogPlace place;
  {
    const std::lock_guard lock(mutex_);
    const auto known = logs_.find(key);
    if (known != logs_.end() && known->second.offset == offset) place = known->second;
  }
  std::size_t bytes_max = log_bytes_max;
  for (;;) {
    const auto reply = read_log(pod, container, offset, place.time, bytes_max);
    if (!reply.ok() && reply.error().what.find("waiting to start") != std::string::npos)
      return std::string();
    if (!reply.ok()) return reply.error();
    const std::string& body = reply.value().body;
    if (reply.value().is_skipped) return body;
    LogNews news = log_news(body, body.size() >= bytes_max, place);
    if (news.needs_more && bytes_max < reply_bytes_max) {
      bytes_max *= 8;
      continue;
    }
    if (place.offset != offset && news.next.offset <= offset) {  // behind a place one was not at
      place = news.next;
      if (news.text.empty()) return std::string();
      continue;
    }
    if (place.offset < offset) news.text.erase(0, offset - place.offset);
    const std::lock_guard lock(mutex_);
    if (logs_.size() >= containers_max) logs_.clear();
    logs_[key] = news.next;
    return std::move(news.text);
  }
}

Result<std::pair<int, std::string>> KubeCluster::post_to_service(const std::string& ns,
                                                                 const std::string& service,
                                                                 const std::string& path,
                                                                 const std::string& body,
                                                                 std::int64_t timeout_ms) {
  HttpRequest request;
  request.method = "POST";
  request.url = config_.base_url + object_path({services, ns, service}) + ":80/proxy" + path;
  request.headers = {"Content-Type: application/json", "Accept: application/json"};
  request.body = body;
  request.timeout_ms = timeout_ms;
  HttpReply reply = TRY(perform(request));
  return std::pair(reply.status, std::move(reply.body));
}
}  // namespace kairo::cluster
