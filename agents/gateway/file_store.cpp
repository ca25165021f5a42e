// agents/gateway/file_store.cpp - folders, synced and renamed.
#include "agents/gateway/file_store.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "schemas/base/digest.h"
#include "schemas/base/log.h"
#include "schemas/base/md5.h"

namespace kairo::gateway {
namespace {
namespace fs = std::filesystem;
using About = nlohmann::json;
constexpr std::size_t id_length = 24, token_length = 40;

Error disk_error(const std::string& what) {
  const bool is_full = errno == ENOSPC || errno == EDQUOT;
  return {Code::unavailable,
          what + ": " + (is_full ? "the disk is full; free some of it" : std::strerror(errno))};
}
Status sync_folder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = fd >= 0 && fsync(fd) == 0;
  const Status out = is_synced ? ok() : Status(disk_error("sync a folder of files"));
  if (fd >= 0) close(fd);
  return out;
}
Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return disk_error("write a file");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return ok();
}
// Whole or not at all: by a draft beside it.
Status write_about(const std::string& path, const About& about) {
  const std::string draft = path + ".new";
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return disk_error("write a file's note");
  Status done = write_all(fd, about.dump(-1, ' ', false, About::error_handler_t::replace) + "\n");
  if (done.ok() && fsync(fd) != 0) done = disk_error("sync a file's note");
  close(fd);
  TRY(done);
  if (rename(draft.c_str(), path.c_str()) != 0) return disk_error("keep a file's note");
  return ok();
}
About as_json(const StoredFile& f) {
  return {{"id", f.id},           {"filename", f.filename},
          {"purpose", f.purpose}, {"owner", f.owner},
          {"token", f.token},     {"bytes", f.bytes},
          {"made_ms", f.made_ms}, {"expires_s", f.expires_s},
          {"rows", f.rows.rows},  {"dialect", static_cast<int>(f.rows.dialect)},
          {"wrong", f.rows.wrong}};
}
StoredFile file_from(const About& j) {
  StoredFile f;
  f.id = j.value("id", "");
  f.filename = j.value("filename", "");
  f.purpose = j.value("purpose", "");
  f.owner = j.value("owner", "");
  f.token = j.value("token", "");
  f.bytes = j.value("bytes", std::uint64_t{0});
  f.made_ms = j.value("made_ms", std::int64_t{0});
  f.expires_s = j.value("expires_s", std::int64_t{0});
  f.rows = {j.value("rows", std::int64_t{0}), static_cast<Dialect>(j.value("dialect", 0)),
            j.value("wrong", "")};
  return f;
}
About as_json(const Upload& u) {
  return {{"id", u.id},
          {"filename", u.filename},
          {"purpose", u.purpose},
          {"mime_type", u.mime_type},
          {"owner", u.owner},
          {"status", u.status},
          {"file_id", u.file_id},
          {"bytes", u.bytes},
          {"created_s", u.created_s},
          {"expires_s", u.expires_s},
          {"file_expires_after_s", u.file_expires_after_s},
          {"parts", u.parts}};
}
Upload upload_from(const About& j) {
  Upload u;
  u.id = j.value("id", "");
  u.filename = j.value("filename", "");
  u.purpose = j.value("purpose", "");
  u.mime_type = j.value("mime_type", "");
  u.owner = j.value("owner", "");
  u.status = j.value("status", "");
  u.file_id = j.value("file_id", "");
  u.bytes = j.value("bytes", std::uint64_t{0});
  u.created_s = j.value("created_s", std::int64_t{0});
  u.expires_s = j.value("expires_s", std::int64_t{0});
  u.file_expires_after_s = j.value("file_expires_after_s", std::int64_t{0});
  u.parts = j.value("parts", std::map<std::string, std::uint64_t>{});
  return u;
}
Result<About> read_about(const std::string& path) {
  std::ifstream in(path);
  const About out = About::parse(in, nullptr, false);
  if (!out.is_object()) return Error{Code::corrupt, path + " is damaged"};
  return out;
}
// Its bytes in pieces.
Status read_pieces(const std::string& path, const std::function<Status(std::string_view)>& take) {
  std::ifstream in(path, std::ios::binary);
  std::string piece(1 << 20, '\0');
  while (in) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    if (in.gcount() > 0)
      TRY(take(std::string_view(piece).substr(0, static_cast<std::size_t>(in.gcount()))));
  }
  if (!in.eof()) return Error{Code::unavailable, "a stored file cannot be read"};
  return ok();
}
}  // namespace

std::string random_word(std::size_t length) {
  std::string out;
  constexpr int letters = 36, fair = 252;  // the greatest multiple of 36 in a byte
  while (out.size() < length) {
    unsigned char bytes[64];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) continue;
    for (const unsigned char byte : bytes)
      if (byte < fair && out.size() < length)
        out += "abcdefghijklmnopqrstuvwxyz0123456789"[byte % letters];
  }
  return out;
}

Draft::Draft(Draft&& other) noexcept
    : folder_(std::exchange(other.folder_, "")),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_) {}
