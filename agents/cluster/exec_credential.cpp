// agents/cluster/exec_credential.cpp - run, read, check.
#include "agents/cluster/exec_credential.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include "agents/cluster/json.h"
#include "schemas/base/base64.h"
#include "schemas/base/clock.h"

extern char** environ;

namespace kairo::cluster {
namespace {
constexpr std::size_t printed_bytes_max = 1 << 20;
constexpr std::int64_t patience_ms = 60'000;

std::string named(const ExecPlugin& plugin) {
  return "exec plugin " + plugin.command;
}
// RFC 3339 with any offset; -1 when it is none.
std::int64_t time_of(const std::string& text) {
  const std::int64_t base = parse_rfc3339(text);
  if (base < 0 || text.size() < 20) return -1;
  if (text.back() == 'Z' || text.back() == 'z') return base;
  const std::string offset = text.substr(text.size() - 6);  // "+02:00"
  const auto digit = [&](std::size_t at) { return offset[at] >= '0' && offset[at] <= '9'; };
  if ((offset[0] != '+' && offset[0] != '-') || offset[3] != ':' || !digit(1) || !digit(2) ||
      !digit(4) || !digit(5))
    return -1;
  const auto number = [&](std::size_t at) {
    return (offset[at] - '0') * 10 + offset[at + 1] - '0';
  };
  const std::int64_t minutes = number(1) * 60 + number(4);
  return base - (offset[0] == '+' ? minutes : -minutes) * 60'000;
}

// Its whole output, until it ends. The reader's deadline ends it.
struct Program {
  pid_t pid = -1;
  int out = -1;
  ~Program() {
    if (out >= 0) close(out);
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
};
Status start(Program& program, const ExecPlugin& plugin, const std::string& info, bool asks) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return Error{Code::unavailable,
                 named(plugin) + ": no pipe: " + std::generic_category().message(errno)};
  program.out = ends[0];
  std::vector<std::string> env{"KUBERNETES_EXEC_INFO=" + info};
  for (const auto& [name, value] : plugin.env) env.push_back(name + "=" + value);
  const auto is_given = [&](const char* line) {
    return std::any_of(env.begin(), env.end(), [&](const std::string& own) {
      return own.compare(0, own.find('=') + 1, line, own.find('=') + 1) == 0;
    });
  };
  std::vector<std::string> inherited;
  for (char** line = environ; *line != nullptr; ++line)
    if (!is_given(*line)) inherited.emplace_back(*line);
  std::vector<char*> argv{const_cast<char*>(plugin.command.c_str())}, envp;
  for (const std::string& arg : plugin.args) argv.push_back(const_cast<char*>(arg.c_str()));
  for (std::string& line : env) envp.push_back(line.data());
  for (std::string& line : inherited) envp.push_back(line.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (!asks) posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;  // what this process ignores, the program need not
  posix_spawnattr_init(&attributes);
  sigset_t pipes;
  sigemptyset(&pipes);
  sigaddset(&pipes, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &pipes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int failed =
      posix_spawnp(&program.pid, argv[0], &actions, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (failed == 0) return ok();
  program.pid = -1;
  return Error{Code::invalid,
               named(plugin) + ": " + std::generic_category().message(failed) +
                   (plugin.install_hint.empty() ? "; install it, or correct the user's exec.command"
                                                : "; " + plugin.install_hint)};
}
Result<std::string> read_all(const Program& program, const ExecPlugin& plugin, bool asks) {
  const SystemClock clock;
  const std::int64_t deadline = clock.monotonic_ms() + patience_ms;
  std::string out;
  for (;;) {
    const std::int64_t left = asks ? patience_ms : deadline - clock.monotonic_ms();
    pollfd ready{program.out, POLLIN, 0};
    const int found = left <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left));
    if (found < 0 && errno == EINTR) continue;
    if (found == 0 && asks) continue;
    if (found <= 0)
      return Error{Code::unavailable, named(plugin) + ": no answer within " +
                                          std::to_string(patience_ms / 1000) + " s"};
    char bytes[4096];
    const ssize_t count = read(program.out, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return out;
    out.append(bytes, static_cast<std::size_t>(count));
    if (out.size() > printed_bytes_max)
      return Error{Code::invalid, named(plugin) + ": it printed more than " +
                                      std::to_string(printed_bytes_max) + " bytes"};
  }
}
}  // namespace

Result<ExecCredential> parse_exec_credential(const std::string& printed, const ExecPlugin& plugin) {
  const auto wrong = [&](const std::string& why) {
    return Error{Code::invalid, named(plugin) + ": " + why};
  };
  const auto parsed = parse_object(printed, named(plugin));
  if (!parsed.ok()) return wrong("what it printed is no ExecCredential in JSON");
  const Json& json = parsed.value();
  if (text(json, {"kind"}) != "ExecCredential")
    return wrong("what it printed is no ExecCredential in JSON");
  if (text(json, {"apiVersion"}) != plugin.api_version)
    return wrong("it answers with another apiVersion than the user's exec.apiVersion, " +
                 plugin.api_version);
  ExecCredential out{text(json, {"status", "token"}),
                     text(json, {"status", "clientCertificateData"}),
                     text(json, {"status", "clientKeyData"})};
  if (out.cert.empty() != out.key.empty())
    return wrong("it gives only one of clientCertificateData and clientKeyData");
  if (out.token.empty() && out.cert.empty())
    return wrong("it gives neither a token nor a client certificate");
  if (out.token.find_first_of("\r\n") != std::string::npos)
    return wrong("its token has a line break");
  const Json& expires = at(json, {"status", "expirationTimestamp"});
  if (expires.is_null()) return out;
  out.expires_ms = expires.is_string() ? time_of(expires.get<std::string>()) : -1;
  if (out.expires_ms <= 0)
    return wrong("its expirationTimestamp is no time like 2026-01-31T12:00:00Z");
  return out;
}

std::string exec_info(const ExecPlugin& plugin, const KubeConfig& config, const std::string& ca,
                      bool is_interactive) {
  Json spec = {{"interactive", is_interactive}};
  if (plugin.wants_cluster) {
    Json& server = spec["cluster"] = {{"server", config.base_url}};
    if (!config.server_name.empty()) server["tls-server-name"] = config.server_name;
    if (config.is_insecure) server["insecure-skip-tls-verify"] = true;
    if (!ca.empty()) server["certificate-authority-data"] = base64_encode(ca);
    if (!config.proxy.empty()) server["proxy-url"] = config.proxy;
    if (!plugin.cluster_extra.empty())
      server["config"] = Json::parse(plugin.cluster_extra, nullptr, false);
  }
  return Json{{"apiVersion", plugin.api_version}, {"kind", "ExecCredential"}, {"spec", spec}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> run_exec_plugin(const ExecPlugin& plugin, const KubeConfig& config,
                                    const std::string& ca) {
  const bool has_terminal = isatty(STDIN_FILENO) == 1;
  if (plugin.mode == "Always" && !has_terminal)
    return Error{Code::invalid, named(plugin) +
                                    ": its interactiveMode is Always and there is no terminal; "
                                    "use a user that needs none"};
  const bool asks = plugin.mode != "Never" && has_terminal;
  Program program;
  TRY(start(program, plugin, exec_info(plugin, config, ca, asks), asks));
  const std::string printed = TRY(read_all(program, plugin, asks));
  int status = 0;
  while (waitpid(program.pid, &status, 0) < 0 && errno == EINTR) {
  }
  program.pid = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return printed;
  return Error{Code::unavailable,
               named(plugin) + ": " +
                   (WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                      : "signal " + std::to_string(WTERMSIG(status))) +
                   "; run it by hand to see why"};
}
}  // namespace kairo::cluster
