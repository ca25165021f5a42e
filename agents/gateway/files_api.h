// agents/gateway/files_api.h - /v1/files and /v1/uploads.
#pragma once
#include <string>

#include "agents/gateway/answer.h"
#include "agents/gateway/file_store.h"
#include "agents/gateway/jobs_api.h"

namespace kairo::gateway {
class FilesApi {  // thread-safe
 public:
  FilesApi(FileStore& files, JobsApi& jobs, const Clock& clock, std::uint64_t bytes_max)
      : files_(files), jobs_(jobs), clock_(clock), bytes_max_(bytes_max) {}
  Answer<Json> create(const Request& request);
  Answer<Json> list(const Query& query);
  Answer<Json> get(const std::string& id);
  Answer<Json> remove(const std::string& id);
  Reply content(const std::string& id, const Request& request);
  // For the fetch of a training's init container, which has no key: the token in the URL counts.
  Reply rows(const std::string& id, const Query& query);

  Answer<Json> create_upload(const Request& request);
  Answer<Json> add_part(const std::string& upload, const Request& request);
  Answer<Json> complete(const std::string& upload, const Request& request);
  Answer<Json> cancel(const std::string& upload);

 private:
  struct Form;
  Answer<Form> read_form(const Request& request, const std::string& file_field,
                         std::uint64_t bytes_max);
  FileStore& files_;
  JobsApi& jobs_;
  const Clock& clock_;
  const std::uint64_t bytes_max_;  // of one key's files together
};
}  // namespace kairo::gateway