Draft::~Draft() {
  if (fd_ >= 0) close(fd_);
  std::error_code error;
  if (!folder_.empty()) fs::remove_all(folder_, error);
}
Status Draft::append(std::string_view bytes) {
  size_ += bytes.size();
  return write_all(fd_, bytes);
}
Status Draft::finish() {
  const bool is_synced = fsync(fd_) == 0;
  const Status out = is_synced ? ok() : Status(disk_error("sync a file"));
  close(std::exchange(fd_, -1));
  return out;
}

Result<std::unique_ptr<FileStore>> FileStore::open(const std::string& folder, const Clock& clock) {
  auto out = std::unique_ptr<FileStore>(new FileStore(folder, clock));
  TRY(out->load());
  return out;
}
Status FileStore::load() {
  std::error_code error;
  fs::remove_all(folder_ + "/drafts", error);
  for (const char* part : {"", "/files", "/uploads", "/drafts"}) {
    fs::create_directories(folder_ + part, error);
    if (error) return Error{Code::unavailable, "make " + folder_ + part + ": " + error.message()};
    chmod((folder_ + part).c_str(), S_IRWXU);
  }
  for (const auto& entry : fs::directory_iterator(folder_ + "/files", error)) {
    const auto about = read_about(entry.path().string() + "/about.json");
    if (!about.ok()) {  // nobody was told of it
      log::warn("a stored file is passed over", {{"why", about.error().what}});
      continue;
    }
    StoredFile file = file_from(about.value());
    if (file.id == entry.path().filename()) files_[file.id] = std::move(file);
  }
  for (const auto& entry : fs::directory_iterator(folder_ + "/uploads", error)) {
    const auto about = read_about(entry.path().string() + "/about.json");
    if (!about.ok()) {
      fs::remove_all(entry.path(), error);
      continue;
    }
    Upload upload = upload_from(about.value());
    uploads_[upload.id] = std::move(upload);
  }
  return ok();
}
void FileStore::forget_expired() const {
  const std::int64_t now_s = clock_.now_ms() / 1000;
  std::error_code error;
  for (auto at = files_.begin(); at != files_.end();) {
    const bool is_over = at->second.expires_s > 0 && at->second.expires_s <= now_s;
    if (is_over) fs::remove_all(data_of(at->first).substr(0, data_of(at->first).size() - 5), error);
    at = is_over ? files_.erase(at) : std::next(at);
  }
  for (auto& [id, upload] : uploads_)
    if (upload.status == "pending" && upload.expires_s <= now_s) {
      upload.status = "expired";
      upload.parts.clear();
      fs::remove_all(folder_ + "/uploads/" + id, error);
    }
}

Result<Draft> FileStore::begin() {
  const std::string folder = folder_ + "/drafts/" + random_word(id_length);
  if (mkdir(folder.c_str(), 0700) != 0) return disk_error("begin a file");
  const int fd = ::open((folder + "/data").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return disk_error("begin a file");
  return Draft(folder, fd);
}
Result<StoredFile> FileStore::keep(Draft draft, StoredFile about) {
  TRY(draft.finish());
  about.id = "file-a" + random_word(id_length - 1);  // file-r... are results: see job_view.h
  about.token = random_word(token_length);
  about.bytes = draft.size();
  about.made_ms = clock_.now_ms();
  if (about.purpose == "fine-tune") {
    RowsCheck check;
    TRY(read_pieces(draft.data(), [&](std::string_view bytes) {
      check.feed(bytes);
      return ok();
    }));
    about.rows = check.finish();
  }
  TRY(write_about(draft.folder() + "/about.json", as_json(about)));
  TRY(sync_folder(draft.folder()));
  const std::scoped_lock lock(mutex_);
  if (rename(draft.folder().c_str(), (folder_ + "/files/" + about.id).c_str()) != 0)
    return disk_error("keep a file");
  draft.keep();
  TRY(sync_folder(folder_ + "/files"));
  files_[about.id] = about;
  return about;
}
std::vector<StoredFile> FileStore::list() const {
  const std::scoped_lock lock(mutex_);
  forget_expired();
  std::vector<StoredFile> out;
  for (const auto& [id, file] : files_) out.push_back(file);
  std::sort(out.begin(), out.end(), [](const StoredFile& a, const StoredFile& b) {
    return std::pair(a.made_ms, a.id) > std::pair(b.made_ms, b.id);
  });
  return out;
}
std::optional<StoredFile> FileStore::find(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  forget_expired();
  const auto found = files_.find(id);
  return found == files_.end() ? std::nullopt : std::optional(found->second);
}
std::string FileStore::data_of(const std::string& id) const {
  return folder_ + "/files/" + id + "/data";
}
Status FileStore::remove(const std::string& id) {
  const std::scoped_lock lock(mutex_);
  if (!files_.contains(id)) return Error{Code::not_found, "no such file"};
  const std::string away = folder_ + "/drafts/" + id;
  if (rename((folder_ + "/files/" + id).c_str(), away.c_str()) != 0)
    return disk_error("delete a file");
  files_.erase(id);
  std::error_code error;
  TRY(sync_folder(folder_ + "/files"));
  fs::remove_all(away, error);
  return ok();
}
std::uint64_t FileStore::bytes_of(const std::string& owner) const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t out = 0;
  for (const auto& [id, file] : files_)
    if (file.owner == owner) out += file.bytes;
  for (const auto& [id, upload] : uploads_)
    if (upload.owner == owner && upload.status == "pending")
      for (const auto& [part, bytes] : upload.parts) out += bytes;
  return out;
}

