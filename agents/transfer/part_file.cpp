// agents/transfer/part_file.cpp - open, write, fsync, rename.
#include "agents/transfer/part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace kairo::transfer {
PartFile::~PartFile() {
  close();
}
void PartFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}
Status PartFile::trouble() const {
  return Error{Code::unavailable, "write " + shown_ + ": " + std::strerror(errno)};
}
Status PartFile::open_at(const std::string& path, const std::string& shown) {
  close();
  shown_ = shown;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd_ < 0) return trouble();
  const off_t end = lseek(fd_, 0, SEEK_END);
  if (end < 0) return trouble();
  size_ = static_cast<std::uint64_t>(end);
  return ok();
}
Status PartFile::restart() {
  size_ = 0;
  return ftruncate(fd_, 0) == 0 && lseek(fd_, 0, SEEK_SET) == 0 ? ok() : trouble();
}
Status PartFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return trouble();
    size_ += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return ok();
}
Status PartFile::sync() {
  return fsync(fd_) == 0 ? ok() : trouble();
}
Status renamed(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return ok();
  return Error{Code::unavailable, "rename to " + to + ": " + std::strerror(errno)};
}
}  // namespace kairo::transfer
