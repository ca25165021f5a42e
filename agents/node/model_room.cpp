// agents/node/model_room.cpp - least recently used first.
#include "agents/node/model_room.h"

#include <algorithm>
#include <tuple>

#include "schemas/base/bytes.h"

namespace kairo::node {
Result<std::vector<std::string>> models_to_remove(std::vector<CachedModel> models,
                                                  const Room& room) {
  std::sort(models.begin(), models.end(), [](const CachedModel& a, const CachedModel& b) {
    return std::tie(a.used_ms, a.name) < std::tie(b.used_ms, b.name);
  });
  std::uint64_t cached = 0, pinned = 0, free = room.free;
  for (const CachedModel& model : models) {
    cached += model.bytes;
    pinned += model.is_pinned ? model.bytes : 0;
  }
  const auto fits_disk = [&] { return free >= room.wanted + room.keep_free; };
  const auto fits_limit = [&] { return room.limit == 0 || cached + room.wanted <= room.limit; };
  std::vector<std::string> out;
  for (const CachedModel& model : models) {
    if (fits_disk() && fits_limit()) break;
    if (model.is_pinned) continue;
    out.push_back(model.name);
    free += model.freed_bytes;
    cached -= model.bytes;
  }
  if (fits_disk() && fits_limit()) return out;
  const std::string held =
      pinned == 0 ? "" : "; runs of this node use " + bytes_in_words(pinned) + " of other models";
  if (!fits_limit())
    return Error{Code::unavailable, "the weights need " + bytes_in_words(room.wanted) +
                                        ", and all fetched models may have " +
                                        bytes_in_words(room.limit) + " (models-limit)" + held +
                                        "; raise models-limit, or delete Workspaces that are done"};
  return Error{Code::unavailable,
               "the weights need " + bytes_in_words(room.wanted) + ", and " + bytes_in_words(free) +
                   " are free for them at most on the disk of the models "
                   "folder, of which " +
                   bytes_in_words(room.keep_free) + " stay free (models-keep-free)" + held +
                   "; free some, or give the models folder a larger disk"};
}
}  // namespace kairo::node
