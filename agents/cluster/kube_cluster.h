// agents/cluster/kube_cluster.h - the Cluster port over Kubernetes' REST interface.
//
// The same client speaks to a real API server and to the local cluster. Connections are reused; a
// watch keeps its stream open between calls. After a time-out a write may have happened: every
// call of the port may be repeated.
#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "agents/cluster/cluster.h"
#include "schemas/base/clock.h"

namespace kairo::cluster {
struct KubeConfig {
  std::string base_url;    // "https://10.0.0.1:443", "http://127.0.0.1:4711"
  std::string token_file;  // "" = no authentication
  std::string ca_file;     // PEM; "" = the system's certificates
};
class HttpClient;
class TokenFile;
class WatchStream;
struct HttpRequest;
struct HttpReply;

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
  Result<std::string> log(const Ref& pod, const std::string& container,
                          std::uint64_t offset) override;

 private:
  // Adds the token, asks again once after a 401; statuses >= 400 become errors.
  Result<HttpReply> ask(HttpRequest request, const std::string& operation);
  Result<std::unique_ptr<WatchStream>> open_watch(const Selection& selection,
                                                  const std::string& resource_version);
  Status check_reached(const Selection& selection, const std::string& version);
  Result<Listing> list_pages(const Selection& selection, std::size_t page_size);

  const KubeConfig config_;
  const SystemClock clock_;
  const std::unique_ptr<HttpClient> http_;
  const std::unique_ptr<TokenFile> token_;
  std::mutex mutex_;
  std::map<Selection, std::unique_ptr<WatchStream>> watches_;  // idle ones; guarded by mutex_
};
}  // namespace kairo::cluster
