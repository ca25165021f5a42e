// gpu/formats/rope_config.cpp - how positions are turned into angles, in the forms of transformers
// 4 and 5.
#include "gpu/formats/rope_config.h"

#include <cmath>

namespace kairo::gpu {
namespace {
// yarn: frequencies that turn often within the original positions are kept, those that turn seldom
// are slowed by the factor; the angles' strength grows with it.
void parse_yarn(RopeConfig& rope, Fields& f, std::int64_t positions) {
  rope.kind = RopeKind::yarn;
  if (!f.has("factor"))
    rope.factor = static_cast<double>(positions) / static_cast<double>(rope.original_positions);
  const auto or_default = [&f](const char* key, double absent) {  // 0 says nothing there
    const double value = f.number(key, absent);
    return value == 0 ? absent : value;
  };
  rope.fast_turns = or_default("beta_fast", 32);
  rope.slow_turns = or_default("beta_slow", 1);
  if (!(rope.fast_turns > 0 && rope.fast_turns < 1e6)) f.fail("beta_fast", "is not in (0, 1e6)");
  if (!(rope.slow_turns > 0 && rope.slow_turns < 1e6)) f.fail("beta_slow", "is not in (0, 1e6)");
  rope.truncates = f.flag("truncate", true);
  const auto grown = [&rope](double by) {
    return rope.factor <= 1 ? 1.0 : 0.1 * by * std::log(rope.factor) + 1.0;
  };
  const double mscale = f.number("mscale", 0), all = f.number("mscale_all_dim", 0);
  rope.strength =
      f.number("attention_factor", mscale != 0 && all != 0 ? grown(mscale) / grown(all) : grown(1));
  if (!(rope.strength > 0 && rope.strength < 1e3))
    f.fail("attention_factor", "is not in (0, 1000)");
}
// longrope: each frequency is slowed by a factor of its own; in long sequences by another.
void parse_longrope(RopeConfig& rope, Fields& f, const ModelConfig& config) {
  rope.kind = RopeKind::longrope;
  if (!f.has("factor"))
    rope.factor =
        static_cast<double>(config.positions) / static_cast<double>(rope.original_positions);
  const auto pairs = static_cast<std::size_t>(config.rotary_dim / 2);
  const auto read = [&](const char* key, std::vector<double>& out) {
    if (!f.has(key)) return f.fail(key, "is missing");
    const nlohmann::json& list = f.at(key);
    if (!list.is_array() || list.size() != pairs)
      return f.fail(key,
                    "is not a list of " + std::to_string(pairs) + " numbers, one a rotated pair");
    for (const auto& value : list) {
      if (!value.is_number() || !(value.get<double>() > 0 && value.get<double>() < 1e6))
        return f.fail(key, "has " + value.dump() + ", which is not in (0, 1e6)");
      out.push_back(value.get<double>());
    }
  };
  read("short_factor", rope.short_factors);
  read("long_factor", rope.long_factors);
  const double original = static_cast<double>(rope.original_positions);
  const bool is_stretched = rope.factor > 1 && original > 1;
  rope.strength =
      f.number("attention_factor",
               is_stretched ? std::sqrt(1 + std::log(rope.factor) / std::log(original)) : 1);
  if (!(rope.strength > 0 && rope.strength < 1e3))
    f.fail("attention_factor", "is not in (0, 1000)");
}
// outer: the whole config, which has some of rope's fields, too.
void parse_scaling(RopeConfig& rope, const ModelConfig& config, const Family& family, Fields& f,
                   Fields& outer) {
  std::string kind = f.text("rope_type");
  if (kind.empty()) kind = f.text("type");
  if (kind.empty() || kind == "default") return;
  rope.factor = f.number("factor", 1.0);
  if (!(rope.factor >= 1.0 && rope.factor <= 1e6)) f.fail("factor", "is not in [1, 1000000]");
  if (kind == "linear") {
    rope.kind = RopeKind::linear;
    return;
  }
  const char* original = "original_max_position_embeddings";  // the whole config's word wins
  rope.original_positions =
      (outer.has(original) ? outer : f)
          .dimension(original, tokens_max,
                     family.original_positions > 0 ? family.original_positions : config.positions);
  if (family.grows_queries) {
    rope.query_growth = f.number("llama_4_scaling_beta", 0);
    if (!(rope.query_growth >= 0 && rope.query_growth < 1e3))
      f.fail("llama_4_scaling_beta", "is not in [0, 1000)");
  }
  if (kind == "yarn") return parse_yarn(rope, f, config.positions);
  const bool is_old = kind == "su";  // Phi-3's first files
  if (family.longrope && (kind == "longrope" || is_old)) return parse_longrope(rope, f, config);
  if (kind != "llama3")
    return f.fail("rope_type", "\"" + kind + "\" is not supported: default, linear, llama3, yarn" +
                                   (family.longrope ? ", longrope" : "") + " are");
  rope.kind = RopeKind::llama3;
  rope.low_frequency_factor = f.number("low_freq_factor", 1.0);
  rope.high_frequency_factor = f.number("high_freq_factor", 4.0);
  if (!(rope.high_frequency_factor > rope.low_frequency_factor))
    f.fail("high_freq_factor", "is not above low_freq_factor");
}
void rotate(ModelConfig& config, double share) {
  config.rotary_dim = static_cast<std::int64_t>(static_cast<double>(config.head_dim) * share);
}
// The share of each head that is rotated; absent: `otherwise`.
double share_of(const Family& family, Fields& f, double otherwise) {
  const char* key = "partial_rotary_factor";
  const double share = f.number(key, otherwise);
  if (!family.longrope && share != 1.0) f.fail(key, "is not 1, which is not supported");
  if (!(share > 0 && share <= 1)) f.fail(key, "is not in (0, 1]");
  return share;
}
// One of the ropes. from: what speaks of it; null: nothing does. Returns an error or "".
std::string parse_one(RopeConfig& rope, ModelConfig& config, const Family& family,
                      const nlohmann::json* from, const std::string& where, Fields& outer,
                      double share) {
  if (from == nullptr || from->empty()) return "";
  if (!from->is_object()) return where + " is not an object";
  Fields f(*from, where);
  rope.theta = f.number("rope_theta", rope.theta);
  rotate(config, share_of(family, f, share));
  parse_scaling(rope, config, family, f, outer);
  return f.error();
}
bool is_theta(const RopeConfig& rope) {
  return rope.theta > 1.0 && rope.theta <= 1e15;
}
}  // namespace

std::string parse_rope(ModelConfig& config, const Family& family, Fields& f,
                       const std::string& file) {
  const bool has_local = family.local_theta > 0;
  const char* parameters = "rope_parameters";
  config.rope.theta = f.number("rope_theta", family.theta);
  const double share = share_of(family, f, 1.0);
  rotate(config, share);
  const nlohmann::json* all = nullptr;
  std::string where = file;
  for (const char* key : {"rope_scaling", parameters}) {
    if (!f.has(key)) continue;
    if (!f.at(key).is_object()) return file + ": " + key + " is not an object";
    if (f.at(key).empty() || (has_local && key == parameters)) continue;
    all = &f.at(key);
    where = file + ": " + key;
    break;
  }
  if (has_local) {
    RopeConfig& local = config.local_rope.emplace();
    local.theta = family.local_theta_key == nullptr
                      ? family.local_theta
                      : f.number(family.local_theta_key, family.local_theta);
    for (const bool is_local : {false, true}) {
      const char* kind = is_local ? "sliding_attention" : "full_attention";
      if (!f.has(parameters) || !f.at(parameters).contains(kind)) continue;
      const std::string error =
          parse_one(is_local ? local : config.rope, config, family, &f.at(parameters)[kind],
                    file + ": " + parameters + "." + kind, f, share);
      if (!error.empty()) return error;
    }
    if (f.has(parameters) && f.at(parameters).contains("rope_type"))
      return file +
             ": rope_parameters is not by the layers' types full_attention and "
             "sliding_attention";
    if (!is_theta(local)) return file + ": the local rope_theta is not in (1, 1e15]";
  }
  const std::string error = parse_one(config.rope, config, family, all, where, f, share);
  if (!error.empty()) return error;
  if (config.rotary_dim < 2 || (family.longrope && config.rotary_dim % 2 != 0))
    return file + ": partial_rotary_factor leaves " + std::to_string(config.rotary_dim) +
           " values of a head, which are no pairs";
  if (!is_theta(config.rope)) return file + ": rope_theta is not in (1, 1e15]";
  return "";
}
}  // namespace kairo::gpu
