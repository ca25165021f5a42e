// What this proves: commands go on after an object that fails, wait for what they asked to go and
// not for what took its name, and show the events of one Workspace's family.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "agents/cli/cli.h"
#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace kairo::cli;
using Json = nlohmann::json;
namespace {
class Borrowed final : public cluster::Cluster {  // of a cluster that outlives the command
 public:
  explicit Borrowed(cluster::Cluster& real) : real_(real) {}
  Result<std::string> apply(const cluster::Apply& apply) override {
    if (apply.ref.name == "strange") return std::string("<html>");  // a proxy's answer
    return real_.apply(apply);
  }
  Result<std::string> create(const cluster::Apply& a) override { return real_.create(a); }
  Result<std::string> patch(const cluster::Patch& p) override { return real_.patch(p); }
  Result<std::string> get(const cluster::Ref& ref) override { return real_.get(ref); }
  Result<cluster::Listing> list(const cluster::Selection& s) override { return real_.list(s); }
  Result<std::vector<cluster::Event>> watch(const cluster::Selection& s, const std::string& version,
                                            std::int64_t wait_ms) override {
    return real_.watch(s, version, wait_ms);
  }
  Status remove(const cluster::Ref& ref, const std::string& uid) override {
    return real_.remove(ref, uid);
  }
  Result<std::string> log(const cluster::Ref& pod, const std::string& container,
                          std::uint64_t offset) override {
    return real_.log(pod, container, offset);
  }

 private:
  cluster::Cluster& real_;
};
struct Desk {  // a person at a terminal
  SystemClock clock;
  std::mutex mutex;
  std::string logged;  // of every container, in its present attempt; guarded by mutex
  std::atomic<int> log_reads{0};
  cluster::MemoryCluster real{
      clock,
      "seed",
      {},
      [](const std::string&, const std::string& object) -> Status {
        if (object.find("\"refuse\"") == std::string::npos) return ok();
        return Error{Code::invalid, "the test refuses it"};
      },
      [this](const std::string&, const std::string&, std::uint64_t offset) -> Result<std::string> {
        const std::lock_guard lock(mutex);
        ++log_reads;
        return offset >= logged.size() ? "" : logged.substr(offset);
      }};
  std::atomic<bool> stop{false};
  test::TempDir dir;
  Context context{
      {dir.path}, "default", stop, [this]() -> Result<std::unique_ptr<cluster::Cluster>> {
        return std::unique_ptr<cluster::Cluster>(std::make_unique<Borrowed>(real));
      }};
  std::string out, err;  // of the last command

  Status run(const std::function<Status()>& command) {
    std::ostringstream o, e;
    auto* const before_out = std::cout.rdbuf(o.rdbuf());
    auto* const before_err = std::cerr.rdbuf(e.rdbuf());
    const Status done = command();
    std::cout.rdbuf(before_out);
    std::cerr.rdbuf(before_err);
    out = o.str();
    err = e.str();
    return done;
  }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(dir.path + "/" + name) << text;
    return dir.path + "/" + name;
  }
  Json make(const cluster::Kind& kind, const std::string& name, Json body = Json::object(),
            const std::string& subresource = "") {
    body["kind"] = kind.kind;
    body["apiVersion"] = (kind.group.empty() ? "" : kind.group + "/") + kind.version;
    const auto made = real.apply({{kind, "default", name}, body.dump(), "test", subresource});
    REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
    return Json::parse(made.value());
  }
  static Json owned_by(const Json& owner) {
    return {{"metadata",
             {{"ownerReferences", Json::array({{{"apiVersion", owner["apiVersion"]},
                                                {"kind", owner["kind"]},
                                                {"name", owner["metadata"]["name"]},
                                                {"uid", owner["metadata"]["uid"]}}})}}}};
  }
  void say(const Json& about, const std::string& message) {
    make(cluster::events, std::string("e") + std::to_string(++said),
         {{"involvedObject",
           {{"kind", about["kind"]},
            {"name", about["metadata"]["name"]},
            {"uid", about["metadata"]["uid"]}}},
          {"message", message}});
  }
  int said = 0;
};
const Json tuning = {{"tuning",
                      {{"method", "lora"},
                       {"preset", {{"name", "m"}}},
                       {"input", {{"urls", {"http://a/b"}}}},
                       {"output", {{"image", "a/b:1"}}}}}};
std::string map_named(const std::string& name) {
  return "{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + "}}\n---\n";
}
std::string refused_named(const std::string& name) {  // its input is missing
  return "{apiVersion: kaito.sh/v1beta1, kind: Workspace, metadata: {name: " + name +
         "}, tuning: {method: lora}}\n---\n";
}
}  // namespace

