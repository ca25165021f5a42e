// agents/cluster/kube_cluster.cpp - the port's calls as requests.
#include "agents/cluster/kube_cluster.h"

#include <charconv>

#include "agents/cluster/api_errors.h"
#include "agents/cluster/http.h"
#include "agents/cluster/json.h"
#include "agents/cluster/kinds.h"
#include "agents/cluster/rest.h"
#include "agents/cluster/token.h"
#include "agents/cluster/watch_stream.h"

namespace kairo::cluster {
namespace {
constexpr std::size_t page_size_default = 500;

std::string name_of(const Ref& ref) {
  return ref.kind.kind + " " + (ref.ns.empty() ? "" : ref.ns + "/") + ref.name;
}
std::string query_of(const Selection& selection) {
  return selection.label.empty() ? "" : "&labelSelector=" + percent_encoded(selection.label);
}
std::uint64_t number_of(const std::string& version) {
  std::uint64_t out = 0;
  std::from_chars(version.data(), version.data() + version.size(), out);
  return out;
}
// Kubernetes leaves the kind out of a list's items: the list has it once.
std::string item_text(Json& item, const Kind& kind) {
  if (!item.contains("kind")) item["kind"] = kind.kind;
  if (!item.contains("apiVersion")) item["apiVersion"] = api_version(kind);
  if (item.contains("metadata") && item["metadata"].is_object())
    item["metadata"].erase("managedFields");
  return item.dump();
}
}  // namespace

KubeCluster::KubeCluster(KubeConfig config)
    : config_(std::move(config)),
      http_(std::make_unique<HttpClient>(config_.ca_file)),
      token_(std::make_unique<TokenFile>(config_.token_file, clock_)) {}
KubeCluster::~KubeCluster() = default;

Result<HttpReply> KubeCluster::ask(HttpRequest request, const std::string& operation) {
  request.url = config_.base_url + request.url;
  request.headers.push_back("Accept: application/json");
  const std::size_t plain = request.headers.size();
  for (int attempt = 0;; ++attempt) {
    const std::string header = TRY(token_->header());
    request.headers.resize(plain);
    if (!header.empty()) request.headers.push_back(header);
    HttpReply reply = TRY(http_->perform(request));
    if (reply.status < 400) return reply;
    if (reply.status == 401) token_->forget(header);
    if (reply.status == 401 && attempt == 0) continue;
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

Result<Listing> KubeCluster::list(const Selection& selection) {
  auto listed = list_pages(selection, page_size_default);
  // A page expired while we read: all at once.
  if (!listed.ok() && listed.error().code == Code::expired) return list_pages(selection, 0);
  return listed;
}

Result<Listing> KubeCluster::list_pages(const Selection& selection, std::size_t page_size) {
  Listing out;
  std::string next;
  do {
    HttpRequest request;
    request.timeout_ms = 60'000;
    request.url = collection_path(selection.kind, selection.ns) +
                  "?limit=" + std::to_string(page_size) + query_of(selection);
    if (!next.empty()) request.url += "&continue=" + percent_encoded(next);
    const std::string operation =
        (next.empty() ? "list " : "list page of ") + selection.kind.plural;
    const HttpReply reply = TRY(ask(request, operation));
    Json page = Json::parse(reply.body, nullptr, false);
    if (!at(page, {"metadata"}).is_object() ||
        !(at(page, {"items"}).is_array() || at(page, {"items"}).is_null()))
      return Error{Code::unavailable, operation + ": the answer is not a list"};
    if (page.contains("items"))
      for (Json& item : page["items"])
        if (item.is_object()) out.items.push_back(item_text(item, selection.kind));
    out.resource_version = text(page, {"metadata", "resourceVersion"});
    next = text(page, {"metadata", "continue"});
  } while (!next.empty());
  return out;
}

// A server holds a watch of a version that it has not reached open without a word. Its versions are
// behind ours when its store was put back from a backup.
Status KubeCluster::check_reached(const Selection& selection, const std::string& version) {
  HttpRequest request;
  request.url = collection_path(selection.kind, selection.ns) + "?limit=1" + query_of(selection);
  const HttpReply reply = TRY(ask(request, "version of " + selection.kind.plural));
  const std::string now =
      text(Json::parse(reply.body, nullptr, false), {"metadata", "resourceVersion"});
  if (number_of(now) != 0 && number_of(now) < number_of(version))
    return Error{Code::expired, "watch: the server is at version " + now + ", before " + version};
  return ok();
}

Result<std::unique_ptr<WatchStream>> KubeCluster::open_watch(const Selection& selection,
                                                             const std::string& version) {
  TRY(check_reached(selection, version));
  HttpRequest request;
  request.url =
      config_.base_url + collection_path(selection.kind, selection.ns) +
      "?watch=1&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(watch_timeout_s) +
      "&resourceVersion=" + percent_encoded(version) + query_of(selection);
  request.headers = {"Accept: application/json"};
  const std::string header = TRY(token_->header());
  if (!header.empty()) request.headers.push_back(header);
  return std::make_unique<WatchStream>(request, config_.ca_file, version, clock_);
}

Result<std::vector<Event>> KubeCluster::watch(const Selection& selection,
                                              const std::string& resource_version,
                                              std::int64_t wait_ms) {
  std::unique_ptr<WatchStream> stream;
  {
    const std::lock_guard lock(mutex_);
    const auto found = watches_.find(selection);
    if (found != watches_.end()) {
      stream = std::move(found->second);
      watches_.erase(found);
    }
  }
  if (!stream || stream->version() != resource_version)
    stream = TRY(open_watch(selection, resource_version));
  auto events_now = stream->next(wait_ms);
  if (!events_now.ok() && events_now.error().what.find("token") != std::string::npos) {
    const auto header = token_->header();
    if (header.ok()) token_->forget(header.value());
  }
  if (stream->is_open()) {
    const std::lock_guard lock(mutex_);
    watches_[selection] = std::move(stream);
  }
  return events_now;
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

Result<std::string> KubeCluster::log(const Ref& pod, const std::string& container,
                                     std::uint64_t offset) {
  HttpRequest request;
  request.url = object_path(pod, "log") + "?container=" + percent_encoded(container) + "&" +
                log_offset_query + "=" + std::to_string(offset);
  request.skip_bytes = offset;
  request.skipped_by = log_offset_header;
  request.reply_bytes_max = log_bytes_max;
  auto reply = ask(request, "log of " + name_of(pod));
  if (reply.ok()) return std::move(reply).value().body;
  if (reply.error().what.find("waiting to start") != std::string::npos) return std::string();
  return reply.error();
}
}  // namespace kairo::cluster
