// What this proves: local mode runs Jobs and StatefulSets as real processes, as Kubernetes would,
// and goes on after it was killed.
#include <doctest/doctest.h>
#include <httplib.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "agents/local/node/cgroup.h"
#include "schemas/base/clock.h"
#include "tests/agents/local/node/runner_bench.h"

using namespace kairo;
using namespace kairo::cluster;
using namespace kairo::cluster::test_bench;

TEST_CASE("a Job: volumes, secrets and environment reach the program; it completes") {
  Bench b;
  b.apply(config_maps, "settings", {{"data", {{"a.yaml", "from the map\n"}}}});
  b.apply(secrets, "key", {{"stringData", {{"token", "hidden"}}}});
  Json main = container(
      "cat /mnt/config/a.yaml; cat /mnt/keys/t; echo $TOKEN $POD $WHERE; echo x > /mnt/out/file; "
      "echo done > /dev/termination-log");
  main["env"] = Json::array(
      {{{"name", "TOKEN"}, {"valueFrom", {{"secretKeyRef", {{"name", "key"}, {"key", "token"}}}}}},
       {{"name", "POD"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.namespace"}}}}}},
       {{"name", "WHERE"}, {"value", "/mnt/out"}}});
  main["volumeMounts"] = Json::array({{{"name", "config"}, {"mountPath", "/mnt/config"}},
                                      {{"name", "keys"}, {"mountPath", "/mnt/keys"}},
                                      {{"name", "out"}, {"mountPath", "/mnt/out"}}});
  Json object = job(main);
  const std::string out = b.process.dir() + "/out";
  spec_of(object)["volumes"] = Json::array(
      {{{"name", "config"}, {"configMap", {{"name", "settings"}}}},
       {{"name", "keys"},
        {"projected",
         {{"sources",
           Json::array({{{"secret",
                          {{"name", "key"},
                           {"items", Json::array({{{"key", "token"}, {"path", "t"}}})}}}}})}}}},
       {{"name", "out"}, {"hostPath", {{"path", out}, {"type", "DirectoryOrCreate"}}}}});
  b.apply(jobs, "good", object);
  b.eventually("completion", [&] { return b.job_has("good", "Complete"); });
  const Json done = b.get(jobs, "good");
  CHECK(done["status"]["succeeded"] == 1);
  CHECK(done["status"]["active"] == 0);
  CHECK(done["status"]["completionTime"].is_string());
  const auto list = b.pods_of("good");
  REQUIRE(list.size() == 1);
  CHECK(b.log_of(list[0], "main") == "from the map\nhiddenhidden default " + out + "\n");
  CHECK(b.log_of(list[0], "main", 13) == "hiddenhidden default " + out + "\n");
  CHECK(std::filesystem::exists(out + "/file"));
  const Json& ended = list[0]["status"]["containerStatuses"][0]["state"]["terminated"];
  CHECK(ended["reason"] == "Completed");
  CHECK(ended["message"] == "done\n");
  CHECK(b.has_event("Scheduled"));
  CHECK(b.has_event("Completed"));
  REQUIRE(b.cluster->remove({jobs, "default", "good"}, "").ok());
  b.eventually("removal", [&] { return b.get(jobs, "good").is_null(); });
  CHECK(b.pods_of("good").empty());
  CHECK(std::filesystem::exists(out + "/file"));  // hostPath stays
}

TEST_CASE("a failing Job: backoff, then BackoffLimitExceeded; a policy ends it at once") {
  Bench b;
  b.apply(jobs, "bad", job(container("echo oh no >&2; exit 3")));
  b.eventually("failure", [&] { return b.job_has("bad", "Failed"); });
  CHECK(b.get(jobs, "bad")["status"]["conditions"][0]["reason"] == "BackoffLimitExceeded");
  const auto failed = b.pods_of("bad");
  CHECK(failed.size() == 3);  // backoffLimit 2
  const Json& ended = failed[0]["status"]["containerStatuses"][0]["state"]["terminated"];
  CHECK(ended["exitCode"] == 3);
  CHECK(ended["message"] == "oh no");

  Json object = job(container("exit 2"));
  object["spec"]["podFailurePolicy"]["rules"] = Json::array(
      {{{"action", "FailJob"}, {"onExitCodes", {{"operator", "In"}, {"values", {2}}}}}});
  b.apply(jobs, "wrong", object);
  b.eventually("failure", [&] { return b.job_has("wrong", "Failed"); });
  CHECK(b.get(jobs, "wrong")["status"]["conditions"][0]["reason"] == "PodFailurePolicy");
  CHECK(b.pods_of("wrong").size() == 1);
}

TEST_CASE("init containers run one after another; a failing one fails the pod") {
  Bench b;
  Json object = job(container("echo never"));
  spec_of(object)["initContainers"] =
      Json::array({container("echo one", "first"), container("echo two; exit 7", "second")});
  object["spec"]["backoffLimit"] = 0;
  b.apply(jobs, "init", object);
  b.eventually("failure", [&] { return b.job_has("init", "Failed"); });
  const Json pod = b.pods_of("init").at(0);
  CHECK(b.log_of(pod, "first") == "one\n");
  CHECK(b.log_of(pod, "second") == "two\n");
  CHECK(b.log_of(pod, "main").empty());
  CHECK(pod["status"]["initContainerStatuses"][1]["state"]["terminated"]["exitCode"] == 7);
  CHECK(b.log_of(pod, "none").find("not valid") != std::string::npos);
}

TEST_CASE("foreign programs are refused with the remedy; what is missing is waited for") {
  Bench b;
  Json foreign = container("");
  foreign["command"] = {"vllm", "serve"};
  Json object = job(foreign);
  object["spec"]["backoffLimit"] = 0;
  b.apply(jobs, "foreign", object);
  b.eventually("refusal", [&] { return b.job_has("foreign", "Failed"); });
  const Json refused = b.pods_of("foreign").at(0)["status"];
  CHECK(refused["reason"] == "ErrImageNeverPull");
  CHECK(refused["message"] ==
        "local mode runs kairo's own programs only; \"vllm\" needs Kubernetes");

  Json waiting = container("echo $T");
  waiting["env"] = Json::array(
      {{{"name", "T"}, {"valueFrom", {{"secretKeyRef", {{"name", "late"}, {"key", "t"}}}}}}});
  b.apply(jobs, "waiting", job(waiting));
  b.eventually("the reason", [&] {
    const auto list = b.pods_of("waiting");
    return !list.empty() && list[0].dump().find("CreateContainerConfigError") != std::string::npos;
  });
  b.apply(secrets, "late", {{"stringData", {{"t", "came"}}}});
  b.eventually("completion", [&] { return b.job_has("waiting", "Complete"); });
  CHECK(b.log_of(b.pods_of("waiting").at(0), "main") == "came\n");
}

TEST_CASE("two Jobs that want the whole machine run one after the other") {
  Bench b;
  const Json node = b.node();
  CHECK(node["metadata"]["labels"]["kairo.dev/local"] == "true");
  Json main = container("while [ ! -e /mnt/go/now ]; do sleep 0.05; done");
  main["resources"]["requests"]["cpu"] = node["status"]["allocatable"]["cpu"];
  main["volumeMounts"] = Json::array({{{"name", "go"}, {"mountPath", "/mnt/go"}}});
  Json object = job(main);
  spec_of(object)["volumes"] =
      Json::array({{{"name", "go"}, {"hostPath", {{"path", b.process.dir()}}}}});
  b.apply(jobs, "one", object);
  b.eventually("start", [&] { return b.ready(jobs, "one", "ready") == 1; });
  const std::string born = b.get(jobs, "one")["metadata"]["creationTimestamp"];
  b.eventually("the next second", [&] { return rfc3339(SystemClock().now_ms()) != born; });
  b.apply(jobs, "two", object);
  const std::string holder = text(b.pods_of("one").at(0), {"metadata", "name"});
  b.eventually("the reason", [&] {
    const auto list = b.pods_of("two");
    return !list.empty() && list[0].dump().find(
                                "0/1 nodes are available: 1 Insufficient cpu "
                                "(held by default/" +
                                holder + ").") != std::string::npos;
  });
  CHECK(b.get(jobs, "two")["status"]["ready"] == 0);

  const std::string ended = text(b.pods_of("one").at(0), {"metadata", "uid"});
  // What is interrupted comes before what waits: the older Job has the machine again.
  REQUIRE(b.cluster->remove({pods, "default", holder}, "").ok());
  b.eventually("the older one again", [&] {
    const auto list = b.pods_of("one");
    return list.size() == 1 && text(list[0], {"metadata", "uid"}) != ended &&
           text(list[0], {"status", "phase"}) == "Running";
  });
  CHECK(text(b.pods_of("two").at(0), {"spec", "nodeName"}).empty());
  std::ofstream(b.process.dir() + "/now") << "go";
  b.eventually("both",
               [&] { return b.job_has("one", "Complete") && b.job_has("two", "Complete"); });
}

TEST_CASE("deletion: SIGTERM, the grace period, SIGKILL") {
  Bench b;
  b.apply(jobs, "polite",
          job(container("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")));
  b.apply(jobs, "deaf", job(container("trap '' TERM; echo up; while :; do sleep 0.05; done")));
  for (const char* name : {"polite", "deaf"})
    b.eventually("start", [&] {
      const auto list = b.pods_of(name);
      return !list.empty() && b.log_of(list[0], "main") == "up\n";
    });
  const auto begun = std::chrono::steady_clock::now();
  for (const char* name : {"polite", "deaf"})
    REQUIRE(b.cluster->remove({jobs, "default", name}, "").ok());
  b.eventually("the polite end", [&] { return b.get(jobs, "polite").is_null(); });
  CHECK_FALSE(b.get(jobs, "deaf").is_null());  // a Job is there until its pods are gone
  b.eventually("the hard end", [&] { return b.get(jobs, "deaf").is_null(); });
  const auto took = std::chrono::steady_clock::now() - begun;
  CHECK(took >= std::chrono::milliseconds(1000));  // 2 s of grace, in whole seconds of the clock
  CHECK(b.has_event("Killing"));
}

TEST_CASE("kill -9 of the cluster: containers go on, the next one adopts them") {
  Bench b;
  Json main =
      container("echo up; while [ ! -e /mnt/go/now ]; do sleep 0.05; done; echo end; exit 0");
  main["volumeMounts"] = Json::array({{{"name", "go"}, {"mountPath", "/mnt/go"}}});
  Json object = job(main);
  spec_of(object)["volumes"] =
      Json::array({{{"name", "go"}, {"hostPath", {{"path", b.process.dir()}}}}});
  b.apply(jobs, "long", object);
  b.eventually("start", [&] {
    const auto list = b.pods_of("long");
    return !list.empty() && b.log_of(list[0], "main") == "up\n";
  });
  for (const bool ends_while_away : {false, true}) {
    CAPTURE(ends_while_away);
    b.process.kill_hard();
    if (ends_while_away) {
      std::ofstream(b.process.dir() + "/now") << "go";
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
    b.process.start();
    b.cluster = std::make_unique<KubeCluster>(b.process.config());
    CHECK(b.get(jobs, "long")["metadata"]["name"] == "long");
  }
  b.eventually("completion", [&] { return b.job_has("long", "Complete"); });
  REQUIRE(b.pods_of("long").size() == 1);  // no second one was started
  CHECK(b.log_of(b.pods_of("long")[0], "main") == "up\nend\n");
}

TEST_CASE("a container over its memory limit is OOMKilled") {
  const auto allowed = make_cgroups("kairo-test-probe", {64 << 20, 0});
  remove_cgroups("kairo-test-probe");
  if (!allowed.ok()) {
    MESSAGE("SKIP: no memory limits here: " << allowed.error().what);
    return;
  }
  Bench b;
  Json main = container("x=$(head -c 300000000 /dev/zero | tr '\\0' a); echo ${#x}");
  main["resources"]["limits"] = {{"memory", "32Mi"}};
  Json object = job(main);
  object["spec"]["backoffLimit"] = 0;
  b.apply(jobs, "fat", object);
  b.eventually("failure", [&] { return b.job_has("fat", "Failed"); });
  const Json pod = b.pods_of("fat").at(0);
  CHECK(pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled");
  CHECK(b.has_event("OOMKilled"));
}

TEST_CASE("a StatefulSet with probes behind a Service; restarts; a new template") {
  Bench b;
  const Json probe = {{"httpGet", {{"path", "/health"}, {"port", 5000}}},
                      {"periodSeconds", 1},
                      {"failureThreshold", 30}};
  Json server = {
      {"name", "server"},
      {"image", "kairo"},
      {"command", {KAIRO_HTTP_PROGRAM, "1500"}},
      {"ports", Json::array({{{"containerPort", 5000}}})},
      {"startupProbe", probe},
      {"readinessProbe", probe},
      {"env", Json::array({{{"name", "POD_NAME"},
                            {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.name"}}}}}}})}};
  const Json labels = {{"app", "web"}};
  const auto set = [&] {
    return Json{
        {"spec",
         {{"replicas", 1},
          {"selector", {{"matchLabels", labels}}},
          {"template",
           {{"metadata", {{"labels", labels}}},
            {"spec",
             {{"terminationGracePeriodSeconds", 1}, {"containers", Json::array({server})}}}}}}}};
  };
  b.apply(
      services, "web",
      {{"spec",
        {{"selector", labels}, {"ports", Json::array({{{"port", 80}, {"targetPort", 5000}}})}}}});
  b.apply(stateful_sets, "web", set());
  b.eventually("the pod", [&] {
    return text(b.get(pods, "web-0"), {"status", "phase"}) == "Running";
  });
  CHECK(b.ready(stateful_sets, "web", "readyReplicas") == 0);  // 1.5 s to health
  const auto is_ready = [&] { return b.ready(stateful_sets, "web", "readyReplicas") == 1; };
  b.eventually("readiness", is_ready);
  const std::string address =
      text(b.get(services, "web"), {"metadata", "annotations", "kairo.dev/local-address"});
  CHECK(text(b.get(stateful_sets, "web"), {"metadata", "annotations", "kairo.dev/local-address"}) ==
        address);
  const auto ask = [&] {
    httplib::Client client("http://" + address);
    const auto reply = client.Get("/name");
    return reply ? reply->body : "";
  };
  CHECK(ask() == "web-0");
  const std::string uid = text(b.get(pods, "web-0"), {"metadata", "uid"});
  server["command"][1] = "1";
  b.apply(stateful_sets, "web", set());
  b.eventually("the new pod", [&] {
    const std::string now = text(b.get(pods, "web-0"), {"metadata", "uid"});
    return !now.empty() && now != uid && is_ready();
  });
  CHECK(ask() == "web-0");  // at the same address
  REQUIRE(b.cluster->remove({stateful_sets, "default", "web"}, "").ok());
  b.eventually("the end", [&] {
    return b.get(stateful_sets, "web").is_null() && b.get(pods, "web-0").is_null();
  });
  CHECK(ask().empty());
}

TEST_CASE("objects of a wrong form are passed over; the others go on") {
  Bench b;
  const std::vector<std::pair<Kind, std::string>> forms{
      {jobs, R"({"spec":5})"},
      {jobs, R"({"spec":{"template":{"spec":{"containers":"x"}}}})"},
      {jobs, R"({"spec":{"template":{"metadata":7,"spec":{"containers":[{"name":"c","command":3,
         "env":[{"name":"e","valueFrom":9}],"ports":[{"containerPort":"x"}]}]}}}})"},
      {stateful_sets, R"({"spec":{"replicas":"x","template":[]}})"},
      {services, R"({"spec":{"selector":[1],"ports":"x"}})"},
      {services, R"({"spec":{"selector":{"a":1},"ports":[{"port":1,"targetPort":{}}]}})"},
      {claims, R"({"spec":"x"})"},
      {pods, R"({"spec":{"nodeName":"n","volumes":[{"name":"../x","emptyDir":{}}],
         "containers":[{"name":"../../y","command":["/bin/sh"]}]}})"},
      {pods, R"({"spec":{"volumes":[{"name":"v","configMap":4}],"containers":[
         {"name":"c","command":["/bin/sh"],"resources":6}]},"metadata":{"annotations":{
         "kairo.dev/ports":"[","kairo.dev/gpus":"x"}}})"},
      {volumes, R"({"spec":1,"metadata":{"annotations":{"kairo.dev/claim-uid":"../../x"}}})"},
      {nodes, R"({"metadata":{"labels":{"a":"b"}},"status":7})"},
  };
  int number = 0;
  for (const auto& [kind, form] : forms) {
    Json object = Json::parse(form);
    object["apiVersion"] = api_version(kind);
    object["kind"] = kind.kind;
    const auto done = b.cluster->apply(
        {{kind, kind.namespaced ? "default" : "", "odd-" + std::to_string(++number)},
         object.dump(),
         "test",
         ""});
    CHECK((done.ok() || done.error().code == Code::invalid));  // answered, not dropped
  }
  b.apply(jobs, "good", job(container("exit 0")));
  b.eventually("completion", [&] { return b.job_has("good", "Complete"); });
}

