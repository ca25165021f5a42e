// gpu/serve/models.h - what can be asked for by name: the base model and the adapters that are
// loaded now.
#pragma once
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "gpu/engine/generator.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
constexpr std::size_t adapters_max = 256;  // at a time
struct ServedModel {
  std::string name, root;  // root: the adapter's folder; the base model's own name
  int adapter = -1;        // of the generator; -1: the base model
};
class Models {  // any thread
 public:
  Models(const std::string& base, std::span<const AdapterSource> adapters);
  std::vector<ServedModel> all() const;  // base model first
  const std::string& base() const { return base_; }
  // not_found: it is not there, with those that are. unavailable: it is being loaded.
  Result<ServedModel> find(const std::string& name) const;
  // An adapter comes: put or give_up ends it. invalid: the name is taken (and it is not to take the
  // place of the one that has it), or there are too many.
  Status expect(const std::string& name, bool in_place);
  // The adapter in whose place it came; -1: none.
  int put(const ServedModel& model);
  void give_up(const std::string& name);
  Result<int> remove(const std::string& name);  // its adapter; not_found

 private:
  const std::string base_;
  mutable std::mutex mutex_;
  std::vector<ServedModel> models_;
  std::set<std::string> expected_;
};
}  // namespace kairo::gpu
