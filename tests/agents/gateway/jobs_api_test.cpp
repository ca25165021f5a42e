// What this proves: jobs are the cluster's objects alone: another gateway answers the same; a retry
// joins; a create or a cancel that kill -9 has cut is made good.
#include "agents/gateway/jobs_api.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace kairo::gateway;
namespace {
struct Office {
  explicit Office(std::int64_t jobs_max = 16)
      : rules{{"default", "localhost:5000/openai", "its-secret", ""},
              "http://127.0.0.1:1",
              jobs_max} {}
  ~Office() { std::filesystem::remove_all(folder); }
  std::string file(int rows, const std::string& purpose = "fine-tune") {
    Draft draft = files->begin().value();
    for (int i = 0; i < rows; ++i)
      CHECK(draft.append("{\"prompt\": \"p\", \"completion\": \"c\"}\n").ok());
    StoredFile about;
    about.purpose = purpose;
    return files->keep(std::move(draft), about).value().id;
  }
  static Json body(const std::string& file_id) {
    return {{"model", "smollm2-135m-instruct"}, {"training_file", file_id}};
  }
  std::size_t count(const cluster::Kind& kind) {
    return cluster.list({kind, "default", ""}).value().items.size();
  }
  void look() {  // until it has listed
    std::atomic<bool> stop{false};
    std::thread follower([&] { seen.follow(stop); });
    while (!seen.has_listed()) std::this_thread::yield();
    stop = true;
    follower.join();
  }
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("kairo-jobs-" + random_word(12))).string();
  kairo::test::FakeClock clock;
  cluster::MemoryCluster cluster{clock, "seed"};
  std::unique_ptr<FileStore> files = FileStore::open(folder, clock).value();
  Seen seen{cluster, "default", "", folder};
  const JobRules rules;
  JobsApi jobs{cluster, *files, seen, clock, rules};
};
std::string id_of_job(const Answer<Json>& job) {
  if (!job.ok()) MESSAGE(job.error().message);
  return job.value()["id"].get<std::string>();
}
}  // namespace

