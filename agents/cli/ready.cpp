// agents/cli/ready.cpp - asks each process in its own way.
#include "agents/cli/ready.h"

#include <httplib.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "agents/cluster/kinds.h"
#include "schemas/base/clock.h"

namespace kairo::cli {
namespace {
namespace fs = std::filesystem;

// "" when GET http://127.0.0.1:port/path answers with one of the two; else why not.
std::string trouble_at(int port, const char* path, int wanted, int wanted_too) {
  httplib::Client client("127.0.0.1", port);
  client.set_connection_timeout(1, 0);
  client.set_read_timeout(2, 0);
  const auto reply = client.Get(path);
  if (!reply) return "no answer on port " + std::to_string(port);
  if (reply->status == wanted || reply->status == wanted_too) return "";
  std::string said = reply->body.substr(0, reply->body.find('\n'));
  return said.empty() ? "answers " + std::to_string(reply->status) : said;
}
std::string trouble_of(const Context& context, const std::string& name) {
  if (name == "cluster") {
    const auto cluster = context.connect();
    if (!cluster.ok()) return cluster.error().what;
    const auto nodes = cluster.value()->list({cluster::nodes, "", ""});
    if (!nodes.ok()) return nodes.error().what;
    return nodes.value().items.empty() ? "its node is not there" : "";
  }
  const auto ports = read_ports(context.home);
  if (!ports.ok()) return ports.error().what;
  if (name == "nats") {  // whether it works the agents say
    const int port = ports.value().nats;
    return does_listen(port) ? "" : "it does not listen on port " + std::to_string(port);
  }
  if (name == "registry") {
    constexpr int open = 200, asks_who = 401;
    return trouble_at(ports.value().registry, "/v2/", open, asks_who);
  }
  int port = 0;
  if (!(std::ifstream(context.home / ("run/" + name + ".port")) >> port)) return "not started";
  return trouble_at(port, "/readyz", 200, 200);
}
}  // namespace

void forget_ports(const Home& home) {
  std::error_code error;
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(home / "run", error))
    if (entry.path().extension() == ".port") old.push_back(entry.path());
  for (const fs::path& file : old) fs::remove(file, error);
}

std::string last_line_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return {};
  constexpr std::streamoff tail_max = 4096;
  const std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - tail_max));
  std::string last;
  for (std::string line; std::getline(in, line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  return last;
}

Status wait_until_ready(const Context& context, const std::vector<Program>& programs,
                        int timeout_ms) {
  const SystemClock clock;
  const std::int64_t deadline = clock.monotonic_ms() + timeout_ms;
  for (const Program& program : programs) {  // in the order in which they need each other
    for (std::string why; !(why = trouble_of(context, program.name)).empty();) {
      if (context.stop) return Error{Code::unavailable, "interrupted"};
      if (clock.monotonic_ms() >= deadline) {
        const std::string said = last_line_of(program.log);
        return Error{Code::unavailable, "kairo did not start: " + program.name + ": " + why +
                                            (said.empty() ? "" : "; its log ends with: " + said) +
                                            "; the logs are in " + (context.home / "log")};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  return ok();
}
}  // namespace kairo::cli
