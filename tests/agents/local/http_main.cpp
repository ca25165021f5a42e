// tests/agents/local/http_main.cpp - a container for tests: serves /health on the port that local
// mode gave it for 5000, and /name. Its first argument: how many ms it needs to get healthy.
#include <httplib.h>

#include <chrono>
#include <cstdlib>

int main(int argc, char** argv) {
  const char* port = std::getenv("KAIRO_PORT_5000");
  const char* name = std::getenv("POD_NAME");
  if (argc != 2 || port == nullptr || name == nullptr) return 2;
  const auto healthy_at =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(std::atoi(argv[1]));
  httplib::Server server;
  server.Get("/health", [&](const httplib::Request&, httplib::Response& res) {
    res.status = std::chrono::steady_clock::now() < healthy_at ? 503 : 200;
  });
  server.Get("/name", [&](const httplib::Request&, httplib::Response& res) {
    res.set_content(name, "text/plain");
  });
  return server.listen("127.0.0.1", std::atoi(port)) ? 0 : 1;
}
