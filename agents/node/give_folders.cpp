// agents/node/give_folders.cpp - mkdir, lchown. The kubelet makes hostPath folders for root.
#include "agents/node/give_folders.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace kairo::node {
namespace fs = std::filesystem;
namespace {
Error disk(const std::string& path, const std::string& why) {
  return {Code::unavailable, "give-folders: " + path + ": " + why + "; does it run as root?"};
}
Status give(const fs::path& path, unsigned uid) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0)
    return errno == ENOENT ? ok() : Status(disk(path, std::strerror(errno)));
  if (there.st_uid == uid && there.st_gid == uid) return ok();
  if (::lchown(path.c_str(), uid, uid) != 0) return disk(path, std::strerror(errno));
  return ok();
}
}  // namespace

Status give_folders(const std::vector<std::string>& folders, unsigned uid) {
  for (const std::string& folder : folders) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return disk(folder, error.message());
    TRY(give(folder, uid));
    fs::recursive_directory_iterator all(folder, error), end;
    for (; !error && all != end; all.increment(error)) TRY(give(all->path(), uid));
    if (error && error != std::errc::no_such_file_or_directory)
      return disk(folder, error.message());
  }
  return ok();
}
}  // namespace kairo::node
