// tests/agents/local/node/runner_bench.h - the local cluster's process and the objects to run in
// it.
#pragma once
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agents/cluster/json.h"
#include "agents/cluster/kinds.h"
#include "tests/agents/local/local_process.h"

namespace kairo::cluster::test_bench {
struct Bench {
  test::LocalProcess process{KAIRO_LOCAL_PROGRAM, {"/bin/sh", KAIRO_HTTP_PROGRAM}};
  std::unique_ptr<KubeCluster> cluster = std::make_unique<KubeCluster>(process.config());

  Json get(const Kind& kind, const std::string& name) {
    const auto got = cluster->get({kind, kind.namespaced ? "default" : "", name});
    return got.ok() ? Json::parse(got.value()) : Json();
  }
  void apply(const Kind& kind, const std::string& name, Json object) {
    object["apiVersion"] = api_version(kind);
    object["kind"] = kind.kind;
    const auto done = cluster->apply({{kind, "default", name}, object.dump(), "test", ""});
    REQUIRE_MESSAGE(done.ok(), (done.ok() ? "" : done.error().what));
  }
  std::vector<Json> pods_of(const std::string& job) {
    std::vector<Json> out;
    const auto listing = cluster->list({pods, "default", "batch.kubernetes.io/job-name=" + job});
    for (const std::string& item : listing.value().items) out.push_back(Json::parse(item));
    return out;
  }
  std::string log_of(const Json& pod, const std::string& container, std::uint64_t offset = 0) {
    const auto text_now =
        cluster->log({pods, "default", text(pod, {"metadata", "name"})}, container, offset);
    return text_now.ok() ? text_now.value() : "error: " + text_now.error().what;
  }
  std::int64_t ready(const Kind& kind, const std::string& name, const char* field) {
    return integer(get(kind, name), {"status", field});
  }
  bool has_event(const std::string& reason) {
    for (const std::string& item : cluster->list({events, "", ""}).value().items)
      if (text(Json::parse(item), {"reason"}) == reason) return true;
    return false;
  }
  void eventually(const std::string& what, const std::function<bool()>& is_so, int seconds = 20) {
    for (int i = 0; i < seconds * 50; ++i) {
      if (is_so()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    const auto listing = cluster->list({pods, "", ""});
    for (const std::string& item :
         listing.ok() ? listing.value().items : std::vector<std::string>{})
      MESSAGE(Json::parse(item)["status"].dump(1));
    FAIL(what << " did not come; the cluster's log:\n" << process.log());
  }
  // This machine, once it says what it has.
  Json node() {
    Json found;
    eventually("the node", [&] {
      const auto list = cluster->list({nodes, "", ""});
      if (!list.ok() || list.value().items.empty()) return false;
      found = Json::parse(list.value().items.at(0));
      return found.contains("status") && found["status"].contains("allocatable");
    });
    return found;
  }
  bool job_has(const std::string& name, const std::string& type) {
    const Json object = get(jobs, name);
    for (const Json& c : at(object, {"status", "conditions"}))
      if (text(c, {"type"}) == type) return true;
    return false;
  }
};
inline Json container(const std::string& script, const std::string& name = "main") {
  return {{"name", name},
          {"image", "kairo"},
          {"command", {"/bin/sh", "-c", script}},
          {"resources", {{"requests", {{"memory", "1Mi"}}}}}};
}
inline Json job(const Json& main, const std::string& policy = "Never") {
  return {{"spec",
           {{"backoffLimit", 2},
            {"template",
             {{"spec",
               {{"restartPolicy", policy},
                {"terminationGracePeriodSeconds", 2},
                {"containers", Json::array({main})}}}}}}}};
}
inline Json& spec_of(Json& object) {
  return object["spec"]["template"]["spec"];
}
}  // namespace kairo::cluster::test_bench
