// gpu/formats/layer_kinds.cpp - how a model's layers differ from one another.
#include "gpu/formats/family.h"

namespace kairo::gpu {
namespace {
// Of a list with an entry a layer; absent: what `otherwise` says of each.
template <class Read, class Otherwise>
void each_layer(Fields& f, const char* key, std::vector<LayerKind>& kinds, Read read,
                Otherwise otherwise) {
  if (!f.has(key)) {
    for (std::size_t l = 0; l < kinds.size(); ++l) otherwise(kinds[l], l);
    return;
  }
  const nlohmann::json& list = f.at(key);
  if (!list.is_array() || list.size() != kinds.size())
    return f.fail(key, "is not a list with an entry for each of the " +
                           std::to_string(kinds.size()) + " layers");
  for (std::size_t l = 0; l < kinds.size(); ++l) read(kinds[l], list[l]);
}

void limit_by_layer(const Family& family, Fields& f, std::vector<LayerKind>& kinds,
                    std::int64_t window) {
  const bool local = family.windows == Windows::local;
  const auto limit = [&](LayerKind& kind) {
    kind.window = window;
    kind.is_local = local;
  };
  const std::int64_t from = local ? 0 : f.integer("max_window_layers", 28);
  const std::int64_t every = local ? f.integer("sliding_window_pattern", family.every_full) : 0;
  if (local && every < 1) return f.fail("sliding_window_pattern", "is below 1");
  each_layer(
      f, "layer_types", kinds,
      [&](LayerKind& kind, const nlohmann::json& type) {
        if (type == "sliding_attention")
          limit(kind);
        else if (type != "full_attention")
          f.fail("layer_types",
                 "names " + type.dump() + ": full_attention and sliding_attention are supported");
      },
      [&](LayerKind& kind, std::size_t l) {
        const auto place = static_cast<std::int64_t>(l);
        if (local ? (place + 1) % every != 0 : place >= from) limit(kind);
      });
}
// The window that counts; 0: none does.
std::int64_t window_of(const Family& family, Fields& f, std::int64_t positions) {
  if (family.windows == Windows::by_layer && !f.flag("use_sliding_window", false)) return 0;
  if (family.windows == Windows::unread) {
    if (f.flag("use_sliding_window", false))
      f.fail("use_sliding_window", "true is not supported for this family");
    return 0;
  }
  const bool is_default = family.windows != Windows::none && !f.says("sliding_window");
  if (is_default && family.window == 0) return 0;
  const std::int64_t window = f.integer("sliding_window", is_default ? family.window : positions);
  if (window < 1) f.fail("sliding_window", "is " + std::to_string(window) + ", below 1");
  if (window >= positions) return 0;
  if (family.windows == Windows::none)
    f.fail("sliding_window", std::to_string(window) +
                                 " for this model, and not supported: null is, or "
                                 "max_position_embeddings at most " +
                                 std::to_string(window));
  return window;
}
}  // namespace

std::vector<LayerKind> layer_kinds(const Family& family, Fields& f, std::int64_t layers,
                                   std::int64_t positions) {
  std::vector<LayerKind> kinds(static_cast<std::size_t>(layers));
  const std::int64_t window = window_of(family, f, positions);
  if (family.windows == Windows::all)
    for (LayerKind& kind : kinds) kind.window = window;
  if (family.windows == Windows::local || (family.windows == Windows::by_layer && window > 0))
    limit_by_layer(family, f, kinds, window);
  if (!family.plain_layers) return kinds;
  const std::int64_t interval = f.integer("no_rope_layer_interval", 4);
  if (interval < 1) f.fail("no_rope_layer_interval", "is below 1");
  each_layer(
      f, "no_rope_layers", kinds,
      [&](LayerKind& kind, const nlohmann::json& is_rotated) {
        if (is_rotated != 0 && is_rotated != 1)
          f.fail("no_rope_layers", "has an entry that is neither 0 nor 1");
        kind.is_rotated = is_rotated != 0;
      },
      [&](LayerKind& kind, std::size_t l) {
        const auto place = static_cast<std::int64_t>(l) + 1;
        kind.is_rotated = interval < 1 || place % interval != 0;
      });
  return kinds;
}
}  // namespace kairo::gpu
