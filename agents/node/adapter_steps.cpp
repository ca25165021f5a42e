// agents/node/adapter_steps.cpp - lists compared by name and digest.
#include "agents/node/adapter_steps.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace kairo::node {
namespace {
using Json = nlohmann::json;
constexpr std::size_t names_max = 1'000, reply_words_max = 500, hex_chars = 64;
const std::string algorithm = "sha256:";

bool is_hex(const std::string& text) {
  return text.size() == hex_chars &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}
std::string text_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}
}  // namespace

std::string folder_of(const std::string& name, const std::string& digest) {
  const bool is_ours = digest.starts_with(algorithm) && is_hex(digest.substr(algorithm.size())) &&
                       !name.empty() && name.front() != '.' && name.find('/') == name.npos;
  return is_ours ? name + "@" + digest.substr(algorithm.size()) : "";
}
std::string digest_in(const std::string& folder, const std::string& name) {
  if (!folder.starts_with(name + "@")) return {};
  const std::string hex = folder.substr(name.size() + 1);
  return is_hex(hex) ? algorithm + hex : "";
}

std::optional<std::vector<ServedName>> served_in(const std::string& reply) {
  const Json json = Json::parse(reply, nullptr, false);
  if (!json.is_object() || !json.contains("data") || !json["data"].is_array()) return std::nullopt;
  std::vector<ServedName> out;
  for (const Json& model : json["data"]) {
    if (out.size() == names_max) break;
    const std::string name = text_of(model, "id"), root = text_of(model, "root");
    out.push_back({name, digest_in(root.substr(root.rfind('/') + 1), name)});
  }
  return out;
}

const ServedName* find(const std::vector<ServedName>& served, const std::string& name) {
  const auto found = std::ranges::find(served, name, &ServedName::name);
  return found == served.end() ? nullptr : &*found;
}
std::vector<std::string> to_unload(const std::vector<ServedName>& served,
                                   const wire::ServeAdaptersT& wish) {
  std::vector<std::string> out;
  for (const ServedName& model : served) {
    const bool is_wanted = std::ranges::any_of(
        wish.adapters, [&](const auto& adapter) { return adapter->name == model.name; });
    if (!model.digest.empty() && !is_wanted) out.push_back(model.name);
  }
  return out;
}

wire::ServedAdapterT told_of(const wire::WantedAdapterT& wanted,
                             const std::vector<ServedName>* served,
                             const wire::ServedAdapterT* before, const std::string& trouble,
                             std::int64_t now_ms) {
  const ServedName* model = served == nullptr ? nullptr : find(*served, wanted.name);
  wire::ServedAdapterT out;
  out.name = wanted.name;
  out.wanted = wanted.digest;
  out.message = trouble;
  if (model != nullptr) out.digest = model->digest;
  if (served == nullptr && before != nullptr) out.digest = before->digest;  // it may answer still
  const bool is_as_before = before != nullptr && before->digest == out.digest;
  const bool is_wanted = out.digest == wanted.digest;
  out.image = is_wanted || !is_as_before ? wanted.image : before->image;
  out.secret = is_wanted || !is_as_before ? wanted.secret : before->secret;
  out.base = is_wanted || !is_as_before ? wanted.base : before->base;
  if (!out.digest.empty()) out.since_ms = is_as_before ? before->since_ms : now_ms;
  return out;
}

std::string trouble_in(int status, const std::string& reply) {
  const Json json = Json::parse(reply, nullptr, false);
  std::string words =
      json.is_object() && json.contains("error") ? text_of(json["error"], "message") : "";
  if (words.find("--runtime-adapters") != std::string::npos)
    return "the server was started by an earlier kairo, which loads no adapters while it runs: "
           "delete its StatefulSet, it is made again";
  if (words.size() > reply_words_max) words.resize(reply_words_max);
  return "the server answers " + std::to_string(status) + (words.empty() ? "" : ": " + words);
}
}  // namespace kairo::node
