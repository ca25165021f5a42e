// agents/gateway/file_store.h - files and uploads in a folder of the gateway's own:
//
//   files/<id>/data, about.json          a file: whole, or not there
//   uploads/<id>/about.json, part_<id>   an upload that goes on
//   drafts/                              what is being written; emptied at start
//
// What is answered is on disk: data and its note are synced, then a folder is renamed, then its
// parent is synced. kill -9 at any point leaves the file whole or not at all.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agents/gateway/rows.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::gateway {
constexpr std::uint64_t file_bytes_max = 512ULL << 20, upload_bytes_max = 8ULL << 30,
                        upload_part_bytes_max = 64ULL << 20;

struct StoredFile {
  std::string id, filename, purpose, owner;
  std::string token;  // who knows it may fetch the file without a key
  std::uint64_t bytes = 0;
  std::int64_t made_ms = 0, expires_s = 0;  // 0 = never
  RowsVerdict rows;                         // of purpose fine-tune
};
struct Upload {
  std::string id, filename, purpose, mime_type, owner, status = "pending", file_id;
  std::uint64_t bytes = 0;
  std::int64_t created_s = 0, expires_s = 0, file_expires_after_s = 0;
  std::map<std::string, std::uint64_t> parts;  // id -> bytes
};
class Draft {  // a file that is being written; gone with this object unless it was kept. One thread
 public:
  Draft(std::string folder, int fd) : folder_(std::move(folder)), fd_(fd) {}
  Draft(Draft&& other) noexcept;
  Draft& operator=(Draft&&) = delete;
  ~Draft();
  Status append(std::string_view bytes);  // unavailable: the disk is full
  Status finish();                        // synced
  std::uint64_t size() const { return size_; }
  const std::string& folder() const { return folder_; }
  std::string data() const { return folder_ + "/data"; }
  void keep() { folder_.clear(); }

 private:
  std::string folder_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};
// Random words of a-z and 0-9 (no modulo bias), from the kernel.
std::string random_word(std::size_t length);

class FileStore {  // thread-safe
 public:
  static Result<std::unique_ptr<FileStore>> open(const std::string& folder, const Clock& clock);
  Result<Draft> begin();
  // Gives id, token, made_ms, bytes and, of purpose fine-tune, the rows' verdict.
  Result<StoredFile> keep(Draft draft, StoredFile about);
  std::vector<StoredFile> list() const;  // newest first; those that have expired are gone
  std::optional<StoredFile> find(const std::string& id) const;
  std::string data_of(const std::string& id) const;  // its path
  Status remove(const std::string& id);              // not_found
  std::uint64_t bytes_of(const std::string& owner) const;

  Result<Upload> begin_upload(Upload about);
  std::optional<Upload> find_upload(const std::string& id) const;
  Result<std::string> keep_part(const std::string& upload, Draft draft);  // its id
  Status cancel_upload(const std::string& id);
  // The parts in this order as one file. invalid: they do not add up, or md5 is another.
  Result<StoredFile> complete(const std::string& id, const std::vector<std::string>& parts,
                              const std::string& md5);

 private:
  FileStore(std::string folder, const Clock& clock) : folder_(std::move(folder)), clock_(clock) {}
  Status load();
  void forget_expired() const;
  Status save_upload(const Upload& upload) const;
  const std::string folder_;
  const Clock& clock_;
  std::mutex completing_;  // one upload after the other: asked twice, one file is made
  mutable std::mutex mutex_;
  mutable std::map<std::string, StoredFile> files_;  // guarded by mutex_, as the uploads
  mutable std::map<std::string, Upload> uploads_;
};
}  // namespace kairo::gateway
