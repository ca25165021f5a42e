// gpu/serve/server.h - the HTTP API of one model and its adapters.
//
// POST /v1/chat/completions, /v1/completions (both with "stream": true), /chat (KAITO v0.8.1);
// POST /v1/load_lora_adapter, /v1/unload_lora_adapter (vLLM's); GET /v1/models, /v1/models/NAME,
// /health, /metrics (Prometheus), /version, /. It listens before the model is loaded: until open()
// every answer is 503, so that a probe tells loading from dead.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "gpu/serve/connection_limits.h"
#include "gpu/serve/service.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 5000;  // 0: a free one
  std::string version;
  std::string api_key;         // that /v1/... and /chat want as a bearer token; "": they want none
  std::string adapters_below;  // a folder: adapters below it may be loaded; "": none may
  ConnectionLimits connections;               // more at a time than requests that run or wait
  std::chrono::milliseconds look_after{250};  // a waiting client, whether it is still there
};
class Server {  // its own threads; stopped by the destructor
 public:
  // unavailable: the address is taken or not this machine's. The clock must outlive it.
  static Result<std::unique_ptr<Server>> listen(const ServerOptions& options, const Clock& clock);
  virtual ~Server() = default;
  virtual int port() const = 0;
  virtual void open(Service& service) = 0;  // answers from now on; service must outlive the server
};
}  // namespace kairo::gpu
