// agents/pusher/registry_uploader.h - the Uploader that talks to a registry (OCI distribution 1.1).
#pragma once
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "agents/pusher/uploader.h"
#include "agents/transfer/registry_session.h"
#include "agents/transfer/upload_log.h"
#include "state/store.h"

namespace kairo::pusher {
// Looks for each blob first, sends what is missing, then the manifest by digest and by tag, then
// asks for the tag again and compares. How far a blob came is in the store, so that a killed
// process goes on there. not_found, conflict: the adapter's files are missing or changed.
class RegistryUploader final : public Uploader {  // thread-safe
 public:
  RegistryUploader(state::Store& store, transfer::RegistryOptions options)
      : log_(store), options_(std::move(options)) {}
  Result<PushResult> push(
      const PushRequest& request,
      const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) override;

 private:
  transfer::UploadLog log_;
  const transfer::RegistryOptions options_;
  std::mutex mutex_;
  std::set<std::string> busy_;  // references being pushed; guarded by mutex_
};
}  // namespace kairo::pusher
