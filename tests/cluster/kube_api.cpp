// tests/cluster/kube_api.cpp
#include "tests/cluster/kube_api.h"

#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "schemas/yaml/yaml.h"

namespace kairo::test {
namespace {
std::string text_in(const std::string& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}
const std::map<std::string, std::string> paths{
    {"CustomResourceDefinition", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"},
    {"ValidatingAdmissionPolicy",
     "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/"},
    {"ValidatingAdmissionPolicyBinding",
     "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/"},
    {"Namespace", "/api/v1/namespaces/"},
    {"ConfigMap", "/api/v1/namespaces/kairo-system/configmaps/"}};
}  // namespace

KubeApi::KubeApi(const cluster::KubeConfig& config)
    : base_(config.base_url), token_(text_in(config.token_file)), http_(config.ca_file) {}

Answer KubeApi::ask(const std::string& method, const std::string& path, const Json& body,
                    const std::string& type, const std::string& accept) {
  cluster::HttpRequest request;
  request.method = method;
  request.url = base_ + path;
  request.headers = {"Authorization: Bearer " + token_.substr(0, token_.find('\n')),
                     "Accept: " + accept};
  if (!body.is_null()) {
    request.body = body.dump();
    request.headers.push_back("Content-Type: " + type);
  }
  const auto reply = http_.perform(request);
  if (!reply.ok()) throw std::runtime_error(path + ": " + reply.error().what);
  return {reply.value().status, Json::parse(reply.value().body, nullptr, false)};
}

void KubeApi::apply(const std::vector<Json>& objects) {
  for (const Json& object : objects) {
    const std::string name = object["metadata"]["name"];
    const Answer answer =
        ask("PATCH", paths.at(object["kind"]) + name + "?fieldManager=test&fieldValidation=Strict",
            object, "application/apply-patch+yaml");
    if (!answer.ok()) throw std::runtime_error(name + ": " + answer.body.dump(2));
  }
}

std::vector<Json> documents(const std::string& path) {
  const auto read =
      yaml::read(text_in(std::string(KAIRO_SOURCE_DIR "/") + path), path, yaml::Dialect::kubectl);
  if (!read.ok()) throw std::runtime_error(read.error().what);
  std::vector<Json> out;
  for (const yaml::Value& document : read.value())
    out.push_back(Json::parse(yaml::to_json(document)));
  return out;
}
std::string workspaces_path(const std::string& version) {
  return "/apis/kaito.sh/" + version + "/namespaces/default/workspaces";
}

std::vector<std::string> refusals(const Json& status) {
  static const std::regex by_rule("^Invalid value: \"(object|array|string|integer)\": ");
  const std::string message = status.value("message", "");
  for (const std::string mark : {"denied request: ", "strict decoding error"})
    if (const std::size_t at = message.find(mark); at != std::string::npos)
      return {message.substr(mark.ends_with(": ") ? at + mark.size() : at)};
  std::vector<std::string> out;
  for (const Json& cause : status.value("/details/causes"_json_pointer, Json::array())) {
    const std::string text = cause.value("message", "");
    if (text.find("some validation rules were not checked") != std::string::npos) continue;
    const std::string said = std::regex_replace(text, by_rule, "");
    out.push_back(said != text ? said : cause.value("field", "") + ": " + text);
  }
  return out;
}
}  // namespace kairo::test
