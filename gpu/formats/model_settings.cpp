// gpu/formats/model_settings.cpp - the sections ModelConfig and QuantizationConfig.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* loads_files = "the model is read from its folder as it is";
using C = TrainingConfig;
}  // namespace

std::vector<Setting> model_settings() {
  std::vector<Setting> out = {
      {"ModelConfig", "pretrained_model_name_or_path",
       note("the model is the preset's (kairo-tune: --model)")},
      {"ModelConfig", "chat_template", text(&C::chat_template)},
      {"ModelConfig", "torch_dtype", precision(&C::dtype)},
      {"ModelConfig", "dtype", precision(&C::dtype)},
  };
  for (const auto* key : {"cache_dir", "force_download", "proxies", "output_loading_info",
                          "local_files_only", "revision", "trust_remote_code", "device_map",
                          "low_cpu_mem_usage", "attn_implementation", "use_cache", "token"})
    out.push_back({"ModelConfig", key, note(loads_files)});
  for (const auto* key : {"load_in_4bit", "load_in_8bit"})
    out.push_back(
        {"ModelConfig", key,
         only({"false"}, "QuantizationConfig.load_in_4bit says how the weights are kept")});
  out.push_back({"ModelConfig", "state_dict", only({}, loads_files)});
  out.push_back({"ModelConfig", "from_tf", only({"false"}, loads_files)});
  const std::string_view q = "QuantizationConfig";
  out.push_back({q, "load_in_4bit", boolean(&C::load_in_4bit)});
  out.push_back({q, "load_in_8bit",
                 only({"false"},
                      "8-bit weights are not supported; use "
                      "load_in_4bit")});
  out.push_back({q, "bnb_4bit_quant_type", only({"nf4"}, "4-bit weights are stored as NF4")});
  out.push_back({q, "quant_method", only({"bitsandbytes"}, "the only method there is")});
  out.push_back({q, "bnb_4bit_use_double_quant",
                 only({"true"}, "the scales of 4-bit weights are always quantised, too")});
  out.push_back({q, "llm_int8_skip_modules",
                 only({"lm_head"}, "left out: all linear layers but the head are quantised")});
  out.push_back({q, "bnb_4bit_compute_dtype", precision(&C::compute_dtype)});
  for (const auto* key : {"bnb_4bit_quant_storage", "llm_int8_threshold",
                          "llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight"})
    out.push_back({q, key, note(computes)});
  return out;
}
}  // namespace kairo::gpu
