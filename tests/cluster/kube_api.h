// tests/cluster/kube_api.h - what kubectl says to an API server, for tests: whole answers.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agents/cluster/http.h"
#include "agents/cluster/kube_cluster.h"

namespace kairo::test {
using Json = nlohmann::json;
struct Answer {
  int status = 0;
  Json body;
  bool ok() const { return status >= 200 && status < 300; }
};
class KubeApi {
 public:
  explicit KubeApi(const cluster::KubeConfig& config);
  // type: of the body; accept: of the answer.
  Answer ask(const std::string& method, const std::string& path, const Json& body = {},
             const std::string& type = "application/json",
             const std::string& accept = "application/json");
  Answer get(const std::string& path) { return ask("GET", path); }
  Answer merge(const std::string& path, const Json& patch) {
    return ask("PATCH", path, patch, "application/merge-patch+json");
  }
  // Server-side apply of every object; throws with the server's words when one is refused.
  void apply(const std::vector<Json>& objects);

 private:
  const std::string base_, token_;
  cluster::HttpClient http_;
};
// Documents of a YAML file, by its path in the source.
std::vector<Json> documents(const std::string& path);
std::string workspaces_path(const std::string& version);  // of the namespace default
// What a refusal says, without who says it: the texts of the rules.
std::vector<std::string> refusals(const Json& status);
}  // namespace kairo::test