Status FileStore::save_upload(const Upload& upload) const {
  return write_about(folder_ + "/uploads/" + upload.id + "/about.json", as_json(upload));
}
Result<Upload> FileStore::begin_upload(Upload about) {
  constexpr std::int64_t hour_s = 3600;
  about.id = "upload_" + random_word(id_length);
  about.created_s = clock_.now_ms() / 1000;
  about.expires_s = about.created_s + hour_s;
  const std::scoped_lock lock(mutex_);
  forget_expired();
  if (mkdir((folder_ + "/uploads/" + about.id).c_str(), 0700) != 0)
    return disk_error("begin an upload");
  TRY(save_upload(about));
  TRY(sync_folder(folder_ + "/uploads/" + about.id));
  TRY(sync_folder(folder_ + "/uploads"));
  uploads_[about.id] = about;
  return about;
}
std::optional<Upload> FileStore::find_upload(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  forget_expired();
  const auto found = uploads_.find(id);
  return found == uploads_.end() ? std::nullopt : std::optional(found->second);
}
Result<std::string> FileStore::keep_part(const std::string& id, Draft draft) {
  TRY(draft.finish());
  const std::scoped_lock lock(mutex_);
  const auto found = uploads_.find(id);
  if (found == uploads_.end() || found->second.status != "pending")
    return Error{Code::invalid, "the upload is not pending any more"};
  const std::string part = "part_" + random_word(id_length);
  const std::string folder = folder_ + "/uploads/" + id;
  if (rename(draft.data().c_str(), (folder + "/" + part).c_str()) != 0)
    return disk_error("keep a part");
  Upload after = found->second;
  after.parts[part] = draft.size();
  TRY(save_upload(after));
  TRY(sync_folder(folder));
  found->second = std::move(after);
  return part;
}
Status FileStore::cancel_upload(const std::string& id) {
  const std::scoped_lock lock(mutex_);
  const auto found = uploads_.find(id);
  if (found == uploads_.end()) return Error{Code::not_found, "no such upload"};
  if (found->second.status != "pending")
    return Error{Code::invalid, "the upload is " + found->second.status + " already"};
  Upload after = found->second;
  after.status = "cancelled";
  TRY(save_upload(after));
  std::error_code error;
  for (const auto& [part, bytes] : after.parts)
    fs::remove(folder_ + "/uploads/" + id + "/" + part, error);
  after.parts.clear();
  found->second = std::move(after);
  return ok();
}
Result<StoredFile> FileStore::complete(const std::string& id, const std::vector<std::string>& parts,
                                       const std::string& md5) {
  const std::scoped_lock one(completing_);
  const auto upload = find_upload(id);
  if (!upload) return Error{Code::not_found, "no such upload"};
  if (upload->status == "completed")  // asked again: the answer was lost
    if (const auto file = find(upload->file_id)) return *file;
  if (upload->status != "pending")
    return Error{Code::invalid, "the upload is " + upload->status + " already"};
  std::uint64_t bytes = 0;
  for (const std::string& part : parts) {
    const auto found = upload->parts.find(part);
    if (found == upload->parts.end())
      return Error{Code::invalid,
                   "part_ids names " + part.substr(0, 60) + ", which is no part of this upload"};
    bytes += found->second;
  }
  if (bytes != upload->bytes)
    return Error{Code::invalid, "the parts have " + std::to_string(bytes) +
                                    " bytes together, the upload was announced with " +
                                    std::to_string(upload->bytes)};
  Draft draft = TRY(begin());
  Md5 digest;
  for (const std::string& part : parts)
    TRY(read_pieces(folder_ + "/uploads/" + id + "/" + part, [&](std::string_view piece) {
      digest.update(piece);
      return draft.append(piece);
    }));
  if (!md5.empty() && digest.hex() != md5)
    return Error{Code::invalid, "md5 is not that of the parts together"};
  StoredFile about;
  about.filename = upload->filename;
  about.purpose = upload->purpose;
  about.owner = upload->owner;
  if (upload->file_expires_after_s > 0)
    about.expires_s = clock_.now_ms() / 1000 + upload->file_expires_after_s;
  StoredFile file = TRY(keep(std::move(draft), std::move(about)));
  const std::scoped_lock lock(mutex_);
  Upload after = uploads_[id];
  after.status = "completed";
  after.file_id = file.id;
  TRY(save_upload(after));
  std::error_code error;
  for (const auto& [part, size] : after.parts)
    fs::remove(folder_ + "/uploads/" + id + "/" + part, error);
  after.parts.clear();
  uploads_[id] = std::move(after);
  return file;
}
}  // namespace kairo::gateway
