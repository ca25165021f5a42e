// schemas/catalogue/catalogue.h - models and machine types as data: presets.json, skus.json and
// retired.json in this folder, embedded at build time. Immutable; any thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kairo::catalogue {
struct Preset {
  std::string name;          // "phi-4", or the lower-cased Hugging Face id where KAITO has no alias
  std::string hf_id;         // "microsoft/phi-4"
  std::string architecture;  // "Phi3ForCausalLM"
  std::string licence;
  double weights_gib;  // of the published weights, in GiB
  std::int64_t context_tokens;
  std::string quantization;       // of the published weights; "" = none
  bool is_tunable;                // KAITO's tuning map, and ours
  std::int64_t parameters;        // from weights_gib and 16 bit a parameter where not known exactly
  std::string revision = "main";  // of the hub's repository: branch, tag or commit
  // What its config.json says of sizes and rope, as JSON; "" = not in the catalogue.
  std::string config = {};
  std::string image =
      {};  // KAITO's artifact of the weights, below its registry; "" = there is none
};
struct Sku {
  std::string cloud;  // azure, aws, arc
  std::string name, gpu;
  int gpus;
  std::int64_t memory_gib;         // of all GPUs of the machine
  std::string compute_capability;  // "8.0"; "" = not an NVIDIA GPU
  bool has_nvme;
};
struct RetiredSku {
  std::string name, gpu;
  int gpus;
  std::int64_t memory_gib;
  std::string compute_capability, reason, successor;
};
const std::vector<Preset>& presets();
const std::vector<Sku>& skus();
const std::vector<RetiredSku>& retired_skus();
// By alias, Hugging Face id, case-insensitively; nullptr when there is none.
const Preset* find_preset(std::string_view name);
// Whether one of a node's sources ("hub", "image": what its agent may fetch from) has its weights.
bool can_fetch(const Preset& preset, const std::vector<std::string>& sources);
const Sku* find_sku(std::string_view name);
const RetiredSku* find_retired(std::string_view name);
// NVIDIA machine types of one cloud ("" = all) with at least memory_gib, smallest first, at most
// `limit`.
std::vector<const Sku*> skus_that_fit(double memory_gib, std::string_view cloud, std::size_t limit);
}  // namespace kairo::catalogue
