// agents/local/node/pod_files.h - the files of a container's attempts. Private to local/.
#pragma once
#include <functional>
#include <string>

namespace kairo::cluster {
// The number of the newest attempt in a container's folder; -1: none.
int latest_attempt(const std::string& container_dir);
// Every attempt's folder of every container in a pod's folder.
void for_each_attempt(const std::string& pod_dir,
                      const std::function<void(const std::string& dir)>& what);
// What a container said last: its termination log, else, when it failed, the last line of its log.
// UTF-8, at most 2 KiB.
std::string last_words(const std::string& attempt_dir, bool has_failed);
// The name of an attempt's control groups.
std::string cgroup_name(const std::string& attempt_dir);
}  // namespace kairo::cluster