TEST_CASE("apply: a folder is its files; one object that is refused does not stop the others") {
  Desk desk;
  std::filesystem::create_directory(desk.dir.path + "/all");
  desk.file("all/2.yaml", refused_named("b") + refused_named("c") + map_named("d"));
  desk.file("all/1.yml", map_named("a"));
  desk.file("all/3.json", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"e"}})");
  desk.file("all/notes.txt", "no object");
  const Status done = desk.run([&] { return apply(desk.context, {desk.dir.path + "/all"}); });
  CHECK(desk.out == "configmap/a created\nconfigmap/d created\nconfigmap/e created\n");
  CHECK(desk.err.find("error: workspace.kaito.sh/b: ") == 0);
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().what.find("workspace.kaito.sh/c: ") == 0);

  const Status removed = desk.run([&] {
    return remove(desk.context, {}, "cm", {"a", "nobody", "d"}, true);
  });
  CHECK(desk.out == "configmap/a deleted\nconfigmap/d deleted\n");
  CHECK_FALSE(removed.ok());
  CHECK(desk.run([&] {
              return remove(desk.context, {desk.file("e.yaml", map_named("e"))}, "", {}, true);
            })
            .ok());
  std::filesystem::create_directory(desk.dir.path + "/empty");
  const Status none = desk.run([&] { return apply(desk.context, {desk.dir.path + "/empty"}); });
  CHECK(none.error().what == desk.dir.path + "/empty: no *.yaml, *.yml or *.json in this folder");
}

TEST_CASE("apply: many of one kind are on their way together, and said in the file's order") {
  Desk desk;
  std::string all = "{apiVersion: v1, kind: Secret, metadata: {name: s}}\n---\n",
              said = "secret/s created\n", again = "secret/s unchanged\n";
  for (int i = 0; i < 50; ++i) {
    const std::string name = "m" + std::to_string(i);
    all += map_named(name);
    said += "configmap/" + name + (i == 7 ? " unchanged\n" : " created\n");
    again += "configmap/" + name + " unchanged\n";
  }
  desk.make(cluster::config_maps, "m7");
  const std::string file = desk.file("all.yaml", all);
  CHECK(desk.run([&] { return apply(desk.context, {file}); }).ok());
  CHECK(desk.out == said);
  CHECK(desk.run([&] { return apply(desk.context, {file}); }).ok());
  CHECK(desk.out == again);
  std::string bad;  // one that is refused between others
  for (int i = 0; i < 30; ++i) bad += refused_named("w" + std::to_string(i));
  const Status done = desk.run([&] { return apply(desk.context, {desk.file("bad.yaml", bad)}); });
  CHECK(desk.out.empty());
  CHECK(std::count(desk.err.begin(), desk.err.end(), '\n') == 29);
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().what.find("workspace.kaito.sh/w29: ") == 0);
}
TEST_CASE("apply: an answer that is no object is that object's error") {
  Desk desk;
  desk.make(cluster::config_maps, "strange");
  const std::string file = desk.file("two.yaml", map_named("strange") + map_named("plain"));
  const Status done = desk.run([&] { return apply(desk.context, {file}); });
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().what.find("configmap/strange: unexpected: ") == 0);
  CHECK(desk.out == "configmap/plain created\n");
}
TEST_CASE("delete waits for the object, not for its name") {
  Desk desk;
  desk.make(cluster::config_maps, "again", {{"metadata", {{"finalizers", {"test/hold"}}}}});
  std::thread controller([&] {  // takes the finalizer off, and makes the object anew
    const cluster::Ref ref{cluster::config_maps, "default", "again"};
    while (
        Json::parse(desk.real.get(ref).value())["metadata"].value("deletionTimestamp", "").empty())
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    desk.make(cluster::config_maps, "again");
    while (desk.real.get(ref).ok()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    desk.make(cluster::config_maps, "again");
  });
  CHECK(desk.run([&] { return remove(desk.context, {}, "cm/again", {}, true); }).ok());
  controller.join();
  CHECK(desk.real.get({cluster::config_maps, "default", "again"}).ok());
}

TEST_CASE("events and describe: by owner, not by the beginning of a name") {
  Desk desk;
  const Json pip = desk.make(cluster::workspaces, "pip", tuning);
  const Json server = desk.make(cluster::workspaces, "pip-server", {{"inference", Json::object()}});
  const Json job = desk.make(cluster::jobs, "pip", Desk::owned_by(pip));
  const Json pod = desk.make(cluster::pods, "pip-x", Desk::owned_by(job));
  const Json other = desk.make(cluster::stateful_sets, "pip-server", Desk::owned_by(server));
  desk.say(pod, "the pod of pip");
  desk.say(job, "the job of pip");
  desk.say(other, "the server's set");
  CHECK(desk.run([&] { return events(desk.context, "pip", false); }).ok());
  CHECK(desk.out.find("the pod of pip") != std::string::npos);
  CHECK(desk.out.find("the job of pip") != std::string::npos);
  CHECK(desk.out.find("the server's set") == std::string::npos);
  CHECK(desk.run([&] { return describe(desk.context, "ws", ""); }).ok());
  const std::string first = desk.out.substr(0, desk.out.find("Name:         pip-server"));
  CHECK(first.find("Name:         pip\n") == 0);
  CHECK(first.find("the pod of pip") != std::string::npos);
  CHECK(first.find("the server's set") == std::string::npos);
  CHECK(desk.out.find("the server's set") != std::string::npos);
}

TEST_CASE("describe: what a condition waits for, and a deletion") {
  const Json w = {
      {"metadata", {{"name", "pip"}}},
      {"status",
       {{"conditions",
         {{{"type", "ResourceReady"}, {"status", "True"}, {"message", "all is there"}},
          {{"type", "JobStarted"}, {"status", "False"}, {"message", "no node yet"}},
          {{"type", "WorkspaceDeleting"}, {"status", "True"}, {"message", "its Job"}}}}}}};
  const std::string said = describe(w.dump(), {}, 0);
  CHECK(said.find("  JobStarted: no node yet\n") != std::string::npos);
  CHECK(said.find("  WorkspaceDeleting: its Job\n") != std::string::npos);
  CHECK(said.find("all is there") == std::string::npos);
}

TEST_CASE("describe: an Event as the scheduler writes it, whose old times are null") {
  const Json event = Json::parse(R"({"type": "Warning", "reason": "FailedScheduling", "count": null,
    "firstTimestamp": null, "lastTimestamp": null, "eventTime": "2026-11-29T15:00:00.123456Z",
    "involvedObject": {"kind": "Pod", "name": "pip-x"}, "message": "no room", "series": null})");
  const std::int64_t now = parse_rfc3339("2026-11-29T15:00:30.123456Z");
  CHECK(describe(R"({"metadata": {"name": "pip"}})", {event.dump()}, now)
            .find("  Warning   FailedScheduling   30s   Pod    no room") != std::string::npos);
  Json again = event;
  again["series"] = {{"count", 4}, {"lastObservedTime", "2026-11-29T15:00:20.000000Z"}};
  CHECK(describe(R"({"metadata": {"name": "pip"}})", {again.dump()}, now).find("10s (x4)") !=
        std::string::npos);
  CHECK(last_seen(R"({"lastTimestamp": "2026-11-29T15:00:01Z", "eventTime": null})") ==
        "2026-11-29T15:00:01Z");
}

