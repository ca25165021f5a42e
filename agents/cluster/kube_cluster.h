// agents/cluster/kube_cluster.h - the Cluster port over Kubernetes' REST interface.
//
// The same client speaks to a real API server and to the local cluster. Connections are reused; a
// watch keeps its stream open between calls. After a time-out a write may have happened: every
// call of the port may be repeated.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "agents/cluster/cluster.h"
#include "agents/cluster/kube_config.h"
#include "schemas/base/clock.h"

namespace kairo::cluster {
class HttpClient;
class Credentials;
class WatchStream;
struct HttpRequest;
struct HttpReply;
struct LogPlace;

class KubeCluster final : public Cluster {  // thread-safe
 public:
  explicit KubeCluster(KubeConfig config);
  ~KubeCluster() override;
  Result<std::string> apply(const Apply& apply) override;
  Result<std::string> create(const Apply& object) override;
  Result<std::string> patch(const Patch& patch) override;
  Result<std::string> get(const Ref& ref) override;
  Result<Listing> list(const Selection& selection) override;
  Result<std::vector<Event>> watch(const Selection& selection, const std::string& resource_version,
                                   std::int64_t wait_ms) override;
  Status remove(const Ref& ref, const std::string& uid) override;
  Result<bool> serves(const Kind& kind) override;
  Result<std::string> log(const Ref& pod, const std::string& container,
                          std::uint64_t offset) override;
  // POST of JSON to a Service's port 80, through the API server (its proxy sub-resource): an answer
  // of any status is one. Until `timeout_ms`.
  Result<std::pair<int, std::string>> post_to_service(const std::string& ns,
                                                      const std::string& service,
                                                      const std::string& path,
                                                      const std::string& body,
                                                      std::int64_t timeout_ms);

 private:
  // As whom one asks is added, again once after a 401; a busy server (429, or 5xx with Retry-After)
  // is asked again when it says, half a minute in all; statuses >= 400 become errors.
  Result<HttpReply> ask(HttpRequest request, const std::string& operation);
  Result<HttpReply> perform(HttpRequest& request);
  bool wait(std::int64_t ms) const;  // false: config_.stop came first
  Result<std::unique_ptr<WatchStream>> open_watch(const Selection& selection,
                                                  const std::string& parameters,
                                                  const std::string& resource_version);
  void keep(const Selection& selection, std::unique_ptr<WatchStream> stream);
  Status check_reached(const Selection& selection, const std::string& version);
  Result<Listing> list_pages(const Selection& selection, std::size_t page_size);
  Result<Listing> list_stream(const Selection& selection);
  Result<HttpReply> read_log(const Ref& pod, const std::string& container, std::uint64_t offset,
                             const std::string& since, std::size_t bytes_max);

  const KubeConfig config_;
  const SystemClock clock_;
  const std::unique_ptr<HttpClient> http_;
  const std::unique_ptr<Credentials> credentials_;
  std::atomic<bool> has_list_streams_{true};  // as far as is known
  std::mutex mutex_;
  std::map<Selection, std::unique_ptr<WatchStream>> watches_;  // idle ones; guarded by mutex_
  std::map<Selection, std::int64_t> not_before_ms_;            // of busy servers; guarded by mutex_
  std::map<std::pair<Ref, std::string>, LogPlace> logs_;       // by container; guarded by mutex_
};
}  // namespace kairo::cluster
