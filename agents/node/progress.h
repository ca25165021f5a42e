// agents/node/progress.h - progress.jsonl -> facts.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "schemas/run_generated.h"

namespace kairo::node {
// The last whole line of the text as a Progress; nullopt when there is none (a torn tail and lines
// that are no JSON are passed over). Pure. Lines are at most 64 KiB.
std::optional<wire::ProgressT> last_progress(std::string_view text);
// Changes when the file does (inode, size, time of change); "" when it is not there.
std::string stamp_of(const std::string& path);
// The last 64 KiB of a file; "" when it is not there.
std::string tail_of(const std::string& path);
}  // namespace kairo::node
