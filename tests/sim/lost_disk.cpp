// tests/sim/lost_disk.cpp - one training, no fault but one: its node goes, and its disk with it.
#include <algorithm>

#include "tests/sim/system.h"

namespace kairo::sim {
std::string System::live_through_a_lost_disk() {
  dice_.healed = true;
  user_.wish_plain();
  user_.apply("a");
  for (int round = 0; round < 200 && shelf_.kept.empty(); ++round) {
    everybody();
    pass(500);
  }
  if (shelf_.kept.empty()) return "no checkpoint was pushed";
  for (int round = 0; round < 2; ++round) everybody();  // it is said, and heard
  const CheckpointShelf::Kept safe = shelf_.kept.begin()->second;
  const auto owner = std::find_if(machines_.disks.begin(), machines_.disks.end(),
                                  [&](auto& row) { return row.second.steps[safe.key] > 0; });
  if (owner == machines_.disks.end()) return "no node trains";
  const std::string lost = owner->first;
  kubelet_.begun.clear();
  if (cloud_) {
    ++machines_.losses;
    cloud_->take_a_spot_machine();
  } else {
    lose_node(lost);
    machines_.disk(lost).wipe();
  }
  settle();
  if (!cloud_ && machines_.disks.size() == 1) bring_back(lost);
  settle();
  if (cloud_) pass(11 * 60'000);
  if (cloud_) settle();
  const std::string said = witness_.verdict();
  if (!said.empty()) return said;
  const auto begun = kubelet_.begun.find(safe.key);
  if (begun == kubelet_.begun.end()) return "the training did not go on";
  if (begun->second < safe.step)
    return "begun at step " + std::to_string(begun->second) + ", safe was " +
           std::to_string(safe.step);
  return shelf_.kept.empty() ? "" : "the checkpoint stays in the registry";
}
}  // namespace kairo::sim
