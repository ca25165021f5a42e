// gpu/formats/files.cpp - POSIX files: temp name, write, fsync, rename, fsync of the folder.
#include "gpu/formats/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace kairo::gpu {
namespace {
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};
// errno, or 0.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}
// `fill` writes the new content; the old one stays until that is on the disk.
template <class Fill>
Status replace_file(const std::string& path, Fill fill) {
  const std::string temp = path + ".writing";
  {
    const Descriptor file(::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return write_error("create", temp, errno);
    Status done = fill(file.get());
    if (done.ok() && ::fsync(file.get()) != 0) done = write_error("write", path, errno);
    if (!done.ok()) {
      ::unlink(temp.c_str());
      return done;
    }
  }
  if (::rename(temp.c_str(), path.c_str()) != 0) return write_error("rename to", path, errno);
  const auto folder = std::filesystem::path(path).parent_path();
  return sync_folder(folder.empty() ? "." : folder.string());
}
Result<int> open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return fd;
  return Error{errno == ENOENT || errno == ENOTDIR ? Code::not_found : Code::invalid,
               "read " + path + ": " + std::strerror(errno)};
}
}  // namespace

Error write_error(const std::string& what, const std::string& path, int error_number) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return {full ? Code::unavailable : Code::invalid,
          what + " " + path + ": " + std::strerror(error_number) +
              (full ? "; free some space and start again" : "; check the folder and its owner")};
}

Result<std::string> read_file(const std::string& path, std::int64_t max_bytes) {
  const Descriptor file(TRY(open_file(path)));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return Error{Code::invalid, "read " + path + ": not a regular file"};
  if (info.st_size > max_bytes)
    return Error{Code::invalid, "read " + path + ": " + std::to_string(info.st_size) +
                                    " bytes, more than the limit of " + std::to_string(max_bytes)};
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = ::read(file.get(), text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Code::invalid, "read " + path + ": " + std::strerror(errno)};
    if (n == 0) break;
    at += static_cast<std::size_t>(n);
  }
  text.resize(at);
  return text;
}

Status write_file(const std::string& path, std::span<const std::string_view> parts) {
  return replace_file(path, [&](int fd) -> Status {
    for (const auto part : parts)
      if (const int error = write_all(fd, part); error != 0)
        return write_error("write", path, error);
    return ok();
  });
}

Status copy_file(const std::string& from, const std::string& to) {
  const Descriptor source(TRY(open_file(from)));
  std::string piece(1 << 20, '\0');
  return replace_file(to, [&](int fd) -> Status {
    for (;;) {
      const ssize_t n = ::read(source.get(), piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error{Code::invalid, "read " + from + ": " + std::strerror(errno)};
      if (n == 0) return ok();
      const int error = write_all(fd, std::string_view(piece.data(), static_cast<std::size_t>(n)));
      if (error != 0) return write_error("write", to, error);
    }
  });
}

Status write_file(const std::string& path, std::string_view text) {
  return write_file(path, std::span<const std::string_view>(&text, 1));
}

Status sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return write_error("open folder", path, errno);
  // Some network file systems cannot sync a folder: they are durable at rename.
  if (::fsync(folder.get()) != 0 && errno != EINVAL) return write_error("sync", path, errno);
  return ok();
}

std::string without_folder(std::string text, const std::string& folder) {
  const std::string prefix = folder + "/";
  for (std::size_t at = 0; (at = text.find(prefix)) != std::string::npos;)
    text.erase(at, prefix.size());
  return text;
}

Status make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return write_error("create folder", path, error.value());
  return ok();
}
}  // namespace kairo::gpu
