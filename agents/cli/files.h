// agents/cli/files.h - what -f names.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "schemas/base/result.h"

namespace kairo::cli {
// The whole text of a file; "-" is standard input. not_found: cannot be read.
Result<std::string> read_file(const std::string& file);
// A folder stands for its *.yaml, *.yml and *.json by name, not for those of folders in it.
// invalid: a folder without one.
Result<std::vector<std::string>> files_named(const std::vector<std::string>& given);
struct Parsed {
  cluster::Ref ref;
  std::string json;
};
// The objects of all files in their order; a List, as `get -o yaml` prints it, is its items. What
// the cluster keeps (status, uid, finalizers, ...) is left out. invalid: one of them is no object
// that kairo knows, or stands twice; the message names the file.
Result<std::vector<Parsed>> objects_in(const std::vector<std::string>& files,
                                       const std::string& default_ns);
std::string printed_name(const cluster::Ref& ref);  // "workspace.kaito.sh/pip"
}  // namespace kairo::cli
