// What this proves: mount paths are rewritten at their boundaries only, quantities are read as
// Kubernetes reads them, pods fit or say why not, statuses follow from what the processes do.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "agents/local/node/cgroup.h"
#include "agents/local/node/pod_plan.h"
#include "agents/local/node/pod_status.h"
#include "agents/local/node/schedule.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace kairo::cluster;

TEST_CASE("mount paths") {
  const Paths paths{{"/mnt/data/deep", "/host/deep"}, {"/mnt/data", "/host/data"}, {"/m", "/x"}};
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", ""},
      {"/mnt/data", "/host/data"},
      {"/mnt/data/", "/host/data/"},
      {"/mnt/data/a/b", "/host/data/a/b"},
      {"/mnt/data/deep/a", "/host/deep/a"},
      {"/mnt/data/deeper", "/host/data/deeper"},
      {"/mnt/database", "/mnt/database"},
      {"/mnt/data.json", "/mnt/data.json"},
      {"/other/mnt/data", "/other/mnt/data"},
      {"--data=/mnt/data", "--data=/host/data"},
      {"name=/mnt/data/x:0.5", "name=/host/data/x:0.5"},
      {"/mnt/data:/mnt/data/deep", "/host/data:/host/deep"},
      {"cat '/mnt/data' \"/m\"", "cat '/host/data' \"/x\""},
      {"//mnt/data", "//mnt/data"},
      {"file:///mnt/data", "file:///mnt/data"},
      {"mnt/data", "mnt/data"},
  };
  for (const auto& [text_in, want] : rows) {
    CAPTURE(text_in);
    CHECK(rewritten(text_in, paths) == want);
  }
}

TEST_CASE("quantities") {
  struct Row {
    Json value;
    std::int64_t scale, want;
  };
  for (const Row& row : std::vector<Row>{{"1", 1000, 1000},
                                         {"500m", 1000, 500},
                                         {"0.1", 1000, 100},
                                         {2, 1000, 2000},
                                         {"1Gi", 1, 1 << 30},
                                         {"1500k", 1, 1'500'000},
                                         {"1e3", 1, 1000},
                                         {"0", 1, 0},
                                         {"", 1, -1},
                                         {"-1", 1, -1},
                                         {"1x", 1, -1},
                                         {"1e300", 1, -1},
                                         {nullptr, 1, -1}}) {
    CAPTURE(row.value.dump());
    CHECK(quantity(row.value, row.scale) == row.want);
  }
}

TEST_CASE("does a pod fit") {
  const Json node = Json::parse(R"({"metadata":{"labels":{"kubernetes.io/hostname":"n"}},
    "status":{"allocatable":{"cpu":"4","memory":"8Gi","nvidia.com/gpu":"2"}}})");
  const auto pod = [](const std::string& name, const std::string& requests,
                      const std::string& phase = "Running") {
    Json out = Json::parse(R"({"metadata":{"namespace":"d"},"spec":{"nodeName":"n"}})");
    out["metadata"]["name"] = name;
    out["status"]["phase"] = phase;
    out["spec"]["containers"] =
        Json::array({{{"name", "c"}, {"resources", {{"requests", Json::parse(requests)}}}}});
    return out;
  };
  const std::string head = "0/1 nodes are available: ";
  struct Row {
    std::string name, requests;
    std::vector<Json> others;
    std::string why;
  };
  const Json big = pod("big", R"({"cpu":"3","nvidia.com/gpu":"1"})");
  for (const Row& row : std::vector<Row>{
           {"nothing asked", "{}", {big}, ""},
           {"exactly", R"({"cpu":"1"})", {big}, ""},
           {"one more", R"({"cpu":"1001m"})", {big}, head + "1 Insufficient cpu (held by d/big)."},
           {"an ended one holds nothing",
            R"({"cpu":"4"})",
            {pod("x", R"({"cpu":"4"})", "Failed")},
            ""},
           {"too big for the node", R"({"memory":"9Gi"})", {}, head + "1 Insufficient memory."},
           {"two lacks",
            R"({"cpu":"2","nvidia.com/gpu":"2"})",
            {big},
            head + "1 Insufficient cpu, 1 Insufficient nvidia.com/gpu (held by d/big)."}}) {
    CAPTURE(row.name);
    CHECK(why_not(node, row.others, pod("new", row.requests)) == row.why);
  }
  Json elsewhere = pod("new", "{}");
  elsewhere["spec"]["nodeSelector"] = {{"zone", "x"}};
  CHECK(why_not(node, {}, elsewhere) ==
        head + "1 node(s) didn't match Pod's node affinity/selector.");
  Json holder = big;
  holder["metadata"]["annotations"] = {{"kairo.dev/gpus", "0"}};
  CHECK(free_gpus(node, {holder}, pod("new", R"({"nvidia.com/gpu":"1"})")) == "1");
  CHECK(free_gpus(node, {}, pod("new", R"({"nvidia.com/gpu":"2"})")) == "0,1");
  CHECK(free_gpus(node, {}, pod("new", "{}")).empty());
}

