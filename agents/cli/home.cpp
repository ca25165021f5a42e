// agents/cli/home.cpp - folders, secrets, ports.
#include "agents/cli/home.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "schemas/base/digest.h"

namespace kairo::cli {
namespace {
namespace fs = std::filesystem;

std::string env(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  return value != nullptr ? value : "";
}
constexpr const char* parts[] = {"secrets", "run", "log", "state", "runs"};
constexpr const char* mark = "secrets/admin.token";  // only a kairo's home has it

bool has_kairo(const Home& home) {
  std::error_code error;
  return fs::exists(home / mark, error);
}
// Something that no kairo made lies in it; "" when nothing does.
std::string stranger_in(const Home& home) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(home.path, error)) {
    const std::string name = entry.path().filename();
    if (std::find(std::begin(parts), std::end(parts), name) == std::end(parts)) return name;
  }
  return "";
}
std::string random_secret() {
  char bytes[32];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return {};
  return sha256_hex({bytes, sizeof bytes});
}
sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}
}  // namespace

Home default_home() {
  const std::string named = env("KAIRO_HOME");
  return {!named.empty() ? named : env("HOME") + "/.local/share/kairo"};
}
Result<Home> absolute(const Home& home) {
  if (home.path.empty())
    return Error{Code::invalid, "--home is empty; name a folder, or leave it out"};
  std::string path = fs::absolute(home.path).lexically_normal();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return Home{path};
}
std::string models_dir() {
  std::error_code error;
  if (const std::string named = env("KAIRO_MODELS"); !named.empty())
    return fs::absolute(named, error);
  const std::string cache = env("KAIRO_CACHE");
  return fs::absolute((!cache.empty() ? cache : env("HOME") + "/.cache/kairo") + "/models", error);
}
Result<bus::Names> bus_names() {
  return bus::Names::of(env("KAIRO_CLUSTER"));
}
const std::vector<std::string>& agents() {
  static const std::vector<std::string> names{"watcher", "provisioner", "launcher", "node",
                                              "pusher"};
  return names;
}
const std::vector<std::string>& users() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out = agents();
    out.emplace_back("web");
    return out;
  }();
  return names;
}

Status write_private(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  good = fd >= 0 && fsync(fd) == 0 && good;
  if (fd >= 0) close(fd);
  if (!good || rename(draft.c_str(), path.c_str()) != 0)
    return Error{Code::unavailable,
                 "write " + path + ": " + std::generic_category().message(errno)};
  return ok();
}

Status prepare_home(const Home& home) {
  std::error_code error;
  if (const std::string other = stranger_in(home); !has_kairo(home) && !other.empty())
    return Error{Code::invalid, home.path + " holds other things (" + other +
                                    ") and no kairo; choose an empty folder or a new one with "
                                    "--home or KAIRO_HOME"};
  std::vector<std::string> folders{home.path};
  for (const char* part : parts) folders.push_back(home / part);
  for (const std::string& folder : folders) {
    fs::create_directories(folder, error);
    if (error)
      return Error{Code::unavailable, "create " + folder + ": " + error.message() +
                                          "; choose another folder with --home or KAIRO_HOME"};
    chmod(folder.c_str(), S_IRWXU);
  }
  std::vector<std::string> names{"registry",   "registry.http", "admin.token",
                                 "admin.nats", "gateway.token", "page"};
  for (const std::string& agent : users()) {
    names.push_back(agent + ".token");
    names.push_back(agent + ".nats");
  }
  for (const std::string& name : names) {
    const std::string file = home / ("secrets/" + name);
    if (!fs::exists(file, error)) TRY(write_private(file, random_secret()));
  }
  return ok();
}

Status purge_home(const Home& home) {
  if (!has_kairo(home))
    return Error{Code::invalid, home.path + " is no home of a kairo (it has no " + mark +
                                    "); nothing was removed"};
  std::error_code error;
  for (auto part = std::rbegin(parts); part != std::rend(parts); ++part) {  // the mark goes last
    fs::remove_all(home / *part, error);
    if (error) return Error{Code::unavailable, "remove " + (home / *part) + ": " + error.message()};
  }
  if (stranger_in(home).empty()) fs::remove(home.path, error);
  return ok();
}

Result<std::string> read_secret(const Home& home, const std::string& name) {
  std::ifstream in(home / ("secrets/" + name));
  std::string text;
  if (!std::getline(in, text))
    return Error{Code::not_found, "no local kairo in " + home.path + ": start it with `kairo up`"};
  return text;
}

Result<Ports> read_ports(const Home& home) {
  std::ifstream in(home / "run/ports.json");
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (!json.is_object())
    return Error{Code::not_found, "no local kairo in " + home.path + ": start it with `kairo up`"};
  return Ports{json.value("nats", 0), json.value("cluster", 0), json.value("registry", 0),
               json.value("gateway", 0), json.value("web", 0)};
}
Status write_ports(const Home& home, const Ports& ports) {
  const nlohmann::json json = {{"nats", ports.nats},
                               {"cluster", ports.cluster},
                               {"registry", ports.registry},
                               {"gateway", ports.gateway},
                               {"web", ports.web}};
  return write_private(home / "run/ports.json", json.dump() + "\n");
}

int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) address.sin_port = 0;
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}
bool is_port_free(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return free;
}

bool does_listen(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool open = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return open;
}

std::string for_people(const std::string& path) {
  const char* user = std::getenv("HOME");
  const std::string own = user == nullptr ? "" : std::string(user) + "/";
  return own.size() > 1 && path.starts_with(own) ? "~/" + path.substr(own.size()) : path;
}
}  // namespace kairo::cli
