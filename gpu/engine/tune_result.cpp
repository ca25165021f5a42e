// gpu/engine/tune_result.cpp - the result's files, in an order that a crash does not make a lie.
#include "gpu/engine/tune_result.h"

#include <algorithm>
#include <filesystem>

#include "gpu/formats/files.h"
#include "gpu/model/target_match.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
constexpr const char *completed_file = "/fine_tuning_completed.txt",
                     *config_file = "/adapter_config.json",
                     *adapter_file = "/adapter_model.safetensors";
constexpr std::int64_t completed_bytes_max = 1 << 12;

std::string completed_text(const TuneJob& job, const std::string& fingerprint) {
  return "Fine-tuning completed.\nrun " + sha256_hex(fingerprint + " " + job.base_model) + "\n";
}
// As peft writes all-linear: the modules that it meets.
AdapterConfig config_of(const TuneJob& job, const Engine& engine) {
  AdapterConfig out;
  out.base_model = job.base_model;
  out.rank = job.rank;
  out.alpha = job.alpha;
  out.use_rslora = job.use_rslora;
  out.dropout = job.dropout;
  out.targets = job.targets;
  if (!is_all_linear(job.targets)) return out;
  auto& names = out.targets.names;
  names = {};
  for (const auto& module : engine.layout().modules) {
    const std::string name = name_of(engine.config(), module.module);
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return out;
}
}  // namespace

Result<bool> find_result(const TuneJob& job, const std::string& fingerprint) {
  const std::string path = job.output_dir + completed_file;
  const auto text = read_file(path, completed_bytes_max);
  if (!text.ok() && text.error().code == Code::not_found) return false;
  std::error_code error;
  if (text.ok() && text.value() == completed_text(job, fingerprint) &&
      fs::exists(job.output_dir + adapter_file, error)) {
    log::info("already completed", {{"file", path}});
    return true;
  }
  log::warn("the output folder holds another run's result, which will be replaced",
            {{"file", path}});
  fs::remove(path, error);
  if (error) return write_error("remove", path, error.value());
  TRY(sync_folder(job.output_dir));
  return false;
}

Status write_result(const TuneJob& job, const std::string& fingerprint, const Engine& engine,
                    std::span<const float> parameters) {
  TRY(write_adapter(job.output_dir, config_of(job, engine),
                    adapter_tensors(engine.layout(), parameters)));
  return write_file(job.output_dir + completed_file, completed_text(job, fingerprint));
}

Status copy_result(const TuneJob& job) {
  if (job.copy_dir.empty()) return ok();
  std::error_code ignored;
  fs::remove(job.copy_dir + completed_file, ignored);  // of another run; ours comes last
  for (const char* file : {config_file, adapter_file, completed_file})
    if (const auto done = copy_file(job.output_dir + file, job.copy_dir + file); !done.ok())
      return Error{done.error().code,
                   "the output volume: " + without_folder(done.error().what, job.copy_dir)};
  return ok();
}

std::vector<TensorToWrite> adapter_tensors(const LoraLayout& layout,
                                           std::span<const float> parameters) {
  std::vector<TensorToWrite> tensors;
  const auto part = [&](std::int64_t offset, std::int64_t rows, std::int64_t cols) {
    return parameters.subspan(static_cast<std::size_t>(offset),
                              static_cast<std::size_t>(rows * cols));
  };
  for (const auto& m : layout.modules) {
    const std::string name = "base_model.model." + m.path;
    tensors.push_back({name + ".lora_A.weight", {m.rank, m.in}, part(m.a_offset, m.rank, m.in)});
    tensors.push_back({name + ".lora_B.weight", {m.out, m.rank}, part(m.b_offset, m.out, m.rank)});
  }
  return tensors;
}
}  // namespace kairo::gpu