TEST_CASE("phases") {
  const auto view = [](ProcessState::Phase phase, int code = 0, bool is_restarting = false) {
    ContainerView out;
    out.name = "c";
    out.process.phase = phase;
    out.process.exit_code = code;
    out.is_restarting = is_restarting;
    return out;
  };
  using enum ProcessState::Phase;
  struct Row {
    std::string name;
    PodView view;
    std::string phase;
  };
  ContainerView refused = view(absent);
  refused.is_refused = true;
  for (const Row& row : std::vector<Row>{
           {"nothing yet", {{}, {view(absent)}}, "Pending"},
           {"preparing", {{view(running)}, {view(absent)}}, "Pending"},
           {"preparation failed", {{view(exited, 1)}, {view(absent)}}, "Failed"},
           {"preparation is repeated", {{view(exited, 1, true)}, {view(absent)}}, "Pending"},
           {"running", {{view(exited)}, {view(running)}}, "Running"},
           {"one of two ended", {{}, {view(exited, 1), view(running)}}, "Running"},
           {"all ended well", {{}, {view(exited), view(exited)}}, "Succeeded"},
           {"one ended badly", {{}, {view(exited), view(exited, 3)}}, "Failed"},
           {"restarting", {{}, {view(exited, 3, true)}}, "Running"},
           {"refused", {{}, {refused}}, "Failed"}}) {
    CAPTURE(row.name);
    const Json status = pod_status(Json::object(), row.view, 1'764'000'000'000);
    CHECK(status["phase"] == row.phase);
    const Json pod = {{"status", status}};
    CHECK(pod_status(pod, row.view, 1'764'000'009'000) == status);  // no clock in a settled status
  }
  ContainerView lost = view(exited, 137);
  lost.process.is_lost = true;
  const Json disrupted = pod_status(Json::object(), {{}, {lost}}, 1'764'000'000'000);
  CHECK(disrupted["phase"] == "Failed");
  CHECK(disrupted["conditions"].back()["type"] == "DisruptionTarget");
  CHECK(disrupted["conditions"].back()["status"] == "True");
  lost.is_restarting = true;
  CHECK(pod_status(Json::object(), {{}, {lost}}, 1)["conditions"].back()["type"] == "Ready");
  CHECK(is_restarted("", false, 0));
  CHECK_FALSE(is_restarted("", true, 0));
  CHECK(is_restarted("OnFailure", false, 1));
  CHECK_FALSE(is_restarted("OnFailure", false, 0));
  CHECK_FALSE(is_restarted("Never", false, 1));
}

TEST_CASE("a process whose waiting parent is gone is lost, not failed") {
  const test::TempDir dir;
  std::ofstream(dir.path + "/lock") << "";  // made by the parent, and held by nobody any more
  const ProcessState lost = look_at(dir.path);
  CHECK(lost.phase == ProcessState::Phase::exited);
  CHECK(lost.is_lost);
  CHECK(lost.exit_code == 137);
  std::ofstream(dir.path + "/exit") << "137\n";
  CHECK_FALSE(look_at(dir.path).is_lost);
}

TEST_CASE("what our control group allows us") {
  struct Row {
    std::string name;
    std::vector<std::pair<std::string, std::string>> files;  // below the root
    std::string self;
    std::int64_t memory, cpu_milli;
  };
  const Row rows[] = {
      {"no control groups", {}, "", 0, 0},
      {"v2, no limit",
       {{"cgroup.controllers", "cpu memory"}, {"a/memory.max", "max"}, {"a/cpu.max", "max 100000"}},
       "0::/a\n",
       0,
       0},
      {"v2, the least of a group and those around it",
       {{"cgroup.controllers", "cpu memory"},
        {"a/memory.max", "4000"},
        {"a/b/memory.max", "9000"},
        {"a/cpu.max", "max 100000"},
        {"a/b/cpu.max", "150000 100000"}},
       "0::/a/b\n",
       4000,
       1500},
      {"v2, in a container that sees its group as the root",
       {{"cgroup.controllers", "cpu memory"}, {"memory.max", "5000"}, {"cpu.max", "50000 100000"}},
       "0::/not/here\n",
       5000,
       500},
      {"v1",
       {{"memory/d/memory.limit_in_bytes", "6000"},
        {"cpu/d/cpu.cfs_quota_us", "200000"},
        {"cpu/d/cpu.cfs_period_us", "100000"}},
       "5:memory:/d\n4:cpu,cpuacct:/d\n",
       6000,
       2000},
      {"v1, no quota",
       {{"cpu/d/cpu.cfs_quota_us", "-1"}, {"cpu/d/cpu.cfs_period_us", "100000"}},
       "4:cpu,cpuacct:/d\n",
       0,
       0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempDir dir;
    for (const auto& [name, text_in] : row.files) {
      const std::filesystem::path file = dir.path + "/root/" + name;
      std::filesystem::create_directories(file.parent_path());
      std::ofstream(file) << text_in << "\n";
    }
    std::ofstream(dir.path + "/self") << row.self;
    const Limits limits = own_limits(dir.path + "/root", dir.path + "/self");
    CHECK(limits.memory_bytes == row.memory);
    CHECK(limits.cpu_milli == row.cpu_milli);
  }
}
