// agents/node/model_room.h - which models may go when room is wanted. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::node {
struct CachedModel {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t freed_bytes = 0;  // by removing it: without what run directories link
  std::int64_t used_ms = 0;       // Unix time of the last use
  bool is_pinned = false;         // a run uses it
};
struct Room {
  std::uint64_t wanted = 0;     // bytes that are to come
  std::uint64_t free = 0;       // on the disk
  std::uint64_t keep_free = 0;  // of them
  std::uint64_t limit = 0;      // of all cached models; 0 = none
};
// The models to remove, those first that were used longest ago; as few as do. unavailable: it is
// not enough whatever goes; with figures and the settings that say so.
Result<std::vector<std::string>> models_to_remove(std::vector<CachedModel> models,
                                                  const Room& room);
}  // namespace kairo::node
