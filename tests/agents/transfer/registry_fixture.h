// tests/agents/transfer/registry_fixture.h - a real docker-registry with a password, and an
// adapter.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "schemas/base/base64.h"
#include "tests/support/servers.h"

namespace kairo::test {
inline void write_file(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}
inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
inline std::string noise(std::size_t size) {  // the same bytes every time
  std::string out(size, '\0');
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (char& c : out) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    c = static_cast<char>(state >> 32);
  }
  return out;
}
class Registry {  // user "kairo", password "s3cret"
 public:
  explicit Registry(const TempDir& dir, bool deletes = false)
      : dir_(dir.path), port_(free_port()), host_("127.0.0.1:" + std::to_string(port_)) {
    const std::string made = "htpasswd -Bbn kairo s3cret > " + dir_ + "/htpasswd";
    is_made_ = std::system(made.c_str()) == 0;
    write_file(dir_ + "/registry.yml",
               "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
               "storage: {filesystem: {rootdirectory: " +
                   dir_ + "/blobs}, delete: {enabled: " + (deletes ? "true" : "false") +
                   "}}\n"
                   "http: {addr: '" +
                   host_ +
                   "', secret: test}\n"
                   "auth: {htpasswd: {realm: kairo, path: " +
                   dir_ + "/htpasswd}}\n");
  }
  bool start() {
    server_ = std::make_unique<Child>(
        std::vector<std::string>{"docker-registry", "serve", dir_ + "/registry.yml"},
        dir_ + "/registry.log");
    return is_made_ && wait_for_port(port_, 10'000);
  }
  void stop() { server_.reset(); }
  const std::string& host() const { return host_; }
  std::string config(const std::string& password = "s3cret") const {
    return R"({"auths":{")" + host_ + R"(":{"auth":")" + base64_encode("kairo:" + password) +
           R"("}}})";
  }

 private:
  const std::string dir_;
  const int port_;
  const std::string host_;
  bool is_made_ = false;
  std::unique_ptr<Child> server_;
};
// "" = everything a registry test needs is here; else why not.
inline std::string missing_programs() {
  for (const char* name : {"docker-registry", "htpasswd", "skopeo"})
    if (!have_program(name)) return std::string(name) + " is not installed";
  return "";
}
}  // namespace kairo::test
