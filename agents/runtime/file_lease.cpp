// agents/runtime/file_lease.cpp - flock(2).
#include "agents/runtime/file_lease.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace kairo::runtime {
namespace {
Error failure(Code code, const std::string& what, const std::string& path) {
  return {code, "lease: " + what + " " + path + ": " +
                    std::strerror(errno)};  // NOLINT(concurrency-mt-unsafe)
}

class FileLease final : public Lease {
 public:
  FileLease(std::string path, int file) : path_(std::move(path)), file_(file) {}
  ~FileLease() override { close(file_); }
  Result<Claim> claim() override {
    if (term_ != 0) return Claim{is_in_place(), term_};
    if (flock(file_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Claim{false, last_term()};
      return failure(Code::unavailable, "lock", path_);
    }
    const std::uint64_t term = last_term() + 1;
    const std::string next = std::to_string(term);
    if (pwrite(file_, next.data(), next.size(), 0) != static_cast<ssize_t>(next.size())) {
      Error error = failure(Code::unavailable, "write", path_);
      flock(file_, LOCK_UN);
      return error;
    }
    term_ = term;
    return Claim{true, term};
  }
  Status release() override {
    term_ = 0;
    return flock(file_, LOCK_UN) == 0 ? ok() : Status(failure(Code::unavailable, "unlock", path_));
  }
  std::int64_t trusted_ms() const override { return 0; }

 private:
  std::uint64_t last_term() const {
    char text[32] = {};
    std::uint64_t last = 0;
    const ssize_t got = pread(file_, text, sizeof text, 0);
    if (got > 0) std::from_chars(text, text + got, last);
    return last;
  }
  bool is_in_place() const {  // who removed the file has let another in
    struct stat ours = {}, there = {};
    return fstat(file_, &ours) == 0 && stat(path_.c_str(), &there) == 0 &&
           ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
  }
  const std::string path_;
  const int file_;
  std::uint64_t term_ = 0;
};
}  // namespace

Result<std::unique_ptr<Lease>> open_file_lease(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return failure(Code::invalid, "open", path);
  return std::unique_ptr<Lease>(std::make_unique<FileLease>(path, file));
}
}  // namespace kairo::runtime