TEST_CASE("logs: why there is none; a container that was started again begins anew") {
  Desk desk;
  const auto logs_of = [&](const std::string& name, bool is_followed) {
    return desk.run([&] { return logs(desk.context, name, "", is_followed); });
  };
  CHECK(logs_of("nobody", false).error().what ==
        "no workspace and no pod \"nobody\" in namespace default");
  desk.make(cluster::workspaces, "pip", tuning);
  desk.make(cluster::workspaces, "pip",
            {{"status",
              {{"state", "Pending"},
               {"conditions", Json::array({{{"type", "JobStarted"},
                                            {"status", "False"},
                                            {"reason", "DependencyNotFound"},
                                            {"message", "ConfigMap 'x' not found"}}})}}}},
            "status");
  CHECK(logs_of("pip", false).error().what ==
        "workspace pip has no pod yet, so no log: Pending, DependencyNotFound: ConfigMap 'x' not "
        "found");
  Json pod = {{"metadata", {{"labels", {{"kaito.sh/workspace", "pip"}}}}},
              {"spec", {{"containers", Json::array({{{"name", "main"}}})}}}};
  desk.make(cluster::pods, "pip-0", pod);
  const auto is_at = [&](const char* phase, int restarts) {
    desk.make(
        cluster::pods, "pip-0",
        {{"status",
          {{"phase", phase},
           {"containerStatuses", Json::array({{{"name", "main"}, {"restartCount", restarts}}})}}}},
        "status");
  };
  desk.logged = "a long first attempt\n";
  is_at("Running", 0);
  std::thread life([&] {
    while (desk.log_reads < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    {
      const std::lock_guard lock(desk.mutex);
      desk.logged = "second\n";  // shorter than what was read of the first
    }
    is_at("Succeeded", 1);
  });
  CHECK(logs_of("pip", true).ok());
  life.join();
  CHECK(desk.out == "a long first attempt\nsecond\n");
}

TEST_CASE("logs: the pod that follows is followed, to the end of the Workspace") {
  Desk desk;
  const auto state_is = [&](const char* state) {
    desk.make(cluster::workspaces, "pip", {{"status", {{"state", state}}}}, "status");
  };
  const auto pod_is = [&](const std::string& name, const char* phase) {
    desk.make(cluster::pods, name, {{"status", {{"phase", phase}}}}, "status");
  };
  const auto make_pod = [&](const std::string& name) {
    desk.make(cluster::pods, name,
              {{"metadata", {{"labels", {{"kaito.sh/workspace", "pip"}}}}},
               {"spec", {{"containers", Json::array({{{"name", "main"}}})}}}});
  };
  desk.make(cluster::workspaces, "pip", tuning);
  state_is("Running");
  make_pod("pip-0");
  pod_is("pip-0", "Failed");
  desk.logged = "first\n";
  std::thread life([&] {
    while (desk.log_reads < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    make_pod("pip-1");
    pod_is("pip-1", "Pending");  // it has no log yet
    const int reads = desk.log_reads;
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    CHECK(desk.log_reads == reads);
    {
      const std::lock_guard lock(desk.mutex);
      desk.logged = "second\n";
    }
    pod_is("pip-1", "Failed");
    while (desk.log_reads < reads + 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    state_is("Failed");
  });
  CHECK(desk.run([&] { return logs(desk.context, "pip", "", true); }).ok());
  life.join();
  CHECK(desk.out == "first\nsecond\n");
  CHECK(desk.err == "pod pip-0 has ended; pod pip-1 goes on\n");
  desk.logged = "first\n";  // a pod's own name means this pod
  CHECK(desk.run([&] { return logs(desk.context, "pip-0", "", true); }).ok());
  CHECK(desk.out == "first\n");
}

TEST_CASE("chat: which Workspace does not answer, and why") {
  Desk desk;
  ChatOptions options;
  options.prompt = "hi";
  const auto said = [&](const std::string& name) {
    options.workspace = name;
    return desk.run([&] { return chat(desk.context, options); }).error().what;
  };
  CHECK(said("nobody").find("\"nobody\" not found") != std::string::npos);
  desk.make(cluster::workspaces, "pip", tuning);
  CHECK(said("pip") ==
        "workspace pip tunes a model and serves none; chat with an inference Workspace that uses "
        "its adapter (docs/serving.md)");
  desk.make(cluster::workspaces, "server", {{"inference", Json::object()}});
  desk.make(cluster::workspaces, "server",
            {{"status",
              {{"conditions", Json::array({{{"type", "ResourceReady"},
                                            {"status", "False"},
                                            {"reason", "InsufficientMemory"},
                                            {"message", "no room"}}})}}}},
            "status");
  CHECK(said("server") ==
        "workspace server is not ready: InsufficientMemory: no room; `kairo wait server` waits for "
        "it");
}

TEST_CASE("explain: the definition's words, and what is not there") {
  Desk desk;
  const auto said = [&](const std::string& path) {
    const Status status = desk.run([&] { return explain(path); });
    return status.ok() ? desk.out : status.error().what;
  };
  CHECK(said("wk.tuning.method") ==
        "FIELD: workspace.tuning.method  <string>\n\n"
        "  lora (16 or 32 bit base) or qlora (4 bit NF4 base).\n");
  CHECK(said("workspace.inference.adapters.source") ==
        "FIELD: workspace.inference.adapters.source  <Object>\n\nFIELDS:\n"
        "  name\t<string>\n      The model name that clients ask for.\n"
        "  urls\t<[]string>\n"
        "  volumeSource\t<Object>\n      A volume that holds the files.\n"
        "  image\t<string>\n      An OCI image that holds the files under /data.\n"
        "  imagePullSecrets\t<[]string>\n");
  CHECK(said("").find("  terminationGracePeriodSeconds\t<integer>\n") != std::string::npos);
  CHECK(said("workspace.tunin.x") ==
        "no field \"workspace.tunin\"; `kairo explain workspace` names those there are");
  CHECK(said("workspace.tuning.method.x") ==
        "no field \"workspace.tuning.method.x\"; `kairo explain workspace.tuning.method` names "
        "those there are");
  CHECK(said("pod") == "no kind \"pod\"; start with `kairo explain workspace`");
}
