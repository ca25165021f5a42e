// gpu/engine/tune_fingerprint.cpp - what makes two runs the same run.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gpu/engine/tune.h"
#include "gpu/formats/adapter.h"
#include "gpu/formats/files.h"
#include "schemas/base/digest.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t config_bytes_max = 4 << 20;
// A digest of the model that costs no full read: config.json, and of every weight file its size and
// two megabytes.
std::string model_digest(const std::string& dir) {
  Sha256 hash;
  const auto config = read_file(dir + "/config.json", config_bytes_max);
  hash.update(config.ok() ? config.value() : "");
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(file, error));
    hash.update(file.filename().string() + " " + std::to_string(size) + "\n");
    std::ifstream in(file, std::ios::binary);
    std::string part(1 << 20, '\0');
    for (const std::int64_t at : {std::int64_t{0}, size / 2}) {
      in.clear();
      in.seekg(at);
      in.read(part.data(), static_cast<std::streamsize>(part.size()));
      hash.update(std::string_view(part).substr(0, static_cast<std::size_t>(in.gcount())));
    }
  }
  return hash.hex();
}
}  // namespace

std::string fingerprint(const TuneJob& j) {
  std::string text = "kairo 1 " + model_digest(j.model_dir) + " " + j.data_digest;
  for (const double v :
       {j.alpha, j.dropout, j.learning_rate, j.warmup_ratio, j.epochs, j.update.beta1,
        j.update.beta2, j.update.eps, j.update.weight_decay, j.update.gradient_norm_max})
    text += " " + std::to_string(v * 1e9);
  for (const auto v : {static_cast<std::int64_t>(j.method), j.rank,
                       static_cast<std::int64_t>(j.use_rslora), static_cast<std::int64_t>(j.seed),
                       static_cast<std::int64_t>(j.schedule), j.warmup_steps, j.total_steps})
    text += " " + std::to_string(v);
  text += " " + j.schedule_options.text();
  AdapterConfig adapter;
  adapter.targets = j.targets;
  text += " " + std::to_string(static_cast<int>(j.init)) + adapter_config_text(adapter);
  if (j.type != Type::f32) text += " bf16";
  if (j.device != nullptr) text += " on " + j.device->kind;
  const EvaluationPlan& e = j.evaluation;
  if (e.keep_best)  // else evaluations decide nothing
    text += " best " + std::to_string(e.every) + " " + std::to_string(e.from) + " " +
            std::to_string(e.at_end);
  return sha256_hex(text);
}

}  // namespace kairo::gpu
