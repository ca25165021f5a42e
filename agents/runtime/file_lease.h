// agents/runtime/file_lease.h - the lease of one machine: a lock on a file.
#pragma once
#include <memory>
#include <string>

#include "agents/runtime/lease.h"

namespace kairo::runtime {
// The kernel frees the lock when its process ends, however it ends. The file holds the last term.
// invalid: the file cannot be made.
Result<std::unique_ptr<Lease>> open_file_lease(const std::string& path);
}  // namespace kairo::runtime
