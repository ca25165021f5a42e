// tests/sim/adapters.cpp - a small honest model.
#include "tests/sim/adapters.h"

namespace kairo::sim {
namespace {
// "/runs/<namespace>/<uid>/<revision>" -> "<uid>/<revision>", as the disk's keys are.
std::string run_in(const std::string& run_dir) {
  return run_dir.substr(run_dir.find('/', sizeof "/runs/") + 1);
}
}  // namespace

Status AdaptersModel::want(const wire::CommandT& command, const wire::ServeAdaptersT& wish) {
  if (world_.dice.fault(6)) return Error{Code::unavailable, "no space left on device"};
  const std::string key = run_in(wish.run_dir);
  if (world_.disk.dirs.contains(key)) world_.disk.wanted[key] = command;
  return ok();
}

void AdaptersModel::tend(std::int64_t now_ms) {
  for (const auto& [key, command] : world_.disk.wanted)
    if (const auto current = world_.disk.current.find(command.uid);
        current != world_.disk.current.end() && DiskModel::key_of(current->second) == key)
      tend(key, command, now_ms);
}
void AdaptersModel::tend(const std::string& key, const wire::CommandT& command,
                         std::int64_t now_ms) {
  const wire::ServeAdaptersT& wish = *command.body.AsServeAdapters();
  const bool answers = world_.kubelet.runs(self_, key) && !world_.dice.fault(4);
  std::vector<node::ServedName>& loaded = world_.disk.loaded[key];
  const auto unload = [&](const std::string& name) {
    std::erase_if(loaded, [&](const auto& model) { return model.name == name; });
  };
  if (answers)
    for (const std::string& name : node::to_unload(loaded, wish)) unload(name);
  wire::ServingT now;
  now.node = self_;
  now.revision = command.revision;
  const auto told = world_.disk.told.find(key);
  for (const auto& wanted : wish.adapters) {
    const node::ServedName* model = node::find(loaded, wanted->name);
    std::string trouble;
    if (answers && (model == nullptr || model->digest != wanted->digest)) {
      const bool is_there = world_.registry.blobs.contains(wanted->digest.substr(7));
      if (!is_there || world_.dice.fault(4)) {
        trouble = "404 Not Found";
      } else {
        unload(wanted->name);
        loaded.push_back({wanted->name, wanted->digest});
      }
    }
    const wire::ServedAdapterT* before = nullptr;
    if (told != world_.disk.told.end())
      for (const auto& one : told->second.adapters)
        if (one->name == wanted->name) before = one.get();
    now.adapters.push_back(std::make_unique<wire::ServedAdapterT>(
        node::told_of(*wanted, answers ? &loaded : nullptr, before, trouble, now_ms)));
  }
  const bool is_known = told != world_.disk.told.end() && told->second == now;
  if (is_known && told_.contains(key)) return;
  world_.disk.told[key] = now;
  told_.insert(key);
  observe_(runtime::fact_about(command, std::move(now)));
}
}  // namespace kairo::sim
