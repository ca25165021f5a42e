// agents/gateway/job_objects.h - a job as Kubernetes objects: the tuning Workspace is the job, the
// ConfigMap its settings; and the inference Workspace that serves its result. Pure.
//
// A job's Workspace has the job's id as its name, the label kairo.dev/openai=job, and as
// annotations kairo.dev/openai-... what the API is told and answers: `kubectl get` shows them, and
// a gateway that has lost its folder answers the same. A job that has no Workspace any more
// (cancelled), or never had one (its file is refused), is the ConfigMap of the job's name with
// kairo.dev/openai-ended and the last that was known of it.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/gateway/job_request.h"

namespace kairo::gateway {
inline const char* const label = "kairo.dev/openai";
inline const char* const manager = "kairo-gateway";
struct Place {  // where jobs are made and their results go
  std::string ns = "default";
  std::string registry, registry_secret;  // "localhost:5000/openai", its Secret
  std::string instance_type;              // "" = a node with the label below
};
struct NewJob {
  std::string id;  // "ftjob-..."
  JobRequest request;
  Resolved settings;
  std::int64_t seed = 0, made_ms = 0;
  std::string data_url;        // of the rows; it may hold a token
  std::string validation_url;  // likewise, ending in /validation.jsonl?...; "" = none
  std::string request_digest, owner;
};
// ftjob-..., 24 characters of a-z and 0-9 behind it: a name that Kubernetes takes.
bool is_job_id(const std::string& id);
std::string job_image(const Place& place, const std::string& job_id);
cluster::Apply job_workspace(const Place& place, const NewJob& job);
cluster::Apply job_settings(const Place& place, const NewJob& job);
// Of a job that has ended without, or before, its Workspace: what the API answers.
cluster::Apply ended_job(const Place& place, const NewJob& job, const Json& answer,
                         const Json& events);

// The Workspace that serves `preset` with these jobs' adapters: they are loaded as their tunings
// succeed (kairo.dev/adapters-from), or, by_image, by a server that is made with them.
std::string server_name(const std::string& preset);
cluster::Apply server_workspace(const Place& place, const std::string& preset,
                                const std::vector<std::string>& job_ids, bool by_image = false);
std::string adapter_name(const std::string& job_id);  // in the server
}  // namespace kairo::gateway
