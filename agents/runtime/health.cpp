// agents/runtime/health.cpp - the only file of the runtime that knows cpp-httplib.
#include "agents/runtime/health.h"

#include <httplib.h>

#include <thread>

namespace kairo::runtime {
namespace {
class HttpHealthServer final : public HealthServer {
 public:
  explicit HttpHealthServer(std::function<Health()> probe) : probe_(std::move(probe)) {}
  ~HttpHealthServer() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  Status listen(const std::string& host, int port) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(2); };
    server_.set_payload_max_length(1024);
    server_.set_socket_options([](socket_t socket) {  // without httplib's SO_REUSEPORT: one owner
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.Get("/healthz", [this](const httplib::Request&, httplib::Response& reply) {
      const bool alive = probe_().alive;
      reply.status = alive ? 200 : 500;
      reply.set_content(alive ? "ok\n" : "the loop makes no rounds\n", "text/plain");
    });
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& reply) {
      const Health health = probe_();
      const std::string good = health.acts ? "ok" : "ok: it stands by";
      reply.status = health.trouble.empty() ? 200 : 503;
      reply.set_content((health.trouble.empty() ? good : health.trouble) + "\n", "text/plain");
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& reply) {
      reply.set_content(probe_().metrics, "text/plain; version=0.0.4");
    });
    port_ = port;
    if (port == 0) port_ = server_.bind_to_any_port(host);
    const bool bound = port == 0 ? port_ > 0 : server_.bind_to_port(host, port);
    if (!bound)
      return Error{Code::unavailable, "health: listen on " + host + ":" + std::to_string(port) +
                                          ": the port is taken; choose another"};
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();  // stop() works from here on
    return ok();
  }
  int port() const override { return port_; }

 private:
  const std::function<Health()> probe_;
  httplib::Server server_;
  std::thread thread_;
  int port_ = 0;
};
}  // namespace

Result<std::unique_ptr<HealthServer>> HealthServer::start(const std::string& host, int port,
                                                          std::function<Health()> probe) {
  auto server = std::make_unique<HttpHealthServer>(std::move(probe));
  TRY(server->listen(host, port));
  return std::unique_ptr<HealthServer>(std::move(server));
}
}  // namespace kairo::runtime