TEST_CASE("a claim gets a folder, and loses it when it goes") {
  Bench b;
  b.apply(claims, "data",
          {{"spec",
            {{"accessModes", {"ReadWriteOnce"}},
             {"resources", {{"requests", {{"storage", "1Gi"}}}}}}}});
  Json main = container("echo kept > /mnt/data/file");
  main["volumeMounts"] = Json::array({{{"name", "data"}, {"mountPath", "/mnt/data"}}});
  Json object = job(main);
  spec_of(object)["volumes"] =
      Json::array({{{"name", "data"}, {"persistentVolumeClaim", {{"claimName", "data"}}}}});
  b.apply(jobs, "writer", object);
  b.eventually("completion", [&] { return b.job_has("writer", "Complete"); });
  const Json claim = b.get(claims, "data");
  CHECK(claim["status"]["phase"] == "Bound");
  const std::string folder =
      text(b.get(volumes, claim["spec"]["volumeName"]), {"spec", "hostPath", "path"});
  CHECK(std::filesystem::exists(folder + "/file"));
  REQUIRE(b.cluster->remove({claims, "default", "data"}, "").ok());
  b.eventually("removal", [&] { return !std::filesystem::exists(folder); });
}

TEST_CASE("the node is \"local\" whatever the host is called, and this machine has no other") {
  Bench b;
  b.eventually("the node", [&] { return !b.get(nodes, "local").is_null(); });
  for (const auto& [name, label] : {std::pair("old-host", "true"), std::pair("other", "false")}) {
    const Json node = {{"apiVersion", "v1"},
                       {"kind", "Node"},
                       {"metadata", {{"labels", {{"kairo.dev/local", label}}}}}};
    REQUIRE(b.cluster->apply({{nodes, "", name}, node.dump(), "test", ""}).ok());
  }
  b.process.stop();
  b.process.start();
  b.cluster = std::make_unique<KubeCluster>(b.process.config());
  b.eventually("removal", [&] { return b.get(nodes, "old-host").is_null(); });
  CHECK_FALSE(b.get(nodes, "local").is_null());
  CHECK_FALSE(b.get(nodes, "other").is_null());
}

