// agents/init_containers.cpp - environment and folders to options, errors to exit codes.
#include "agents/init_containers.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "agents/config.h"
#include "agents/transfer/fetch.h"
#include "agents/transfer/pull.h"

namespace kairo {
Status run_fetch(const FetchFlags& flags, const std::atomic<bool>& stop) {
  transfer::FetchOptions options;
  std::istringstream urls(environment("DATA_URLS"));
  for (std::string url; urls >> url;) options.urls.push_back(url);
  if (options.urls.empty())
    return Error{Code::invalid, "DATA_URLS is empty: give the URLs, separated by blanks"};
  options.to = flags.to;
  options.allow_loopback = flags.allow_loopback;
  options.gateway = flags.gateway;
  options.stop = &stop;
  return transfer::fetch(options);
}

Status run_pull(const std::string& image, const std::string& to, const std::string& config_dir,
                const std::atomic<bool>& stop) {
  transfer::PullOptions options;
  options.registry.stop = &stop;
  options.image = image;
  options.to = to;
  std::error_code error;
  if (!config_dir.empty())
    for (const auto& file : std::filesystem::directory_iterator(config_dir, error)) {
      std::ifstream in(file.path());
      std::ostringstream text;
      text << in.rdbuf();
      if (in && !text.str().empty()) options.docker_configs.push_back(text.str());
    }
  return transfer::pull(options);
}

int exit_code_of_container(const Status& status, bool is_stopped) {
  constexpr int try_again = 1, change_the_input = 2, stopped_for_now = 75;
  if (is_stopped) return stopped_for_now;
  if (status.ok()) return 0;
  return status.error().code == Code::unavailable ? try_again : change_the_input;
}
}  // namespace kairo
