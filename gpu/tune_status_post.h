// gpu/tune_status_post.h - where a training stands, told to Kubeflow Trainer, when that runs it.
//
// The contract is KEP-2779's (Kubeflow Trainer 2.2 and later, feature gate TrainJobStatus): three
// variables name an HTTPS URL, the file of its authority's certificates and the file of a token,
// which is exchanged now and then; a POST replaces status.trainerStatus of the TrainJob.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "schemas/base/clock.h"
#include "schemas/base/result.h"
#include "schemas/run_generated.h"

namespace kairo::gpu {
// The body of the POST; "" = the line tells nothing of the training (pure).
std::string trainer_status_json(const wire::ProgressT& line);

// Posts the newest line at most every five seconds, and the last one before it goes. Whatever comes
// of it never holds the training: it has a thread of its own, and failures are a log line.
class StatusPost {
 public:
  using Post = std::function<Status(const std::string& body)>;
  explicit StatusPost(Post post, std::int64_t apart_ms = 5'000);
  ~StatusPost();  // waits for the last post: seconds at most
  StatusPost(const StatusPost&) = delete;
  StatusPost& operator=(const StatusPost&) = delete;
  void take(const wire::ProgressT& line);

 private:
  void work();
  void send(const std::string& body);
  const Post post_;
  const std::int64_t apart_ms_;
  bool has_failed_ = false;  // the last time; of the thread
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> next_;  // guarded
  bool is_over_ = false;             // guarded
  std::thread thread_;
};
// Where the three variables are set; null: where they are not. One that cannot be used is logged.
std::unique_ptr<StatusPost> status_post_of(
    const std::function<std::string(const char* name)>& variable);
}  // namespace kairo::gpu
