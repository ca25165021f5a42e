// agents/init_containers.h - what a pod's init containers run: data sets and images, before the
// trainer or the server starts.
#pragma once
#include <atomic>
#include <string>

#include "schemas/base/result.h"

namespace kairo {
struct FetchFlags {  // as transfer::FetchOptions
  std::string to, gateway;
  bool allow_loopback = false;
};
// The data set named by DATA_URLS, whole or not at all. invalid: the variable is empty.
Status run_fetch(const FetchFlags& flags, const std::atomic<bool>& stop);
// An image's /data. config_dir: of docker configurations; "" = nobody's.
Status run_pull(const std::string& image, const std::string& to, const std::string& config_dir,
                const std::atomic<bool>& stop);
// The exit code that the Job's podFailurePolicy knows.
int exit_code_of_container(const Status& status, bool is_stopped);
}  // namespace kairo
