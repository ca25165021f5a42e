// agents/gateway/jobs_api.h - /v1/fine_tuning/jobs and what hangs on a job: events, checkpoints,
// result file. The truth is the cluster's: nothing of a job is kept here.
#pragma once
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/gateway/file_store.h"
#include "agents/gateway/job_objects.h"
#include "agents/gateway/seen.h"
#include "schemas/base/clock.h"

namespace kairo::gateway {
struct JobRules {
  Place place;
  std::string self_url;        // by which a pod's fetch reaches this gateway
  std::int64_t jobs_max = 16;  // of one key, that have not ended
};
class JobsApi {  // thread-safe
 public:
  JobsApi(cluster::Cluster& cluster, FileStore& files, const Seen& seen, const Clock& clock,
          JobRules rules)
      : cluster_(cluster), files_(files), seen_(seen), clock_(clock), rules_(std::move(rules)) {}
  // The SDKs send no idempotency key: a body that comes again as a retry within ten minutes, with
  // the same API key, is answered with the job that it made the first time.
  Answer<Json> create(const Json& body, const std::string& owner, bool is_retry);
  Answer<Json> list(const Query& query);
  Answer<Json> get(const std::string& id);
  Answer<Json> cancel(const std::string& id);
  // A paused job writes its checkpoint and gives its GPU's memory back; it keeps its node.
  Answer<Json> pause(const std::string& id, bool is_paused);
  Answer<Json> events(const std::string& id, const Query& query);
  Answer<Json> checkpoints(const std::string& id, const Query& query);
  Answer<Json> delete_model(const std::string& model);
  // Result files: of jobs that have succeeded, newest first; the CSV of one.
  Answer<std::vector<Json>> result_files();
  Answer<std::string> result(const std::string& file_id);
  // Finishes what a kill -9 has cut: Workspaces of jobs that are ended, settings without a job.
  void sweep();

 private:
  struct Job {  // of a Workspace, or one that has ended without it
    Json json;
    std::vector<Json> events, checkpoints;
    std::vector<Point> points;
  };
  struct Entry {
    std::string id, request_digest, owner;
    std::int64_t made_ms = 0;
    bool is_active = false;
    Json metadata;
  };
  Answer<Job> find(const std::string& id);
  Answer<std::vector<Entry>> entries();  // newest first
  // A file of purpose fine-tune that `field` of a request names.
  Answer<StoredFile> file_of(const char* field, const std::string& id);
  std::string url_of(const StoredFile& file, const char* name) const;
  Answer<Json> start(const NewJob& job, const StoredFile& file,
                     const std::optional<StoredFile>& validation);
  cluster::Cluster& cluster_;
  FileStore& files_;
  const Seen& seen_;
  const Clock& clock_;
  const JobRules rules_;
  std::mutex creating_;
};
// A request's digest: two of the same key and body are one.
std::string request_digest(const std::string& owner, const Json& body);
}  // namespace kairo::gateway
