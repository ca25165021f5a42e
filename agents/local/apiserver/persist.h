// agents/local/apiserver/persist.h - what the owner of a cluster of its own supplies: storage,
// admission.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cluster {
// Row key -> value, or nullopt to erase. All keys start with rows_prefix.
using Changes = std::vector<std::pair<std::string, std::optional<std::string>>>;
inline const std::string rows_prefix = "cluster/";
// Durable when it returns ok; on an error nothing of the batch may be there. One call at a time.
using Persist = std::function<Status(const Changes& changes)>;
// Called before a Workspace is created ("" = no old object) or changed, status excepted. An error
// refuses the write; its text reaches the user.
using Admit =
    std::function<Status(const std::string& old_json_or_empty, const std::string& new_json)>;
}  // namespace kairo::cluster
