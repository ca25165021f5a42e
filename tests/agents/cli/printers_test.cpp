// What this proves: tables, ages and the words after a verb are kubectl's.
#include "agents/cli/printers.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "agents/cli/resource_words.h"
#include "agents/cluster/kinds.h"

using namespace kairo;
using namespace kairo::cli;
namespace {
constexpr std::int64_t now_ms = 1'764'000'100'000;  // 100 s after 2025-11-24T16:00:00Z
const std::string workspace = R"({"metadata":{"name":"pip","namespace":"default",
  "creationTimestamp":"2025-11-24T16:00:00Z"},"resource":{"instanceType":"Standard_NC24ads_A100_v4"},
  "status":{"state":"Running","targetNodeCount":1,"conditions":[
    {"type":"ResourceReady","status":"True"},{"type":"JobStarted","status":"True"},
    {"type":"WorkspaceSucceeded","status":"False"}],
  "tuning":{"phase":"Training","step":7,"totalSteps":36,"loss":2.087,"tokensPerSecond":262.0,
    "etaSeconds":53},
  "artifact":{"digest":"sha256:93c1b1d98b30c513872623b88336e2f8"}}})";
std::string words(const Result<std::vector<Named>>& named) {
  if (!named.ok()) return "error: " + named.error().what;
  std::string out;
  for (const Named& n : named.value())
    out += (out.empty() ? "" : " ") + n.kind.plural + (n.name.empty() ? "" : "/" + n.name);
  return out;
}
}  // namespace

TEST_CASE("a Workspace's rows") {
  CHECK(table({header_of(cluster::workspaces, false, false),
               row_of(cluster::workspaces, workspace, false, false, now_ms)}) ==
        "NAME   INSTANCE                   RESOURCEREADY   INFERENCEREADY   JOBSTARTED   "
        "WORKSPACESUCCEEDED   TARGETNODECOUNT   STATE     AGE\n"
        "pip    Standard_NC24ads_A100_v4   True                             True         False     "
        "           1                 Running   100s\n");
  CHECK(row_of(cluster::workspaces, workspace, true, true, now_ms) ==
        Row{"default", "pip", "Standard_NC24ads_A100_v4", "True", "", "True", "False", "1",
            "Running", "Training", "7/36", "2.087", "sha256:93c1b1d98b30", "100s"});
}

TEST_CASE("pods: kubectl's states") {
  struct Row_ {
    std::string name, status, ready, state, restarts;
  };
  const Row_ rows[] = {
      {"waits", R"({"phase":"Pending"})", "0/1", "Pending", "0"},
      {"downloads", R"({"phase":"Pending","initContainerStatuses":[{"state":{"running":{}}}],
        "containerStatuses":[{"state":{"waiting":{"reason":"PodInitializing"}}}]})",
       "0/1", "Init:0/1", "0"},
      {"download failed", R"({"phase":"Failed","initContainerStatuses":[{"state":{"terminated":
        {"exitCode":2,"reason":"Error"}}}]})",
       "0/1", "Init:Error", "0"},
      {"runs", R"({"phase":"Running","containerStatuses":[{"ready":true,"restartCount":3,
        "state":{"running":{}}}]})",
       "1/1", "Running", "3"},
      {"killed", R"({"phase":"Failed","containerStatuses":[{"state":{"terminated":
        {"exitCode":137,"reason":"OOMKilled"}}}]})",
       "0/1", "OOMKilled", "0"},
  };
  for (const Row_& row : rows) {
    CAPTURE(row.name);
    CHECK(row_of(
              cluster::pods,
              R"({"metadata":{"name":"p"},"spec":{"containers":[{}]},"status":)" + row.status + "}",
              false, false, now_ms) == Row{"p", row.ready, row.state, row.restarts, ""});
  }
}

TEST_CASE("ages as kubectl writes them") {
  CHECK(age(0) == "0s");
  CHECK(age(119'000) == "119s");
  CHECK(age(192'000) == "3m12s");
  CHECK(age(5 * 3600'000) == "5h");
  CHECK(age(50 * 3600'000LL) == "2d2h");
  CHECK(age(5 * 3600'000 + 30 * 60'000) == "5h30m");
  CHECK(age(30 * 3600'000LL) == "30h");
  CHECK(age(30 * 24 * 3600'000LL) == "30d");
  CHECK(age(800 * 24 * 3600'000LL) == "2y70d");
  CHECK(age(-5) == "0s");
}

TEST_CASE("a running tuning in one line") {
  CHECK(progress_line(workspace, 0) == "Training 7/36  loss 2.087  262.0 tok/s  ETA 53s");
  std::string evaluated = workspace;
  evaluated.insert(evaluated.find("\"etaSeconds\""),
                   R"("evalStep":6,"evalLoss":2.3,"bestStep":3,"bestEvalLoss":2.25,)");
  CHECK(progress_line(evaluated, 0) ==
        "Training 7/36  loss 2.087  262.0 tok/s  eval loss 2.3 (best 2.25 at step 3)  ETA 53s");
}

TEST_CASE("words after a verb") {
  CHECK(words(resources_named("wk", {})) == "workspaces");
  CHECK(words(resources_named("Workspaces.kaito.sh", {"a", "b"})) == "workspaces/a workspaces/b");
  CHECK(words(resources_named("workspace/a", {})) == "workspaces/a");
  CHECK(words(resources_named("ws/a", {})) == "workspaces/a");
  CHECK(words(resources_named("po,svc", {})) == "pods services");
  CHECK(words(resources_named("all", {})) == "workspaces jobs statefulsets pods services");
  CHECK(words(resources_named("workspace/a", {"b"})) ==
        "error: \"workspace/a\" has its name with it; leave out \"b\"");
  CHECK(words(resources_named("", {})).starts_with("error: name what is meant, e.g. "));
  CHECK(words(resources_named("cars", {}))
            .starts_with("error: the server doesn't have a resource type \"cars\"; there are: "
                         "workspaces, jobs, "));
}

TEST_CASE("objects of a wrong form are printed, not died of") {
  for (const std::string object : {"", "[]", "5", "{}", R"({"metadata":5,"status":[]})"}) {
    CAPTURE(object);
    for (const cluster::Kind& kind : cluster::all_kinds)
      CHECK(row_of(kind, object, true, true, now_ms).size() > 0);
  }
}
