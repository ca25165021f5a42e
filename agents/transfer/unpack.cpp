// agents/transfer/unpack.cpp - every step from folder to folder by descriptor, never through a
// link.
#include "agents/transfer/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace kairo::transfer {
namespace {
namespace fs = std::filesystem;
constexpr std::size_t depth_max = 64, name_max = 255;
constexpr const char* whiteout_mark = ".wh.";
constexpr const char* opaque_mark = ".wh..wh..opq";
using Path = std::vector<std::string>;

Error bad(const std::string& path, const std::string& why) {
  return {Code::invalid, "image entry \"" + path.substr(0, 200) + "\": " + why};
}
// "./a//b/" -> a, b. invalid: "..", an absolute path, too deep or too long.
Result<Path> split(const std::string& text) {
  Path out;
  if (text.starts_with('/')) return bad(text, "an absolute path");
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('/', start), text.size());
    std::string part = text.substr(start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return bad(text, "a path with ..");
    if (part.size() > name_max || out.size() >= depth_max) return bad(text, "a path too long");
    out.push_back(std::move(part));
  }
  return out;
}
std::string joined(const Path& path) {
  std::string out;
  for (const std::string& part : path) out += (out.empty() ? "" : "/") + part;
  return out;
}
// Leading ".." may climb to the root and no further; after a name there may be none: a name may be
// a link itself, and then ".." would not mean its parent.
bool stays_inside(const std::string& target, std::size_t depth) {
  if (target.empty() || target.starts_with('/')) return false;
  bool has_name = false;
  for (std::size_t start = 0; start <= target.size();) {
    const std::size_t end = std::min(target.find('/', start), target.size());
    const std::string part = target.substr(start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      has_name = true;
      continue;
    }
    if (has_name || depth == 0) return false;
    --depth;
  }
  return true;
}
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};
Path parent_of(const Path& path) {
  return {path.begin(), path.end() - 1};
}
}  // namespace

Unpack::Unpack(std::string root, UnpackLimits limits) : root_(std::move(root)), limits_(limits) {}
Unpack::~Unpack() {
  if (file_ >= 0) close(file_);
}
Status Unpack::trouble(const std::string& what) const {
  return Error{Code::unavailable, "unpack " + what + ": " + std::strerror(errno)};
}
Result<int> Unpack::folder(const Path& path) {
  int at = open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  for (std::size_t i = 0; at >= 0 && i < path.size(); ++i) {
    const Descriptor parent(at);
    mkdirat(at, path[i].c_str(), 0755);
    at = openat(parent.get(), path[i].c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (at < 0 && (errno == ELOOP || errno == ENOTDIR))
      return bad(joined(path), "lies below a link or a file");
  }
  if (at < 0) return trouble(joined(path)).error();
  return at;
}
Status Unpack::close_file() {
  if (file_ < 0) return ok();
  const int file = file_;
  file_ = -1;
  if (fsync(file) != 0 || close(file) != 0) return trouble("a file");
  return ok();
}
Status Unpack::begin(const TarEntry& entry) {
  TRY(close_file());
  if (++entries_ > limits_.entries_max)
    return bad(entry.path, "more than " + std::to_string(limits_.entries_max) + " entries");
  const bool is_data = entry.path.find("data") != std::string::npos ||
                       entry.path.find(whiteout_mark) != std::string::npos;
  if (!is_data) return ok();
  // "/data/x" is common enough and means the same.
  const std::size_t first = std::min(entry.path.find_first_not_of('/'), entry.path.size());
  Path path = TRY(split(entry.path.substr(first)));
  if (path.size() == 1 && path[0] == std::string(whiteout_mark) + "data")
    return whiteout({}, opaque_mark);
  if (path.size() == 1 && path[0] == opaque_mark) return whiteout({}, opaque_mark);
  if (path.empty() || path[0] != "data") return ok();
  path.erase(path.begin());
  if (!path.empty() && path.back().starts_with(whiteout_mark))
    return whiteout(parent_of(path), path.back());
  return make(entry, path);
}
Status Unpack::whiteout(const Path& parent, const std::string& name) {
  const bool is_opaque = name == opaque_mark;
  const std::string victim = is_opaque ? "" : name.substr(std::strlen(whiteout_mark));
  if (!is_opaque && (victim.empty() || victim == "." || victim == ".."))
    return bad(name, "a whiteout of nothing");
  const Descriptor at(TRY(folder(parent)));  // proves that no link is on the way
  const std::string base = joined(parent);
  std::error_code error;
  std::vector<fs::path> lower;
  for (const auto& file : fs::directory_iterator(fs::path(root_) / base, error)) {
    const std::string own = file.path().filename().string();
    const bool is_meant = is_opaque || own == victim;
    const std::string path = base.empty() ? own : base + "/" + own;
    if (is_meant && of_this_layer_.count(path) == 0) lower.push_back(file.path());
  }
  for (const fs::path& file : lower) fs::remove_all(file, error);
  if (error) return Error{Code::unavailable, "unpack: remove: " + error.message()};
  return ok();
}
Status Unpack::make(const TarEntry& entry, const Path& path) {
  for (std::size_t n = 1; n <= path.size(); ++n)
    of_this_layer_.insert(joined({path.begin(), path.begin() + static_cast<std::ptrdiff_t>(n)}));
  if (entry.kind == TarKind::other) return bad(entry.path, "a device or another special file");
  if (entry.kind == TarKind::directory) {
    const Descriptor made(TRY(folder(path)));
    return ok();
  }
  if (path.empty()) return bad(entry.path, "/data is not a folder");
  const Descriptor parent(TRY(folder(parent_of(path))));
  const char* name = path.back().c_str();
  struct stat info {};
  if (fstatat(parent.get(), name, &info, AT_SYMLINK_NOFOLLOW) == 0) {  // of a lower layer
    if (S_ISDIR(info.st_mode)) return bad(entry.path, "replaces a folder");
    if (unlinkat(parent.get(), name, 0) != 0) return trouble(entry.path);
  }
  if (entry.kind == TarKind::symlink) {
    if (!stays_inside(entry.link, path.size() - 1)) return bad(entry.path, "a link that escapes");
    return symlinkat(entry.link.c_str(), parent.get(), name) == 0 ? ok() : trouble(entry.path);
  }
  ++files_;
  if (entry.kind == TarKind::hardlink) {
    Path source = TRY(split(entry.link.substr(entry.link.starts_with('/') ? 1 : 0)));
    if (source.size() < 2 || source[0] != "data") return bad(entry.path, "a link that escapes");
    source.erase(source.begin());
    const Descriptor from(TRY(folder(parent_of(source))));
    const bool is_file =
        fstatat(from.get(), source.back().c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(info.st_mode);
    if (!is_file) return bad(entry.path, "a hard link to what is no file");
    return linkat(from.get(), source.back().c_str(), parent.get(), name, 0) == 0
               ? ok()
               : trouble(entry.path);
  }
  file_ = openat(parent.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  return file_ >= 0 ? ok() : trouble(entry.path);
}
Status Unpack::data(std::string_view bytes) {
  bytes_ += bytes.size();  // of passed-over files too: a bomb is a bomb
  if (bytes_ > limits_.bytes_max)
    return Error{Code::invalid,
                 "image: more than the limit of " + std::to_string(limits_.bytes_max) + " bytes"};
  while (file_ >= 0 && !bytes.empty()) {
    const ssize_t put = write(file_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return trouble("a file");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return ok();
}
Status Unpack::end_layer() {
  return close_file();
}
}  // namespace kairo::transfer
