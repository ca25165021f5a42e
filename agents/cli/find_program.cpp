// agents/cli/find_program.cpp - PATH, and the folders of servers.
#include "agents/cli/find_program.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace kairo::cli {
namespace {
namespace fs = std::filesystem;

bool is_program(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
}
}  // namespace

std::string find_program(const std::string& name) {
  std::error_code error;
  if (name.find('/') != std::string::npos)
    return is_program(name) ? fs::absolute(name, error).string() : "";
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  std::istringstream folders(std::string(path != nullptr ? path : "") +
                             ":/usr/local/sbin:/usr/sbin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;  // the current folder, to a shell: nobody means that
    if (is_program(folder + "/" + name)) return fs::absolute(folder + "/" + name, error).string();
  }
  return "";
}
}  // namespace kairo::cli
