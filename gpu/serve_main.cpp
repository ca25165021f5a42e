// gpu/serve_main.cpp - kairo-serve: a model folder and its adapters behind an HTTP API.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "gpu/aten/open_device.h"
#include "gpu/engine/machine.h"
#include "gpu/formats/files.h"
#include "gpu/serve/server.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
enum Exit { done = 0, retry = 1, permanent = 2 };

// NAME=FOLDER[:STRENGTH]
Result<AdapterSource> parse_adapter(const std::string& text) {
  const auto bad = [&](const std::string& why) {
    return Error{Code::invalid, "--adapter " + text + ": " + why};
  };
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) return bad("give NAME=FOLDER or NAME=FOLDER:0.5");
  AdapterSource out;
  out.name = text.substr(0, equals);
  out.dir = text.substr(equals + 1);
  const std::size_t colon = out.dir.rfind(':');
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + equals + 1 + colon + 1, end, out.strength);
    if (parsed.ec != std::errc() || parsed.ptr != end || out.strength < 0 || out.strength > 1)
      return bad("the strength after ':' must be a number from 0 to 1");
    out.dir.resize(colon);
  }
  return out;
}

// Local mode gives a container's port a free one of the machine: KAIRO_PORT_5000=41234.
int mapped_port(int port) {
  const char* mapped = std::getenv(("KAIRO_PORT_" + std::to_string(port)).c_str());
  return mapped == nullptr ? port : std::atoi(mapped);
}

// An error's files by the names that the user gave, not by the folders of this machine.
std::string in_names(std::string what, const GeneratorOptions& options) {
  for (const AdapterSource& adapter : options.adapters)
    if (what.find(adapter.dir + "/") != std::string::npos)
      return "adapter " + adapter.name + ": " + without_folder(std::move(what), adapter.dir);
  if (what.find(options.model_dir + "/") == std::string::npos) return what;
  return "model: " + without_folder(std::move(what), options.model_dir);
}

// The last line of the log is what a Workspace's condition shows of a server that does not start.
int refuse(const Error& error) {
  std::fputs(("kairo-serve: cannot serve: " + error.what + "\n").c_str(), stderr);
  return error.code == Code::unavailable ? retry : permanent;
}

int serve(ServiceOptions& service_options, ServerOptions& server_options,
          const std::vector<std::string>& adapters, const std::string& device,
          const sigset_t& stop_signals) {
  for (const auto& text : adapters) {
    auto adapter = parse_adapter(text);
    if (!adapter.ok()) return refuse(adapter.error());
    service_options.generator.adapters.push_back(std::move(adapter).value());
  }
  const SystemClock clock;
  auto opened = open_device(device, clock);
  if (!opened.ok()) return refuse(opened.error());
  log::info("computes on " + opened.value().text);
  service_options.generator.device = opened.value().device;
  server_options.port = mapped_port(server_options.port);
  constexpr std::size_t heard_beside = 128;  // that send a request, read a reply, or rest
  server_options.connections.connections =
      static_cast<std::size_t>(service_options.generator.slots) +
      service_options.scheduler.waiting_max + heard_beside;
  auto listening = Server::listen(server_options, clock);
  if (!listening.ok()) return refuse(listening.error());
  std::unique_ptr<Server> server = std::move(listening).value();
  const std::int64_t began = clock.monotonic_ms();
  log::info("loading", {{"model", service_options.name},
                        {"weights", weights_in_words(service_options.generator)},
                        {"address", server_options.host + ":" + std::to_string(server->port())}});
  auto loaded = Service::load(service_options);
  if (!loaded.ok())
    return refuse({loaded.error().code, in_names(loaded.error().what, service_options.generator)});
  std::unique_ptr<Service> service = std::move(loaded).value();
  server->open(*service);
  log::info("serving", {{"model", service_options.name},
                        {"adapters", std::to_string(adapters.size())},
                        {"ms", std::to_string(clock.monotonic_ms() - began)}});
  int signal = 0;
  sigwait(&stop_signals, &signal);
  log::info("stopping", {{"signal", std::to_string(signal)}});
  service->stop();  // its readers get the rest and an end, so that the server's threads come free
  server.reset();
  return done;
}

int run(int argc, char** argv) {
  // Blocked before any thread starts; serve() waits for them.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  sigprocmask(SIG_BLOCK, &stop_signals, nullptr);
  log::start("kairo-serve");
  CLI::App app{"kairo-serve - a language model and its LoRA adapters over HTTP"};
  app.footer(
      "A first run:\n"
      "  kairo-serve --model model --name smollm2 --adapter pip=out\n"
      "  curl -s localhost:5000/v1/chat/completions -H 'content-type: application/json' \\\n"
      "    -d '{\"model\": \"pip\", \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}'\n"
      "Exit codes: 0 stopped by SIGTERM, 1 try again (port taken, memory), 2 change the input.");
  ServiceOptions service;
  ServerOptions server;
  server.version = KAIRO_VERSION;
  std::vector<std::string> adapters;
  GeneratorOptions& g = service.generator;
  app.add_option("--model", g.model_dir, "Model folder: config.json, *.safetensors, tokenizer")
      ->required();
  app.add_option("--name", service.name, "The base model's name in requests")->required();
  std::string weights = "stored";
  app.add_option("--weights", weights,
                 "stored: as the files have them; nf4: as QLoRA trains on them")
      ->check(CLI::IsMember({"stored", "nf4"}))
      ->capture_default_str();
  app.add_option("--adapter", adapters, "NAME=FOLDER[:STRENGTH]; may be given several times");
  app.add_option("--runtime-adapters", server.adapters_below,
                 "Folder: adapters below it can be loaded and unloaded while the server runs, by "
                 "POST /v1/load_lora_adapter and /v1/unload_lora_adapter")
      ->check(CLI::ExistingDirectory);
  app.add_option("--host", server.host, "Address to listen on")->capture_default_str();
  app.add_option("--port", server.port, "Port to listen on; 0 = a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option(
         "--api-key", server.api_key,
         "What /v1/... and /chat want as \"Authorization: Bearer KEY\"; who lists processes "
         "sees it here, not in the environment")
      ->envname("KAIRO_SERVE_API_KEY");
  app.add_option("--slots", g.slots, "Requests answered at a time; more wait")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--context", g.context_tokens, "Tokens of prompt and answer of one request")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  app.add_option("--threads", g.threads, "0 = all usable cores")->capture_default_str();
  std::string device = "auto";
  app.add_option("--device", device, devices_in_words)->capture_default_str();
  app.set_version_flag("--version", "kairo-serve " KAIRO_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? done : permanent;
  }
  g.weights = weights == "nf4" ? ServedWeights::nf4 : ServedWeights::stored;
  return serve(service, server, adapters, device, stop_signals);
}
}  // namespace
}  // namespace kairo::gpu

int main(int argc, char** argv) {
  kairo::gpu::restart_with_short_spins(argv);
  return kairo::gpu::run(argc, argv);
}
