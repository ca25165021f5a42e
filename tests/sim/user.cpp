// tests/sim/user.cpp - wishes as manifests.
#include "tests/sim/user.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/watcher/revision.h"

namespace kairo::sim {
namespace {
using Json = nlohmann::json;

Json head(const std::string& name) {
  return {{"apiVersion", "kaito.sh/v1beta1"},
          {"kind", "Workspace"},
          {"metadata", {{"name", name}, {"namespace", "default"}}},
          {"resource",
           {{"instanceType", "Standard_NC24ads_A100_v4"},
            {"labelSelector", {{"matchLabels", {{"app", name}}}}}}}};
}
Json tuning(const std::string& name, const Wish& wish, bool is_large) {
  Json out = head(name);
  if (name == "a") out["metadata"]["annotations"]["kairo.dev/keep-checkpoints"] = "true";
  out["tuning"] = {{"preset", {{"name", is_large ? "qwen/qwen3.5-4b" : "smollm2-135m-instruct"}}},
                   {"method", "lora"},
                   {"input", {{"urls", {wish.urls}}}},
                   {"output",
                    {{"image", wish.image},
                     {"imagePushSecret", wish.want == Want::missing_secret ? "missing" : "push"}}}};
  return out;
}
Json inference(const std::string& name, std::uint64_t adapters) {
  Json out = head(name);
  out["inference"] = {{"preset", {{"name", "smollm2-135m-instruct"}}}, {"adapters", Json::array()}};
  for (std::uint64_t i = 0; i < adapters; ++i) {
    const std::string a = "a" + std::to_string(i);
    out["inference"]["adapters"].push_back(
        {{"source", {{"name", a}, {"image", "registry.example/" + a + ":1"}}}});
  }
  return out;
}
Want trouble(std::uint64_t dice) {
  if (dice == 0) return Want::bad_data;
  if (dice == 1) return Want::missing_secret;
  if (dice == 2) return Want::forbidden;
  return Want::adapter;
}
}  // namespace

unsigned User::times(const std::string& key) const {
  const auto found = times_.find(key);
  return found == times_.end() ? 0 : found->second;
}

bool User::came_back(const std::string& uid) const {
  return std::any_of(times_.begin(), times_.end(), [&](const auto& row) {
    return row.second > 1 && row.first.starts_with(uid + "/");
  });
}

void User::apply(const std::string& name) {
  const cluster::Ref ref{cluster::workspaces, "default", name};
  if (!cluster_.get(ref).ok()) {
    const std::uint64_t role = dice_.below(8);
    const std::string serve = is_wide_ && role == 1 ? "wide" : "serve";
    memory_.roles[name] = is_plain_ ? "tune" : role == 0 ? "large" : role < 3 ? serve : "tune";
  }
  const std::string& role = memory_.roles[name];
  Wish wish;
  Json object;
  if (role == "serve" || role == "wide") {
    wish.want = role == "wide" ? Want::wide : Want::server;
    object = inference(name, dice_.below(3));
    if (role == "serve" && dice_.below(3) != 0)
      object["metadata"]["annotations"]["kairo.dev/adapters-from"] = name == "a" ? "b" : "a";
    if (role == "wide") {
      object["inference"]["preset"]["name"] = "llama-3.3-70b-instruct";
      object["resource"]["count"] = 2;
      object["resource"]["instanceType"] = "Standard_NC48ads_A100_v4";
    }
  } else {
    wish.want = role == "large" ? Want::unsupported : trouble(is_plain_ ? 23 : dice_.below(24));
    const std::uint64_t data = dice_.below(3);
    wish.urls =
        "http://example.com/" + (wish.want == Want::bad_data ? "bad" : std::to_string(data));
    wish.image = (wish.want == Want::forbidden ? "forbidden.example/" : "registry.example/") +
                 name + (data == 2 ? ":2" : ":1");
    object = tuning(name, wish, role == "large");
  }
  if (is_wide_) object["resource"]["labelSelector"]["matchLabels"]["app"] = "wide";
  const auto applied = cluster_.apply({ref, object.dump(), "user", ""});
  dice_.journal.note("user applies", object.dump());
  if (!applied.ok()) {
    if (wrong.empty()) wrong = "apply: " + applied.error().what;
    return;
  }
  const Json written = Json::parse(applied.value());
  wish.uid = written["metadata"]["uid"];
  wish.revision = watcher::revision_of(applied.value()).value();
  // What is applied to an object that is leaving leaves with it, as in Kubernetes.
  if (written["metadata"].contains("deletionTimestamp")) wish.want = Want::none;
  const Wish& before = memory_.wishes[name];
  if (before.uid != wish.uid || before.revision != wish.revision)
    ++times_[wish.uid + "/" + wish.revision];
  memory_.wishes[name] = wish;
}

void User::remove(const std::string& name) {
  dice_.journal.note("user deletes", name);
  memory_.wishes[name].want = Want::none;
  (void)cluster_.remove({cluster::workspaces, "default", name}, "");
}

void User::put_back(const Memory& memory) {
  for (const auto& [name, wish] : memory.wishes) {
    const Wish& now = memory_.wishes[name];
    if (now.uid != wish.uid || now.revision != wish.revision)
      ++times_[wish.uid + "/" + wish.revision];
  }
  memory_ = memory;
}

void User::act() {
  const std::string name = dice_.below(2) == 0 ? "a" : "b";
  if (dice_.below(4) == 0)
    remove(name);
  else
    apply(name);
}
}  // namespace kairo::sim
