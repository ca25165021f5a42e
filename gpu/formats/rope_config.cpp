// gpu/formats/rope_config.cpp - how positions are turned into angles, in the forms of transformers
// 4 and 5.
#include "gpu/formats/rope_config.h"

#include <cmath>

namespace kairo::gpu {
namespace {
// Before the positions were stretched; the whole config's word wins.
std::int64_t original_positions(Fields& f, Fields& outer, std::int64_t positions) {
  const char* key = "original_max_position_embeddings";
  return (outer.has(key) ? outer : f).dimension(key, tokens_max, positions);
}

// yarn: frequencies that turn often within the original positions are kept, those that turn seldom
// are slowed by the factor; the angles' strength grows with it.
void parse_yarn(RopeConfig& rope, Fields& f, Fields& outer, std::int64_t positions) {
  rope.kind = RopeKind::yarn;
  rope.original_positions = original_positions(f, outer, positions);
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
// outer: the whole config, which has some of rope's fields, too.
void parse_scaling(RopeConfig& rope, Fields& f, Fields& outer, std::int64_t positions) {
  std::string kind = f.text("rope_type");
  if (kind.empty()) kind = f.text("type");
  if (kind.empty() || kind == "default") return;
  rope.factor = f.number("factor", 1.0);
  if (!(rope.factor >= 1.0 && rope.factor <= 1e6)) f.fail("factor", "is not in [1, 1000000]");
  if (kind == "linear") {
    rope.kind = RopeKind::linear;
    return;
  }
  if (kind == "yarn") return parse_yarn(rope, f, outer, positions);
  if (kind != "llama3")
    return f.fail("rope_type",
                  "\"" + kind + "\" is not supported: default, linear, llama3, yarn are");
  rope.kind = RopeKind::llama3;
  rope.low_frequency_factor = f.number("low_freq_factor", 1.0);
  rope.high_frequency_factor = f.number("high_freq_factor", 4.0);
  rope.original_positions = original_positions(f, outer, positions);
  if (!(rope.high_frequency_factor > rope.low_frequency_factor))
    f.fail("high_freq_factor", "is not above low_freq_factor");
}
}  // namespace

std::string parse_rope(RopeConfig& rope, Fields& f, const std::string& file, std::int64_t positions,
                       double theta) {
  const char* partial = "partial_rotary_factor";
  rope.theta = f.number("rope_theta", theta);
  if (f.number(partial, 1.0) != 1.0) f.fail(partial, "is not 1, which is not supported");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!f.has(key)) continue;
    if (!f.at(key).is_object()) return file + ": " + key + " is not an object";
    if (f.at(key).empty()) continue;
    Fields inner(f.at(key), file + ": " + key);
    rope.theta = inner.number("rope_theta", rope.theta);
    if (inner.number(partial, 1.0) != 1.0) inner.fail(partial, "is not 1, which is not supported");
    parse_scaling(rope, inner, f, positions);
    if (!inner.error().empty()) return inner.error();
    break;
  }
  if (!(rope.theta > 1.0 && rope.theta <= 1e15)) return file + ": rope_theta is not in (1, 1e15]";
  return "";
}
}  // namespace kairo::gpu
