// agents/gateway/chat_api.h - /v1/chat/completions and /v1/completions: asked of the server that
// holds the model, which is made when there is none; and /v1/models.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agents/cluster/cluster.h"
#include "agents/gateway/chat_route.h"
#include "agents/gateway/seen.h"
#include "agents/gateway/upstream.h"
#include "schemas/base/clock.h"

namespace kairo::gateway {
class ChatApi {  // thread-safe
 public:
  ChatApi(cluster::Cluster& cluster, const Seen& seen, const Clock& clock, Place place,
          bool in_cluster, std::int64_t wait_ms)
      : cluster_(cluster),
        seen_(seen),
        clock_(clock),
        place_(std::move(place)),
        in_cluster_(in_cluster),
        wait_ms_(wait_ms) {}
  // path: "/v1/chat/completions" or "/v1/completions". A model that no server holds is waited for,
  // wait_ms at the longest; then 503 with Retry-After, as the SDKs ask again.
  Reply complete(const Request& request, const std::string& path);
  Answer<Json> models() const;
  Answer<Json> model(const std::string& name) const;

 private:
  Answer<Served> server_of(const std::string& model, std::int64_t deadline_ms);
  Status make(const Wanted& wanted);
  struct Pipe;
  std::shared_ptr<std::thread> ask_into(const std::shared_ptr<Pipe>& pipe, const Served& served,
                                        const std::string& path, const std::string& body);
  Reply whole(const Served& served, const std::string& path, const std::string& body,
              const std::string& model);
  Reply streamed(const Served& served, const std::string& path, const std::string& body,
                 const std::string& model);
  cluster::Cluster& cluster_;
  const Seen& seen_;
  const Clock& clock_;
  const Place place_;
  const bool in_cluster_;
  const std::int64_t wait_ms_;
  Upstream upstream_;
  std::atomic<int> waiting_ = 0;
  std::mutex making_;
  std::map<std::string, std::string> made_;  // name -> what was applied last; guarded by making_
};
}  // namespace kairo::gateway
