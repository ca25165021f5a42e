// agents/watcher/workspaces.h - which Workspace objects there are, as this process has seen them.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

namespace kairo::watcher {
constexpr int epoch_bits = 48;  // of a fact's version; below them: the resourceVersion (sources.h)
constexpr std::uint64_t version_mask = (std::uint64_t{1} << epoch_bits) - 1;
using Object = std::shared_ptr<const nlohmann::json>;  // as the cluster has it; read once

// The source of Workspaces tells; the other sources ask whether an object's owner is one, the
// effects with which resourceVersion they may write. A memory, not the truth: it begins empty, and
// a write whose version has moved on reads the object.
class Workspaces {  // thread-safe
 public:
  struct Name {
    std::string uid, ns, name;
  };
  void add(const Name& workspace);
  // All that are there, and all that the bus knows of, are these; others are forgotten.
  void complete(const std::set<std::string>& uids);
  bool is_complete() const;
  bool has(const Name& workspace) const;  // with this namespace and name
  std::vector<Name> in(const std::string& ns) const;
  std::string uid_of(const std::string& ns,
                     const std::string& name) const;  // of the newest; "" = none

  // Of the versions, shifted: one source finds that they have gone back, all list again.
  std::uint64_t epoch() const { return epoch_; }
  void raise_epoch(std::uint64_t epoch);

  // The object has been heard of, or written. It is kept while its first revision is not noted.
  void saw(const std::string& uid, std::uint64_t version, const Object& object);
  // It has this status: true when that is another one than the last one seen.
  bool saw_status(const std::string& uid, std::uint64_t version, const std::string& status_hash);
  struct Newest {
    std::uint64_t version = 0;  // 0 = none is known
    Object object;              // in that version; null = not kept
  };
  Newest newest(const std::string& uid) const;
  std::map<std::string, std::uint64_t> versions() const;  // by uid; of those that are known
  void forget_versions();                                 // the server's have gone back
  void forget(const std::string& uid);  // the object is gone; its name stays for what it leaves

 private:
  struct Entry {
    std::string ns, name;
    Newest newest;
    std::uint64_t status_version = 0;
    std::string status_hash;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by uid
  bool is_complete_ = false;
  std::atomic<std::uint64_t> epoch_ = 0;
};
}  // namespace kairo::watcher
