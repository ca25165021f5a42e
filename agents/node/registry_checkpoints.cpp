// agents/node/registry_checkpoints.cpp - pulled beside the others, then renamed: a checkpoint is
// there whole or not at all.
#include "agents/node/registry_checkpoints.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agents/transfer/manifests.h"
#include "agents/transfer/pull.h"
#include "schemas/base/log.h"

namespace kairo::node {
namespace {
namespace fs = std::filesystem;
constexpr std::uint64_t bytes_max = 1ULL << 40;
constexpr std::size_t state_bytes_max = 1 << 16;

// The step that a checkpoint says of itself; 0 = it is none.
std::uint32_t step_of(const fs::path& folder) {
  std::ifstream in(folder / "state.json", std::ios::binary);
  std::string text(state_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > state_bytes_max) return 0;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_unsigned()) return 0;
  const auto step = json["step"].get<std::uint64_t>();
  std::error_code error;
  const bool is_whole = fs::is_regular_file(folder / "state.safetensors", error);
  return is_whole && step <= UINT32_MAX ? static_cast<std::uint32_t>(step) : 0;
}
bool has_as_new(const fs::path& checkpoints, std::uint32_t step) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(checkpoints, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-") && step_of(entry.path()) >= step) return true;
  }
  return false;
}
// A registry that refuses may be made to let us in; so may a Secret that lacks.
Error to_be_tried_again(const Error& error, const std::string& image) {
  return {Code::unavailable, "the checkpoint " + image + " cannot be fetched: " + error.what +
                                 " (tried again; the annotation kairo.dev/keep-checkpoints: "
                                 "\"false\" begins without it)"};
}
}  // namespace

Result<std::string> RegistryCheckpoints::bring(const CheckpointWish& wish) {
  const fs::path checkpoints = fs::path(wish.run_dir) / "state" / "checkpoints";
  if (has_as_new(checkpoints, wish.step)) return std::string();
  const fs::path draft = checkpoints / ".writing-brought";
  std::error_code error;
  fs::remove_all(draft, error);
  fs::create_directories(draft, error);
  if (error) return Error{Code::unavailable, "checkpoint: create its folder: " + error.message()};
  auto told = pull_into(wish, draft.string());
  if (!told.ok()) {
    fs::remove_all(draft, error);
    return to_be_tried_again(told.error(), wish.image);
  }
  const std::uint32_t step = step_of(draft);
  if (step == 0) {
    fs::remove_all(draft, error);
    return told.value().empty() ? "the checkpoint " + wish.image + " is none: training begins anew"
                                : told.value();
  }
  const fs::path path = checkpoints / ("checkpoint-" + std::to_string(step));
  fs::remove_all(path, error);  // one that is not whole
  fs::rename(draft, path, error);
  if (error) return Error{Code::unavailable, "checkpoint: rename it: " + error.message()};
  log::info("a checkpoint was brought here", {{"step", std::to_string(step)}});
  return "the checkpoint of step " + std::to_string(step) + " was brought from " + wish.image;
}

// "" = it is there now; else that it is gone.
Result<std::string> RegistryCheckpoints::pull_into(const CheckpointWish& wish,
                                                   const std::string& folder) {
  transfer::PullOptions pull;
  pull.image = wish.image;
  pull.to = folder;
  pull.bytes_max = bytes_max;
  pull.registry = options_;
  if (!wish.secret.empty()) pull.docker_configs.push_back(TRY(config_(wish.ns, wish.secret)));
  const transfer::Reference reference = TRY(transfer::parse_reference(wish.image));
  transfer::Access access{"pull", "check the Secret named in output.imagePushSecret", {}};
  for (const std::string& config : pull.docker_configs) {
    auto found = TRY(transfer::credentials_for(config, reference));
    for (auto& credential : found) access.credentials.push_back(std::move(credential));
  }
  transfer::RegistrySession session(reference, std::move(access), options_);
  TRY(session.open());
  const transfer::Named there = TRY(transfer::look_up(session, reference.tag));
  if (!there.is_there) return "the checkpoint " + wish.image + " is gone: training begins anew";
  TRY(transfer::pull(pull));
  return std::string();
}
}  // namespace kairo::node
