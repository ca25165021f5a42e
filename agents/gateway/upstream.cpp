// agents/gateway/upstream.cpp - a pool of clients by address.
#include "agents/gateway/upstream.h"

#include <httplib.h>

namespace kairo::gateway {
namespace {
constexpr int connect_s = 5, answer_s = 600;
constexpr std::size_t idle_max = 32;  // of one address
}  // namespace

struct Upstream::Connection {
  explicit Connection(const std::string& address) : client("http://" + address) {
    client.set_keep_alive(true);
    client.set_tcp_nodelay(true);
    client.set_connection_timeout(connect_s, 0);
    client.set_read_timeout(answer_s, 0);
    client.set_write_timeout(connect_s, 0);
    client.set_decompress(false);
  }
  httplib::Client client;
};
Upstream::Upstream() = default;
Upstream::~Upstream() = default;

std::unique_ptr<Upstream::Connection> Upstream::take(const std::string& address) {
  {
    const std::scoped_lock lock(mutex_);
    auto& idle = idle_[address];
    if (!idle.empty()) {
      auto out = std::move(idle.back());
      idle.pop_back();
      return out;
    }
  }
  return std::make_unique<Connection>(address);
}
Status Upstream::post(const std::string& address, const std::string& path, const std::string& body,
                      const std::function<bool(const UpstreamHead&)>& on_head,
                      const std::function<bool(std::string_view)>& on_bytes) {
  auto connection = take(address);
  httplib::Request request;
  request.method = "POST";
  request.path = path;
  request.set_header("Content-Type", "application/json");
  request.set_header("Accept-Encoding", "identity");
  request.body = body;
  request.response_handler = [&](const httplib::Response& response) {
    return on_head({response.status, response.get_header_value("Content-Type"),
                    response.get_header_value("Retry-After")});
  };
  request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    return on_bytes({data, size});
  };
  const auto result = connection->client.send(request);
  if (!result)
    return Error{Code::unavailable,
                 "no whole answer of the server: " + httplib::to_string(result.error())};
  const std::scoped_lock lock(mutex_);
  if (auto& idle = idle_[address]; idle.size() < idle_max) idle.push_back(std::move(connection));
  return ok();
}
}  // namespace kairo::gateway
