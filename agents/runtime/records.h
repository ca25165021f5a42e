// agents/runtime/records.h - what is known of each Workspace, at rest: the bytes that the store
// has. An object of a record is some sixty allocations, its bytes are one: with ten thousand
// Workspaces that is the difference. A record becomes an object while it is decided on; what asks
// all of them reads the table where it lies. Not thread-safe.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "schemas/record_generated.h"

namespace kairo::runtime {
class Records {
 public:
  struct AtRest {
    std::string bytes;            // verified, or made here
    std::int64_t wake_at_ms = 0;  // as in the record
    std::int64_t gone_at_ms = 0;  // the same, of one whose Workspace is gone; else 0
    const wire::Record& table() const;
  };
  // record: what the bytes hold.
  void put(std::string bytes, const wire::RecordT& record);
  void erase(const std::string& uid) { all_.erase(uid); }
  void clear() { all_.clear(); }
  std::size_t size() const { return all_.size(); }
  const AtRest* at_rest(const std::string& uid) const;                // null: it is not known
  std::unique_ptr<wire::RecordT> find(const std::string& uid) const;  // null: the same
  auto begin() const { return all_.begin(); }                         // (uid, AtRest), by uid
  auto end() const { return all_.end(); }

 private:
  std::map<std::string, AtRest> all_;
};
}  // namespace kairo::runtime
