// agents/node/registry_checkpoints.h - Checkpoints by pulls from a registry.
#pragma once
#include <functional>
#include <string>

#include "agents/node/checkpoints.h"
#include "agents/transfer/registry_session.h"

namespace kairo::node {
class RegistryCheckpoints final : public Checkpoints {
 public:
  // The docker config in a Secret (namespace, name).
  using Config = std::function<Result<std::string>(const std::string&, const std::string&)>;
  RegistryCheckpoints(Config config, transfer::RegistryOptions options)
      : config_(std::move(config)), options_(std::move(options)) {}
  Result<std::string> bring(const CheckpointWish& wish) override;

 private:
  Result<std::string> pull_into(const CheckpointWish& wish, const std::string& folder);
  const Config config_;
  const transfer::RegistryOptions options_;
};
}  // namespace kairo::node
