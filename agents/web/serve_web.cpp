// agents/web/serve_web.cpp - cluster, two readings of the bus, feed, server.
#include "agents/web/serve_web.h"

#include <fstream>
#include <thread>

#include "agents/runtime/start_pages.h"
#include "schemas/base/log.h"

namespace kairo::web {
namespace {
Status write_port(const std::string& path, int port) {
  const std::string draft = path + ".new";
  std::ofstream(draft) << port << "\n";
  if (std::rename(draft.c_str(), path.c_str()) != 0)
    return Error{Code::unavailable, "write " + path + ": it cannot be written"};
  return ok();
}
}  // namespace

Status serve_web(const WebConfig& config, const std::atomic<bool>& stop) {
  runtime::share_one_heap();
  const SystemClock clock;
  cluster::KubeConfig reached = config.cluster;
  reached.stop = &stop;
  cluster::KubeCluster cluster(reached);
  bus::NatsOptions options = config.bus;
  options.reads = "kairo.facts.training.>";
  const auto trainings = TRY(bus::open_nats_bus(options));
  options.reads = "kairo.curves.>";
  const auto curves = TRY(bus::open_nats_bus(options));
  Feed feed(std::to_string(clock.now_ms()), clock);
  Sight sight({cluster, *trainings, *curves, feed, clock}, stop);
  const auto server = TRY(Server::start(config.server, cluster, feed, sight, clock, stop));
  sight.start();
  if (!config.port_file.empty()) TRY(write_port(config.port_file, server->port()));
  log::info("serving the page",
            {{"address", config.server.address + ":" + std::to_string(server->port())}});
  constexpr int settle_ms = 3'000;
  for (int waited = 0; !stop; waited += 50) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (waited == settle_ms) runtime::let_go_of_start_pages();
  }
  return ok();
}
}  // namespace kairo::web
