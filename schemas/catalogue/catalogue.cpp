// schemas/catalogue/catalogue.cpp - the embedded tables, parsed once.
#include "schemas/catalogue/catalogue.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "schemas/catalogue/embedded.h"

namespace kairo::catalogue {
namespace {
using Json = nlohmann::json;

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}
template <class T>
const T* find(const std::vector<T>& rows, std::string_view name) {
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const T& r) { return same(r.name, name); });
  return row == rows.end() ? nullptr : &*row;
}
}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> rows = [] {
    std::vector<Preset> out;
    const Json table = Json::parse(embedded::presets);  // outlives the loop
    for (const Json& r : table["presets"]) {
      Preset p{r["name"],         r["hf_id"],       r["architecture"],
               r["licence"],      r["weights_gib"], r["context_tokens"],
               r["quantization"], r["tuning"],      r["parameters"]};
      p.revision = r.value("revision", p.revision);
      p.image = r.value("image", p.image);
      if (r.contains("config")) p.config = r["config"].dump();
      if (p.parameters == 0)
        p.parameters = static_cast<std::int64_t>(p.weights_gib * 1073741824.0 / 2);
      out.push_back(std::move(p));
    }
    return out;
  }();
  return rows;
}
const std::vector<Sku>& skus() {
  static const std::vector<Sku> rows = [] {
    std::vector<Sku> out;
    const Json table = Json::parse(embedded::skus);  // outlives the loop
    for (const Json& r : table["skus"])
      out.push_back({r["cloud"], r["name"], r["gpu"], r["gpus"], r["memory_gib"],
                     r["compute_capability"], r["nvme"]});
    return out;
  }();
  return rows;
}
const std::vector<RetiredSku>& retired_skus() {
  static const std::vector<RetiredSku> rows = [] {
    std::vector<RetiredSku> out;
    const Json table = Json::parse(embedded::retired);  // outlives the loop
    for (const Json& r : table["retired"])
      out.push_back({r["name"], r["gpu"], r["gpus"], r["memory_gib"], r["compute_capability"],
                     r["reason"], r["successor"]});
    return out;
  }();
  return rows;
}

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : presets())
    if (same(preset.name, name) || same(preset.hf_id, name)) return &preset;
  return nullptr;
}
bool can_fetch(const Preset& preset, const std::vector<std::string>& sources) {
  return std::any_of(sources.begin(), sources.end(), [&](const std::string& source) {
    return (source == "hub" && !preset.hf_id.empty()) ||
           (source == "image" && !preset.image.empty());
  });
}
const Sku* find_sku(std::string_view name) {
  return find(skus(), name);
}
const RetiredSku* find_retired(std::string_view name) {
  return find(retired_skus(), name);
}

std::vector<const Sku*> skus_that_fit(double memory_gib, std::string_view cloud,
                                      std::size_t limit) {
  std::vector<const Sku*> out;
  for (const Sku& sku : skus())
    if (!sku.compute_capability.empty() && static_cast<double>(sku.memory_gib) >= memory_gib &&
        (cloud.empty() || sku.cloud == cloud))
      out.push_back(&sku);
  std::stable_sort(out.begin(), out.end(),
                   [](const Sku* a, const Sku* b) { return a->memory_gib < b->memory_gib; });
  if (out.size() > limit) out.resize(limit);
  return out;
}
}  // namespace kairo::catalogue
