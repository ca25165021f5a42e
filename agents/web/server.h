// agents/web/server.h - the page and its API over HTTP.
//
//   GET  /  /page.js  /page.css  /plot.js      the page
//   GET  /healthz  /readyz  /metrics
//   GET  /api/v1/stream                        text/event-stream: reset, ws, gone, train, curve,
//   tick GET  /api/v1/workspaces                    {"items": [...]} GET /api/v1/workspaces/NS/NAME
//   the object as the API server has it GET  /api/v1/workspaces/NS/NAME/curve      columns, see
//   page/types.ts GET  /api/v1/workspaces/NS/NAME/events     {"items": [...]}, newest first GET
//   /api/v1/workspaces/NS/NAME/log        ?pod=&container=&offset= POST /api/v1/chat/NS/NAME to
//   that inference Workspace's /v1/chat/completions
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/web/feed.h"
#include "agents/web/sight.h"
#include "schemas/base/result.h"

namespace kairo::web {
struct ServerOptions {
  std::string address = "127.0.0.1";
  int port = 0;       // 0 = any
  std::string token;  // "": the API server is asked whose a token is, and what they may
  std::vector<std::string> hosts;  // as Guard's
  bool is_local = true;            // Services are on loopback
};
class Server {  // its own threads; stopped by the destructor
 public:
  // unavailable: the port is taken.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options,
                                               cluster::Cluster& cluster, Feed& feed,
                                               const Sight& sight, const Clock& clock,
                                               const std::atomic<bool>& stop);
  virtual ~Server() = default;
  virtual int port() const = 0;
};
}  // namespace kairo::web
