// agents/node/model_cache.h - the models folder of a node: filled once per model, for every run.
//
//   <folder>/<preset>/              config.json, tokenizer.json, *.safetensors ...
//   <folder>/<preset>/.source.json  where they came from; a folder without it is the user's own:
//                                   never changed, never removed
//   <folder>/.fetching/<preset>/    what is being fetched, until it is whole; survives a crash
//   <folder>/.fetching/<preset>.lock
//
// Of several processes one fetches a model. What a run uses is hard-linked into its directory:
// removing it here would free nothing, so it stays.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "agents/transfer/model_files.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::node {
struct CacheSettings {
  std::string folder;
  std::string hub = "https://huggingface.co";            // "" = none
  std::string registry = "mcr.microsoft.com/aks/kaito";  // of preset images; "" = none
  std::string registry_config;    // file: a docker config with its credentials; "" = none
  std::string ca_file;            // PEM, for both; "" = the system's
  std::uint64_t limit_bytes = 0;  // of all fetched models; 0 = none
  std::uint64_t keep_free_bytes = 2ULL << 30;  // on the disk
};
struct FetchTold {
  std::string source;  // "https://huggingface.co" or an image
  std::uint64_t done = 0, total = 0;
};
struct FetchAsk {
  const catalogue::Preset& preset;
  std::vector<std::string> tokens = {};   // of the hub; tried in order, then none; never logged
  std::string image = {};                 // instead of the preset's own sources
  std::vector<std::string> configs = {};  // docker configs for it; never logged
  std::string entry = {};                 // of the models folder; "" = the preset's
  std::set<std::string> pins = {};        // presets that runs use: they stay
  const std::atomic<bool>* stop = nullptr;
  std::function<void(const FetchTold&)> told = nullptr;
};
bool is_model(const std::string& folder);  // config.json and tokenizer.json are there
class ModelCache {                         // any thread
 public:
  ModelCache(CacheSettings settings, const Clock& clock)
      : settings_(std::move(settings)), clock_(clock) {}
  bool has(const std::string& preset) const;
  std::string path_of(const std::string& preset) const { return settings_.folder + "/" + preset; }
  // "image" and "hub", as far as they are set, and "named": what this node can fetch from.
  std::vector<std::string> sources() const;
  bool can_fetch(const catalogue::Preset& preset) const;
  void note_use(const std::string& preset) const;
  // ok: it is here. Tries the preset's image, and the hub when there is none. Errors as of
  // fetch_from_hub(); unavailable also: no room, another process fetches it.
  Status fetch(const FetchAsk& ask, std::int64_t& retry_after_s) const;

 private:
  class Draft;
  Status fill(const FetchAsk& ask, const Draft& draft, std::int64_t& retry_after_s) const;
  Status from_image(const FetchAsk& ask, const Draft& draft, const std::string& image) const;
  Status from_hub(const FetchAsk& ask, const Draft& draft, std::int64_t& retry_after_s) const;
  transfer::ModelWatch watch(const FetchAsk& ask, const Draft& draft,
                             const std::string& source) const;
  Status finish(const Draft& draft, const std::string& source,
                const transfer::FetchedModel& model) const;
  Status make_room(const FetchAsk& ask, std::uint64_t missing) const;

  const CacheSettings settings_;
  const Clock& clock_;
};
}  // namespace kairo::node
