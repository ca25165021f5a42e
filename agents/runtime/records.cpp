// agents/runtime/records.cpp - a map of bytes.
#include "agents/runtime/records.h"

#include <utility>

namespace kairo::runtime {
const wire::Record& Records::AtRest::table() const {
  return *flatbuffers::GetRoot<wire::Record>(bytes.data());  // of the heap: aligned for any scalar
}
void Records::put(std::string bytes, const wire::RecordT& record) {
  const bool is_gone = !record.workspace || !record.workspace->exists;
  bytes.shrink_to_fit();
  all_[record.uid] = {std::move(bytes), record.wake_at_ms, is_gone ? record.gone_at_ms : 0};
}
const Records::AtRest* Records::at_rest(const std::string& uid) const {
  const auto found = all_.find(uid);
  return found == all_.end() ? nullptr : &found->second;
}
std::unique_ptr<wire::RecordT> Records::find(const std::string& uid) const {
  const AtRest* known = at_rest(uid);
  return std::unique_ptr<wire::RecordT>(known == nullptr ? nullptr : known->table().UnPack());
}
}  // namespace kairo::runtime