TEST_CASE("a run that a power cut took is started again and counts as no failure") {
  Bench b;
  Json object = job(container("while [ ! -e " + b.process.dir() + "/now ]; do sleep 0.05; done"));
  object["spec"]["backoffLimit"] = 0;
  object["spec"]["podFailurePolicy"]["rules"] =
      Json::array({{{"action", "Ignore"},
                    {"onPodConditions", {{{"type", "DisruptionTarget"}, {"status", "True"}}}}}});
  b.apply(jobs, "long", object);
  b.eventually("start", [&] { return b.ready(jobs, "long", "ready") == 1; });
  const Json first = b.pods_of("long").at(0);
  b.process.kill_hard();
  const std::string dir =
      b.process.dir() + "/state/pods/" + text(first, {"metadata", "uid"}) + "/main/0";
  int pid = 0, parent = 0;
  std::string word;
  std::ifstream(dir + "/pid") >> pid;
  std::ifstream stat_file("/proc/" + std::to_string(pid) + "/stat");
  stat_file >> word >> word >> word >> parent;  // pid, (sh), state, parent
  REQUIRE(parent > 1);
  kill(parent, SIGKILL);  // and with it the container
  b.process.start();
  b.cluster = std::make_unique<KubeCluster>(b.process.config());
  b.eventually("a second pod", [&] { return b.pods_of("long").size() == 2; });
  std::ofstream(b.process.dir() + "/now") << "go";
  b.eventually("completion", [&] { return b.job_has("long", "Complete"); });
  CHECK(integer(b.get(jobs, "long"), {"status", "failed"}) == 0);
}
