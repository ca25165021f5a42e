// agents/cli/up.cpp - kairo on one machine: nats-server, a registry, the local cluster, the agents.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "agents/cli/cli.h"
#include "agents/cli/find_program.h"
#include "agents/cli/ready.h"
#include "agents/cli/servers.h"
#include "agents/cli/supervise.h"
#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/rights.h"
#include "agents/local/local_cluster.h"
#include "schemas/base/base64.h"
#include "schemas/base/clock.h"
#include "schemas/base/log.h"

namespace kairo::cli {
namespace {
namespace fs = std::filesystem;
constexpr const char* registry_user = "kairo";
constexpr const char* registry_secret = "kairo-local-registry";

// Held by the one `kairo up` of a home, so that two cannot run on one state.
class Lock {
 public:
  explicit Lock(const Home& home)
      : fd_(open((home / "run/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}
  ~Lock() {
    if (fd_ >= 0) close(fd_);
  }
  bool take() const { return fd_ >= 0 && flock(fd_, LOCK_EX | LOCK_NB) == 0; }
  bool take_patiently() const {  // a command that only looks whether it is held has it for a moment
    for (int tries = 0; tries < 25; ++tries) {
      if (take()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }
  void write_pid() const {
    const std::string pid = std::to_string(getpid()) + "\n";
    if (ftruncate(fd_, 0) != 0 || pwrite(fd_, pid.data(), pid.size(), 0) < 0)
      log::warn("cannot write the pid file");
  }

 private:
  const int fd_;
};
pid_t running_pid(const Home& home) {
  const Lock lock(home);
  if (lock.take()) return 0;  // nobody holds it
  std::ifstream in(home / "run/lock");
  pid_t pid = 0;
  in >> pid;
  return pid;
}

Result<Ports> choose_ports(const Home& home, const UpOptions& options) {
  Ports ports;
  if (const auto before = read_ports(home); before.ok()) ports = before.value();
  const auto keep = [](int& port) {
    if (port == 0 || !is_port_free(port)) port = free_port();
  };
  keep(ports.nats);
  keep(ports.cluster);
  if (options.openai_port != 0 && !is_port_free(options.openai_port))
    return Error{Code::unavailable, "port " + std::to_string(options.openai_port) +
                                        " for OpenAI's API is taken; choose another with "
                                        "--openai-port"};
  if (options.openai_port != 0) ports.gateway = options.openai_port;
  keep(ports.gateway);
  keep(ports.web);
  if (options.registry_port != 0) {
    ports.registry = options.registry_port;
    if (!is_port_free(ports.registry))
      return Error{Code::unavailable, "port " + std::to_string(ports.registry) +
                                          " for the registry is taken; choose another with "
                                          "--registry-port, or --no-registry"};
  } else {
    keep(ports.registry);
  }
  TRY(write_ports(home, ports));
  return ports;
}

Status write_configurations(const Home& home, const Ports& ports, const bus::Names& names) {
  NatsPlan nats{ports.nats, home / "state/nats", {}, names};
  std::string tokens = TRY(read_secret(home, "admin.token")) + " admin admin\n";
  for (const std::string& agent : users()) {
    nats.passwords[agent] = TRY(read_secret(home, agent + ".nats"));
    tokens += TRY(read_secret(home, agent + ".token")) + " " + agent + " " +
              cluster::standard_rights(agent) + "\n";
  }
  tokens += TRY(read_secret(home, "gateway.token")) + " gateway " +
            cluster::standard_rights("gateway") + "\n";
  nats.passwords["admin"] = TRY(read_secret(home, "admin.nats"));
  TRY(write_private(home / "run/nats.conf", nats_config(nats)));
  TRY(write_private(home / "run/tokens", tokens));
  const std::string password = TRY(read_secret(home, "registry"));
  TRY(write_private(home / "run/htpasswd", htpasswd_line(registry_user, password)));
  return write_private(
      home / "run/registry.yml",
      registry_config({ports.registry, home / "state/registry", home / "run/htpasswd",
                       TRY(read_secret(home, "registry.http"))}));
}

// In the order in which they need each other.
std::vector<Program> programs(const Home& home, const std::string& dir, bool registry) {
  enum Stage { servers, cluster, agent };
  std::vector<Program> out;
  const auto add = [&](const std::string& name, std::vector<std::string> argv, Stage stage) {
    out.push_back({name, std::move(argv), home / ("log/" + name + ".log"), stage});
  };
  const std::string kairo = dir + "/kairo";
  add("nats", {find_program("nats-server"), "-c", home / "run/nats.conf"}, servers);
  if (registry)
    add("registry", {find_program("docker-registry"), "serve", home / "run/registry.yml"}, servers);
  add("cluster", {kairo, "cluster-local", "--home", home.path}, cluster);
  for (const std::string& name : agents())
    add(name, {kairo, "agent", name, "--mode", "local", "--home", home.path}, agent);
  add("gateway", {kairo, "gateway", "--mode", "local", "--home", home.path}, agent);
  add("web", {kairo, "web", "--mode", "local", "--home", home.path}, agent);
  return out;
}

// The Secret that lets Workspaces push to the registry of this machine.
Status publish_registry_secret(Context& context, const Ports& ports) {
  const auto cluster = TRY(context.connect());
  const std::string password = TRY(read_secret(context.home, "registry"));
  nlohmann::json auths;
  for (const char* host : {"localhost:", "127.0.0.1:"}) {
    const auto one = nlohmann::json::parse(
        docker_config(host + std::to_string(ports.registry), registry_user, password));
    auths["auths"].update(one["auths"]);
  }
  const nlohmann::json secret = {
      {"apiVersion", "v1"},
      {"kind", "Secret"},
      {"type", "kubernetes.io/dockerconfigjson"},
      {"metadata", {{"name", registry_secret}, {"namespace", "default"}}},
      {"data", {{".dockerconfigjson", base64_encode(auths.dump())}}}};
  TRY(cluster->apply(
      {{cluster::secrets, "default", registry_secret}, secret.dump(), "kairo-up", ""}));
  return ok();
}

// The token in the fragment, which a browser does not send.
std::string page_address(const Home& home, const Ports& ports) {
  const auto token = read_secret(home, "page");
  return "http://127.0.0.1:" + std::to_string(ports.web) +
         (token.ok() ? "/#token=" + token.value() : "");
}
void print_started(const Context& context, const Ports& ports, const UpOptions& options) {
  std::cout << "kairo is up (" << for_people(context.home.path) << ")\n"
            << "  cluster   http://127.0.0.1:" << ports.cluster << "\n"
            << "  page      " << page_address(context.home, ports) << "\n"
            << "  nats      nats://127.0.0.1:" << ports.nats << "  (user admin: read "
            << options.names.subject("kairo.status.>") << "; password in "
            << for_people(context.home / "secrets/admin.nats") << ")\n";
  if (options.registry)
    std::cout << "  registry  127.0.0.1:" << ports.registry << "  (Secret default/"
              << registry_secret << ")\n";
  std::cout << "  openai    http://127.0.0.1:" << ports.gateway
            << "/v1  (base_url of OpenAI's SDKs; any api_key)\n";
  std::cout << "  logs      " << for_people(context.home / "log") << "\n" << std::flush;
}

Status run(Context& context, const Lock& lock, const UpOptions& options, const std::string& dir,
           const std::function<void(const Status&)>& started) {
  if (!lock.take_patiently())
    return Error{Code::conflict,
                 "kairo is running already (" + context.home.path + "); stop it with `kairo down`"};
  lock.write_pid();
  const Ports ports = TRY(choose_ports(context.home, options));
  TRY(write_configurations(context.home, ports, options.names));
  forget_ports(context.home);
  const std::vector<Program> wanted = programs(context.home, dir, options.registry);
  Supervisor supervisor(wanted, context.home / "run/pids");
  TRY(supervisor.start_all());
  std::atomic<bool> asking{true};
  std::thread starter([&] {
    Status ready = wait_until_ready(context, wanted, 30'000);
    if (ready.ok() && options.registry) ready = publish_registry_secret(context, ports);
    if (ready.ok()) print_started(context, ports, options);
    if (asking) started(ready);
  });
  const SystemClock clock;
  while (!context.stop) {
    supervisor.tend(clock.monotonic_ms());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  asking = false;
  starter.join();
  supervisor.stop_all();
  return ok();
}

// The child goes on in the background; the parent leaves when everything answers.
Status detach(Context& context, const UpOptions& options, const std::string& dir) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Error{Code::unavailable, "pipe failed"};
  const pid_t child = fork();
  if (child < 0) return Error{Code::unavailable, "fork failed"};
  if (child == 0) {
    setsid();
    close(ends[0]);
    const int log =
        open((context.home / "log/up.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int none = open("/dev/null", O_RDONLY);
    dup2(none, 0);
    const auto tell = [&](const Status& status) {
      std::cout << std::flush;
      dup2(log, 1);  // the terminal belongs to the parent from here on
      dup2(log, 2);
      const std::string text = status.ok() ? "ok" : status.error().what;
      (void)!write(ends[1], text.data(), text.size());
      close(ends[1]);
    };
    bool told = false;
    const Lock lock(context.home);  // held until this process is no more, as `kairo down` reads it
    const Status ended = run(context, lock, options, dir, [&](const Status& status) {
      told = true;
      tell(status);
    });
    if (!told) tell(ended);
    std::_Exit(ended.ok() ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char block[256];
  for (ssize_t n = 0; (n = read(ends[0], block, sizeof block)) != 0 && !context.stop;)
    if (n > 0) text.append(block, static_cast<std::size_t>(n));
  close(ends[0]);
  if (context.stop) text = "interrupted";
  if (text == "ok") return ok();
  kill(child, SIGTERM);
  waitpid(child, nullptr, 0);  // what it started ends first: the next `kairo up` finds room
  return Error{Code::unavailable, text.empty() ? "kairo ended at once" : text};
}
}  // namespace

Status up(Context& context, const UpOptions& wanted, const std::string& program_dir) {
  UpOptions options = wanted;
  options.names = TRY(bus_names());
  if (find_program("nats-server").empty())
    return Error{Code::not_found, "nats-server is not installed; `make deps` installs it"};
  if (options.registry && find_program("docker-registry").empty()) {
    std::cerr << "docker-registry is not installed (`make deps`): going on without a registry\n";
    options.registry = false;
  }
  TRY(prepare_home(context.home));
  if (const pid_t pid = running_pid(context.home); pid > 0) {
    std::cout << "kairo is running already (pid " << pid << ")\n";
    print_started(context, TRY(read_ports(context.home)), options);
    return ok();
  }
  if (options.detach) return detach(context, options, program_dir);
  const Lock lock(context.home);
  return run(context, lock, options, program_dir, [&](const Status& status) {
    if (!status.ok()) std::cerr << "error: " << status.error().what << "\n";
  });
}

Status down(Context& context, bool purge) {
  std::error_code error;
  if (!fs::exists(context.home.path, error)) {
    std::cout << "kairo is not running; there is nothing in " << context.home.path << "\n";
    return ok();
  }
  const pid_t pid = running_pid(context.home);
  if (pid > 0) {
    std::cout << "stopping; a training that runs writes its checkpoint first" << std::endl;
    kill(pid, SIGTERM);
    for (int waited = 0; running_pid(context.home) == pid; waited += 50) {
      if (waited > 90'000)
        return Error{Code::unavailable, "kairo (pid " + std::to_string(pid) + ") does not end"};
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  cluster::end_pods(context.home / "state/cluster");  // left by processes that were killed
  std::cout << (pid > 0 ? "kairo is down\n" : "kairo was not running\n");
  if (!purge) return ok();
  TRY(purge_home(context.home));
  std::cout << "all of it is removed"
            << (fs::exists(context.home.path, error)
                    ? "; what kairo did not make stays in " + context.home.path
                    : "")
            << "\n";
  return ok();
}

Status must_run(const Context& context) {
  if (!context.is_local || running_pid(context.home) > 0) return ok();
  return Error{
      Code::not_found,
      "kairo is not running (" + for_people(context.home.path) +
          "); start it with `kairo up -d`, or name a cluster of your kubeconfig with --context"};
}

Status status(Context& context) {
  TRY(must_run(context));
  const pid_t pid = running_pid(context.home);
  std::ifstream in(context.home / "run/pids");
  std::string name;
  pid_t child = 0;
  std::cout << "supervisor " << pid << "\n";
  while (in >> name >> child) std::cout << name << " " << child << "\n";
  return ok();
}
}  // namespace kairo::cli