TEST_CASE("a job is a Workspace and its settings; another gateway knows it") {
  Office o;
  const std::string file = o.file(10);
  const std::string job = id_of_job(o.jobs.create(Office::body(file), "alice", false));
  CHECK(o.count(cluster::workspaces) == 1);
  CHECK(o.count(cluster::config_maps) == 1);
  const Json workspace = Json::parse(o.cluster.get({cluster::workspaces, "default", job}).value());
  CHECK(workspace["tuning"]["input"]["urls"][0] ==
        "http://127.0.0.1:1/v1/files/" + file + "/rows.jsonl?token=" + o.files->find(file)->token);
  JobsApi other(o.cluster, *o.files, o.seen, o.clock, o.rules);
  CHECK(other.get(job).value() == o.jobs.get(job).value());
  CHECK(other.list({}).value()["data"][0]["id"] == job);
}
TEST_CASE("a validation file is looked at as the training file is") {
  Office o;
  Json body = Office::body(o.file(10));
  body["validation_file"] = o.file(1);
  const std::string job = id_of_job(o.jobs.create(body, "alice", false));
  CHECK(o.jobs.get(job).value()["validation_file"] == body["validation_file"]);
  body["validation_file"] = "file-none";
  CHECK(o.jobs.create(body, "alice", false).error().message ==
        "validation_file file-none does not exist; upload it first");
  body["validation_file"] = o.file(1, "assistants");
  CHECK(o.jobs.create(body, "alice", false).error().param == "validation_file");
  body["validation_file"] = o.file(0);
  const std::string failed = id_of_job(o.jobs.create(body, "alice", false));
  CHECK(o.jobs.get(failed).value()["error"]["param"] == "validation_file");
  CHECK(o.jobs.get(failed).value()["error"]["code"] == "invalid_n_examples");
}
TEST_CASE("a job is paused by its Workspace's annotation, and resumed") {
  Office o;
  const std::string job = id_of_job(o.jobs.create(Office::body(o.file(10)), "alice", false));
  const auto note = [&] {
    const Json w = Json::parse(o.cluster.get({cluster::workspaces, "default", job}).value());
    return w["metadata"]["annotations"].value("kairo.dev/paused", "none");
  };
  CHECK(o.jobs.pause(job, true).value()["status"] == "paused");
  CHECK(note() == "true");
  CHECK(o.jobs.get(job).value()["status"] == "paused");
  CHECK(o.jobs.pause(job, false).value()["status"] == "queued");
  CHECK(note() == "none");
  REQUIRE(o.jobs.cancel(job).ok());
  CHECK(o.jobs.pause(job, true).error().message ==
        "job " + job + " is cancelled already: it cannot be paused");
  CHECK(o.jobs.pause("ftjob-none", true).error().status == 404);
}
TEST_CASE("a retried create is the first one's job") {
  Office o;
  const Json body = Office::body(o.file(10));
  const std::string first = id_of_job(o.jobs.create(body, "alice", false));
  CHECK(id_of_job(o.jobs.create(body, "alice", true)) == first);
  JobsApi after_kill(o.cluster, *o.files, o.seen, o.clock, o.rules);
  CHECK(id_of_job(after_kill.create(body, "alice", true)) == first);
  CHECK(id_of_job(o.jobs.create(body, "bob", true)) != first);     // another key
  CHECK(id_of_job(o.jobs.create(body, "alice", false)) != first);  // wished for anew
  o.clock.advance(11 * 60'000);
  CHECK(o.count(cluster::workspaces) == 3);
  CHECK(id_of_job(o.jobs.create(body, "alice", true)) != first);  // too late for a retry
  CHECK(o.count(cluster::workspaces) == 4);
}
TEST_CASE("a file that cannot train makes a failed job and no Workspace") {
  Office o;
  const Json body = Office::body(o.file(9));
  const auto made = o.jobs.create(body, "", false);
  CHECK(made.value()["status"] == "validating_files");
  const std::string job = id_of_job(made);
  CHECK(o.count(cluster::workspaces) == 0);
  const Json failed = o.jobs.get(job).value();
  CHECK(failed["status"] == "failed");
  CHECK(failed["error"]["code"] == "invalid_n_examples");
  CHECK(o.jobs.events(job, {}).value()["data"][0]["level"] == "error");
  CHECK(id_of_job(o.jobs.create(body, "", true)) == job);
  CHECK(o.jobs.cancel(job).error().message ==
        "job " + job + " is failed already: it cannot be cancelled");
}
TEST_CASE("what a create refuses") {
  Office o(1);
  CHECK(o.jobs.create(Office::body("file-no"), "", false).error().param == "training_file");
  CHECK(o.jobs.create(Office::body(o.file(10, "user_data")), "", false).error().param ==
        "training_file");
  const Json body = Office::body(o.file(10));
  CHECK(o.jobs.create(body, "alice", false).ok());
  CHECK(o.jobs.create(body, "alice", false).error().status == 429);
  CHECK(o.jobs.create(body, "bob", false).ok());
}
TEST_CASE("a cancelled job is kept without its Workspace") {
  Office o;
  Json body = Office::body(o.file(10));
  body["metadata"] = {{"k", "v"}};
  const std::string job = id_of_job(o.jobs.create(body, "alice", false));
  CHECK(o.jobs.cancel(job).value()["status"] == "cancelled");
  CHECK(o.count(cluster::workspaces) == 0);
  CHECK(o.jobs.get(job).value()["status"] == "cancelled");
  CHECK(o.jobs.cancel(job).value()["status"] == "cancelled");
  CHECK(o.jobs.list({{"metadata[k]", "v"}}).value()["data"].size() == 1);
  CHECK(o.jobs.list({{"metadata[k]", "w"}}).value()["data"].empty());
  CHECK(o.jobs.list({{"metadata", "null"}}).value()["data"].empty());
  CHECK(o.jobs.get("ftjob-aaaaaaaaaaaaaaaaaaaaaaaa").error().code == "fine_tune_not_found");
}
TEST_CASE("what kill -9 has cut is swept") {
  Office o;
  const std::string cut = id_of_job(o.jobs.create(Office::body(o.file(10)), "", false));
  const std::string left = id_of_job(o.jobs.create(Office::body(o.file(10)), "", false));
  const std::string good = id_of_job(o.jobs.create(Office::body(o.file(10)), "", false));
  NewJob known;  // the cancel was noted, its Workspace is still there
  known.id = cut;
  CHECK(o.cluster
            .apply(ended_job(o.rules.place, known, {{"id", cut}, {"status", "cancelled"}},
                             Json::array()))
            .ok());
  CHECK(o.cluster.remove({cluster::workspaces, "default", left}, "").ok());  // settings alone
  o.look();
  o.jobs.sweep();
  CHECK_FALSE(o.cluster.get({cluster::workspaces, "default", cut}).ok());
  CHECK(o.cluster.get({cluster::config_maps, "default", left}).ok());  // a create may go on
  o.clock.advance(11 * 60'000);
  o.jobs.sweep();
  CHECK_FALSE(o.cluster.get({cluster::config_maps, "default", left}).ok());
  CHECK(o.cluster.get({cluster::config_maps, "default", good}).ok());
  CHECK(o.cluster.get({cluster::workspaces, "default", good}).ok());
}
