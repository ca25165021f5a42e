// gpu/serve/models.cpp
#include "gpu/serve/models.h"

#include <algorithm>

namespace kairo::gpu {
namespace {
auto at_name(auto& models, const std::string& name) {
  return std::ranges::find(models, name, &ServedModel::name);
}
}  // namespace

Models::Models(const std::string& base, std::span<const AdapterSource> adapters)
    : base_(base), models_{{base, base, -1}} {
  for (const AdapterSource& adapter : adapters)
    models_.push_back({adapter.name, adapter.dir, static_cast<int>(models_.size()) - 1});
}

std::vector<ServedModel> Models::all() const {
  const std::scoped_lock lock(mutex_);
  return models_;
}

Result<ServedModel> Models::find(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  if (const auto at = at_name(models_, name); at != models_.end()) return *at;
  if (expected_.contains(name))
    return Error{Code::unavailable, "adapter " + name + " is being loaded; ask again in a moment"};
  std::string here;
  for (const auto& model : models_) here += (here.empty() ? "" : ", ") + model.name;
  return Error{Code::not_found, "model " + name + " is not served here; there are: " + here};
}

Status Models::expect(const std::string& name, bool in_place) {
  const std::scoped_lock lock(mutex_);
  if (name == base_)
    return Error{Code::invalid, "lora_name: " + name + " is the base model's name; choose another"};
  const bool is_there = at_name(models_, name) != models_.end();
  if (is_there && !in_place)
    return Error{Code::invalid, "The lora adapter '" + name +
                                    "' has already been loaded. Unload it first, or send "
                                    "\"load_inplace\": true"};
  if (!is_there && models_.size() - 1 + expected_.size() >= adapters_max)
    return Error{Code::invalid, std::to_string(adapters_max) +
                                    " adapters are loaded, no more are taken: unload one first"};
  if (!expected_.insert(name).second)
    return Error{Code::invalid, "The lora adapter '" + name + "' is being loaded just now"};
  return ok();
}

int Models::put(const ServedModel& model) {
  const std::scoped_lock lock(mutex_);
  expected_.erase(model.name);
  const auto at = at_name(models_, model.name);
  if (at == models_.end()) {
    models_.push_back(model);
    return -1;
  }
  const int before = at->adapter;
  *at = model;
  return before;
}

void Models::give_up(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  expected_.erase(name);
}

Result<int> Models::remove(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  const auto at = at_name(models_, name);
  if (at == models_.end() || at->adapter < 0)
    return Error{Code::not_found, "The lora adapter '" + name + "' cannot be found"};
  const int adapter = at->adapter;
  models_.erase(at);
  return adapter;
}
}  // namespace kairo::gpu
