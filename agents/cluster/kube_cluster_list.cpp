// agents/cluster/kube_cluster_list.cpp - lists and watches of the port as requests.
#include <algorithm>
#include <charconv>

#include "agents/cluster/api_errors.h"
#include "agents/cluster/credentials.h"
#include "agents/cluster/http.h"
#include "agents/cluster/initial_events.h"
#include "agents/cluster/json.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/cluster/pod_log.h"
#include "agents/cluster/rest.h"
#include "agents/cluster/watch_stream.h"

namespace kairo::cluster {
namespace {
constexpr std::size_t page_size_default = 500;

std::string query_of(const Selection& selection) {
  std::string out;
  if (!selection.label.empty()) out += "&labelSelector=" + percent_encoded(selection.label);
  if (!selection.field.empty()) out += "&fieldSelector=" + percent_encoded(selection.field);
  return out;
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
// An API server on an etcd before 3.5.13 begins a stream and says then that it cannot.
bool is_unable(const Result<std::vector<Event>>& came) {
  return !came.ok() && came.error().what.find("RequestWatchProgress") != std::string::npos;
}
}  // namespace

Result<Listing> KubeCluster::list(const Selection& selection) {
  if (config_.streams_lists && has_list_streams_) {
    auto streamed = list_stream(selection);
    if (streamed.ok()) return streamed;
  }
  auto listed = list_pages(selection, page_size_default);
  // A page expired while we read: all at once.
  if (!listed.ok() && listed.error().code == Code::expired) return list_pages(selection, 0);
  return listed;
}

// WatchList: the server keeps no whole list in memory, and its stream becomes the watch. What comes
// is taken until its end; a server that refuses, breaks off or says nothing for a while is asked
// for pages, from then on when it has refused.
Result<Listing> KubeCluster::list_stream(const Selection& selection) {
  constexpr std::int64_t silent_ms_max = 10'000;
  auto stream = TRY(open_watch(
      selection, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=", ""));
  InitialEvents first;
  for (bool is_complete = false; !is_complete;) {
    const auto came = stream->next(silent_ms_max);
    const bool is_silent = came.ok() && came.value().empty();
    if ((is_silent && stream->is_open()) || stream->status() == 400 || stream->status() == 422 ||
        is_unable(came))
      has_list_streams_ = false;
    if (!came.ok()) return came.error();
    if (is_silent)
      return Error{Code::unavailable, "list: the server does not stream " + selection.kind.plural};
    for (const Event& event : came.value()) is_complete = TRY(first.take(event)) || is_complete;
  }
  keep(selection, std::move(stream));
  return std::move(first).listing();
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

Result<bool> KubeCluster::serves(const Kind& kind) {
  HttpRequest request;
  request.url =
      kind.group.empty() ? "/api/" + kind.version : "/apis/" + kind.group + "/" + kind.version;
  const auto reply = ask(request, "resources of " + kind.group + "/" + kind.version);
  if (!reply.ok() && reply.error().what.find("CustomResourceDefinition") != std::string::npos)
    return false;  // there is no such group at all
  const Json resources = Json::parse(TRY(reply).body, nullptr, false);
  for (const Json& resource : at(resources, {"resources"}))
    if (text(resource, {"name"}) == kind.plural) return true;
  return false;
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

// Queries of a selection: none may be asked while a busy server wants peace.
Result<std::unique_ptr<WatchStream>> KubeCluster::open_watch(const Selection& selection,
                                                             const std::string& parameters,
                                                             const std::string& version) {
  HttpRequest request;
  request.url =
      config_.base_url + collection_path(selection.kind, selection.ns) +
      "?watch=1&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(watch_timeout_s) +
      parameters + query_of(selection);
  request.headers = {"Accept: application/json"};
  const auto identity = TRY(credentials_->now());
  if (!identity->header.empty()) request.headers.push_back(identity->header);
  request.peer = {identity, &identity->peer};
  return std::make_unique<WatchStream>(request, version, clock_);
}

void KubeCluster::keep(const Selection& selection, std::unique_ptr<WatchStream> stream) {
  if (stream->status() == 401)
    if (const auto refused = credentials_->now(); refused.ok())
      credentials_->forget(refused.value());
  const std::lock_guard lock(mutex_);
  if (stream->status() >= 400 && stream->retry_after_s() > 0)
    not_before_ms_[selection] = clock_.monotonic_ms() + 1000 * stream->retry_after_s();
  if (stream->is_open()) watches_[selection] = std::move(stream);
}

Result<std::vector<Event>> KubeCluster::watch(const Selection& selection,
                                              const std::string& resource_version,
                                              std::int64_t wait_ms) {
  std::unique_ptr<WatchStream> stream;
  std::int64_t busy_ms = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = watches_.find(selection);
    if (found != watches_.end()) {
      stream = std::move(found->second);
      watches_.erase(found);
    }
    if (const auto until = not_before_ms_.find(selection); until != not_before_ms_.end())
      busy_ms = until->second - clock_.monotonic_ms();
  }
  if (!stream && busy_ms > 0) {
    wait(std::min(busy_ms, wait_ms));
    return std::vector<Event>{};
  }
  if (!stream || stream->version() != resource_version) {
    TRY(check_reached(selection, resource_version));
    stream = TRY(open_watch(selection, "&resourceVersion=" + percent_encoded(resource_version),
                            resource_version));
  }
  auto events_now = stream->next(wait_ms);
  keep(selection, std::move(stream));
  return events_now;
}
}  // namespace kairo::cluster
