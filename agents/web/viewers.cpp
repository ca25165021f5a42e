// agents/web/viewers.cpp - TokenReview, then SubjectAccessReview: nothing is kept of either.
#include "agents/web/viewers.h"

#include <nlohmann/json.hpp>

#include "schemas/base/digest.h"

namespace kairo::web {
namespace {
using Json = nlohmann::json;
constexpr std::int64_t holds_ms = 60'000;
constexpr std::size_t known_max = 10'000;
const cluster::Kind token_reviews{"authentication.k8s.io", "v1", "tokenreviews", "TokenReview",
                                  false};
const cluster::Kind access_reviews{"authorization.k8s.io", "v1", "subjectaccessreviews",
                                   "SubjectAccessReview", false};

Result<Json> review(cluster::Cluster& cluster, const cluster::Kind& kind, const Json& spec) {
  const Json wish = {
      {"apiVersion", kind.group + "/" + kind.version}, {"kind", kind.kind}, {"spec", spec}};
  const auto got = cluster.create({{kind, "", ""}, wish.dump(), "kairo-web", ""});
  if (!got.ok()) return got.error();
  Json out = Json::parse(got.value(), nullptr, false);
  const bool is_one = out.is_object() && out.contains("status") && out["status"].is_object();
  if (!is_one) return Error{Code::unavailable, kind.kind + " has no status"};
  return out["status"];
}
std::vector<std::string> words_of(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t end = std::min(path.find('/', from), path.size());
    if (end > from) out.push_back(path.substr(from, end - from));
    from = end + 1;
  }
  return out;
}
}  // namespace

Need need_of(const std::string& path) {
  const std::vector<std::string> words = words_of(path);  // api v1 workspaces NS NAME PART
  const std::string what = words.size() > 2 ? words[2] : "";
  const std::string part = words.size() > 5 ? words[5] : "";
  const std::string ns = words.size() > 3 ? words[3] : "";
  if (what == "chat") return {"create", "", "services", "proxy", ns};
  if (part == "log") return {"get", "", "pods", "log", ns};
  if (part == "events") return {"list", "", "events", "", ns};
  return {"list", "kaito.sh", "workspaces", "", ns};
}

Refusal Viewers::ask(const std::string& token, const Need& need) {
  const auto later = [](const Error& error) {
    return Refusal{503, "the API server was asked who you are: " + error.what + "\n"};
  };
  const auto who = review(cluster_, token_reviews, {{"token", token}});
  if (!who.ok()) return later(who.error());
  if (!who.value().value("authenticated", false))
    return {401,
            "The API server does not know this token (any more); docs/page.md says how to "
            "get one.\n"};
  Json spec = {{"resourceAttributes",
                {{"verb", need.verb},
                 {"group", need.group},
                 {"resource", need.resource},
                 {"subresource", need.subresource},
                 {"namespace", need.ns}}}};
  const Json user = who.value().value("user", Json::object());
  spec["user"] = user.value("username", "");
  for (const auto& [from, to] : {std::pair{"groups", "groups"}, {"extra", "extra"}, {"uid", "uid"}})
    if (user.contains(from)) spec[to] = user[from];
  const auto may = review(cluster_, access_reviews, spec);
  if (!may.ok()) return later(may.error());
  if (may.value().value("allowed", false)) return {};
  return {403, user.value("username", "") + " may not " + need.verb + " " + need.resource +
                   (need.subresource.empty() ? "" : "/" + need.subresource) +
                   (need.ns.empty() ? " of all namespaces" : " in namespace " + need.ns) +
                   "; a ClusterRoleBinding to kairo-viewer allows it\n"};
}

Refusal Viewers::refusal(const std::string& token, const Need& need) {
  const std::string key = sha256_hex(token + "\n" + need.verb + "\n" + need.group + "\n" +
                                     need.resource + "\n" + need.subresource + "\n" + need.ns);
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(key);
    if (found != known_.end() && found->second.until_ms > clock_.monotonic_ms())
      return found->second.refusal;
  }
  const Refusal out = ask(token, need);
  if (out.status == 503) return out;
  const std::lock_guard lock(mutex_);
  if (known_.size() >= known_max) known_.clear();
  known_[key] = {out, clock_.monotonic_ms() + holds_ms};
  return out;
}
}  // namespace kairo::web
