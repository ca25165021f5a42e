// agents/transfer/blob_upload.h - one blob into a repository: in chunks that survive a crash, or
// whole.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "agents/transfer/image.h"
#include "agents/transfer/registry_session.h"
#include "agents/transfer/upload_log.h"

namespace kairo::transfer {
class BlobUpload {  // one thread; everything given must outlive it
 public:
  using Progress = std::function<void(std::uint64_t done)>;  // bytes of this blob
  BlobUpload(RegistrySession& session, UploadLog& log, const Blob& blob,
             const RegistryOptions& options, Progress progress);
  // Nothing is sent when the registry has the blob. Errors: as RegistrySession; conflict: the
  // file changed since it was hashed.
  Status run();

 private:
  Result<bool> is_there();
  Status start();   // a new upload session, offset 0
  Status resume();  // the logged session, if the registry still knows it
  Status ask();     // the offset that the registry has; no session when it forgot it
  Status send_chunks();
  Result<Reaction> send_chunk();
  Status recover(Reaction reaction);
  Result<Reaction> send_rest(std::uint64_t offset);  // PUT ?digest=, with the bytes from offset on
  Status keep(const HttpAnswer& answer, std::uint64_t offset);
  bool is_chunk_due() const;  // else the rest goes with the last PUT
  HttpCall with_bytes(const char* method, Url url, std::uint64_t offset, std::uint64_t size);

  RegistrySession& session_;
  UploadLog& log_;
  const Blob& blob_;
  const Progress progress_;
  BlobReader reader_;
  std::optional<Url> location_;  // of the upload session
  std::uint64_t offset_ = 0, chunk_bytes_;
  std::uint64_t chunk_bytes_min_ = 0;  // the registry's own: it takes no smaller ones
  bool is_whole_;                      // one PUT instead of chunks
  int setbacks_ = 0;
  const int setbacks_max_;
  const std::int64_t backoff_ms_;
  std::string trouble_;  // the last setback, for the error's text
};
}  // namespace kairo::transfer
