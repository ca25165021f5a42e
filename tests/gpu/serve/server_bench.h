// tests/gpu/serve/server_bench.h - a server of the tiny model on a free port, and how to ask it.
#pragma once
#include <doctest/doctest.h>
#include <httplib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gpu/formats/adapter.h"
#include "gpu/serve/server.h"
#include "tests/gpu/support.h"
#include "tests/gpu/tiny_model.h"

namespace kairo::gpu::test {
using Json = nlohmann::json;
inline const SystemClock system_clock;

// One folder of the program, removed with all that is in it when the program ends.
inline const std::string& model_folder() {
  static const TempFolder folder;
  static const bool written = write_tiny_model(folder.path() + "/model").ok();
  REQUIRE(written);
  return folder.path();
}

// Of rank 2 on one module; another `step` makes other values.
inline void write_tiny_adapter(const std::string& folder, std::size_t step) {
  std::vector<float> a(2 * 64), b(64 * 2);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(static_cast<int>(i * step % 101) - 50) / 100.0f;
    b[i] = static_cast<float>(static_cast<int>(i * 53 % 103) - 51) / 100.0f;
  }
  const std::string name = "base_model.model.model.layers.0.self_attn.o_proj";
  const std::vector<TensorToWrite> tensors = {{name + ".lora_A.weight", {2, 64}, a},
                                              {name + ".lora_B.weight", {64, 2}, b}};
  AdapterConfig config;
  config.rank = 2;
  config.alpha = 4;
  config.targets = {"o_proj"};
  REQUIRE(write_adapter(folder, config, tensors).ok());
}
struct Bench {
  explicit Bench(int slots = 4, std::chrono::milliseconds look_after = ServerOptions().look_after,
                 std::chrono::milliseconds patience = ConnectionLimits().patience,
                 const std::string& api_key = {}, const std::string& adapters_below = {}) {
    ServerOptions listen;
    listen.api_key = api_key;
    listen.adapters_below = adapters_below;
    listen.look_after = look_after;
    listen.port = 0;
    listen.version = "1.2.3";
    listen.connections.connections = 40;
    listen.connections.patience = patience;
    auto started = Server::listen(listen, system_clock);
    REQUIRE(started.ok());
    server = std::move(started).value();
    options.name = "tiny";
    options.generator.model_dir = model_folder() + "/model";
    options.generator.slots = slots;
    options.generator.context_tokens = 256;
    options.generator.threads = 1;
  }
  void open() {
    auto loaded = Service::load(options);
    REQUIRE_MESSAGE(loaded.ok(), (loaded.ok() ? "" : loaded.error().what));
    service = std::move(loaded).value();
    server->open(*service);
  }
  ~Bench() {
    if (service) service->stop();
    server.reset();
  }
  httplib::Client client() const {
    httplib::Client out("127.0.0.1", server->port());
    out.set_read_timeout(60, 0);
    return out;
  }
  httplib::Result post(const std::string& path, const Json& body) const {
    return client().Post(path.c_str(), body.dump(), "application/json");
  }
  std::string message(const std::string& path, const Json& body, int status) const {
    const auto reply = post(path, body);
    REQUIRE(reply);
    CHECK(reply->status == status);
    return Json::parse(reply->body)["error"]["message"];
  }
  // A metric without labels; -1: not there.
  int metric(const std::string& name) const {
    const auto reply = client().Get("/metrics");
    REQUIRE(reply);
    const std::size_t at = reply->body.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stoi(reply->body.substr(at + name.size() + 2));
  }
  void hang_up_after(const std::string& request) const { ::close(connected_and_sent(request)); }
  int connected_and_sent(const std::string& request) const {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(server->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::send(fd, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    return fd;
  }
  // The reply, of a stream its begin, to what no client library would send; then it hangs up.
  std::string raw(const std::string& request) const {
    const int fd = connected_and_sent(request);
    const timeval patience{30, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string out, buffer(4096, '\0');
    while (!is_complete(out)) {
      const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) break;
      out.append(buffer, 0, static_cast<std::size_t>(got));
    }
    ::close(fd);
    return out;
  }
  static bool is_complete(const std::string& reply) {
    const std::string field = "Content-Length: ";
    const std::size_t head = reply.find("\r\n\r\n"), length = reply.find(field);
    if (head == std::string::npos) return false;
    if (length > head) return true;  // none: a stream
    return reply.size() >= head + 4 + std::stoul(reply.substr(length + field.size()));
  }
  // Asks until the metric is this, many times over; then it is what it is.
  int metric_when(const std::string& name, int value) const {
    int now = metric(name);
    for (int i = 0; i < 20'000 && now != value; ++i) now = metric(name);
    return now;
  }
  ServiceOptions options;
  std::unique_ptr<Server> server;
  std::unique_ptr<Service> service;
};
inline Json question(const std::string& text, int max_tokens = 24) {
  return {{"messages", Json::array({{{"role", "user"}, {"content", text}}})},
          {"max_tokens", max_tokens},
          {"temperature", 0}};
}
// Every event of a stream but [DONE], which must be the last.
inline std::vector<Json> events_of(const std::string& body) {
  std::vector<Json> out;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find("\n\n", at);
    REQUIRE(end != std::string::npos);
    REQUIRE(body.compare(at, 6, "data: ") == 0);
    const std::string line = body.substr(at + 6, end - at - 6);
    at = end + 2;
    if (line != "[DONE]") {
      out.push_back(Json::parse(line));
      continue;
    }
    CHECK(at == body.size());
    return out;
  }
  FAIL("no [DONE]");
  return out;
}
inline std::string answer(const Bench& bench, const Json& body) {
  const auto reply = bench.post("/v1/chat/completions", body);
  REQUIRE(reply);
  REQUIRE_MESSAGE(reply->status == 200, reply->body);
  return Json::parse(reply->body)["choices"][0]["message"]["content"];
}
}  // namespace kairo::gpu::test
