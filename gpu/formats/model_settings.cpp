// gpu/formats/model_settings.cpp - the sections ModelConfig and QuantizationConfig.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* loads_files = "the model is read from its folder as it is";
constexpr const char* computes = "the engine chooses how it computes";
using C = TrainingConfig;
Status take_double_quant(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v) || TRY(boolean_of(v))) return ok();
  c.notes.emplace_back("the scales are quantised all the same");
  return ok();
}
}  // namespace

std::vector<Setting> model_settings() {
  std::vector<Setting> out = {
      {"ModelConfig", "pretrained_model_name_or_path",
       note("the model is the preset's (kairo-tune: --model)")},
      {"ModelConfig", "chat_template", text(&C::chat_template)},
  };
  for (const auto* key :
       {"state_dict", "cache_dir", "from_tf", "force_download", "proxies", "output_loading_info",
        "local_files_only", "revision", "trust_remote_code", "load_in_4bit", "load_in_8bit",
        "torch_dtype", "dtype", "device_map", "low_cpu_mem_usage", "attn_implementation",
        "use_cache", "token"})
    out.push_back({"ModelConfig", key, note(loads_files)});
  const std::string_view q = "QuantizationConfig";
  out.push_back({q, "load_in_4bit", boolean(&C::load_in_4bit)});
  out.push_back({q, "load_in_8bit",
                 only({"false"},
                      "8-bit weights are not supported; use "
                      "load_in_4bit")});
  out.push_back({q, "bnb_4bit_quant_type", only({"nf4"}, "4-bit weights are stored as NF4")});
  out.push_back({q, "quant_method", only({"bitsandbytes"}, "the only method there is")});
  out.push_back({q, "bnb_4bit_use_double_quant", take_double_quant});
  for (const auto* key :
       {"bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_threshold",
        "llm_int8_skip_modules", "llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight"})
    out.push_back({q, key, note(computes)});
  return out;
}
}  // namespace kairo::gpu
