// gpu/formats/checkpoint.cpp - one folder per checkpoint: state.json (with the checksum of the
// other file) and state.safetensors.
#include "gpu/formats/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

#include "gpu/formats/files.h"
#include "gpu/formats/json.h"
#include "gpu/formats/safetensors.h"
#include "schemas/base/digest.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;
constexpr std::int64_t state_bytes_max = 1 << 16;
constexpr int format_version = 1;
constexpr std::int64_t shape_max = 1 << 24, threads_max = 4096;
constexpr std::string_view folder_prefix = "checkpoint-", unfinished_prefix = ".writing-";

std::string_view bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}
std::string checksum(const CheckpointBuffers& b) {
  Sha256 hash;
  for (const auto values : {b.parameters, b.first_moment, b.second_moment, b.best_parameters})
    hash.update(bytes_of(values));
  return hash.hex();
}
// (step, path), newest first.
std::vector<std::pair<std::int64_t, std::string>> list(const std::string& dir) {
  std::vector<std::pair<std::int64_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(folder_prefix)) continue;
    std::int64_t step = 0;
    const char *begin = name.data() + folder_prefix.size(), *end = name.data() + name.size();
    const auto parsed = std::from_chars(begin, end, step);
    if (parsed.ec == std::errc() && parsed.ptr == end) found.emplace_back(step, entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}
Evaluated evaluated_of(const json& from) {
  Evaluated out;
  for (const char* key : {"step", "best_step"})
    if (!from.is_object() || !from.contains(key) || !from[key].is_number_integer()) return {};
  for (const char* key : {"loss", "best_loss"})
    if (!from.contains(key) || !from[key].is_number()) return {};
  out.step = from["step"].get<std::int64_t>();
  out.best_step = from["best_step"].get<std::int64_t>();
  out.loss = from["loss"].get<double>();
  out.best_loss = from["best_loss"].get<double>();
  return out;
}
Result<Checkpoint> read(const std::string& path, const std::string& fingerprint) {
  const std::string text = TRY(read_file(path + "/state.json", state_bytes_max));
  const auto bad = [&](const std::string& why) { return Error{Code::corrupt, path + ": " + why}; };
  const auto parsed = parse_json_object(text);
  if (!parsed.ok()) return bad("state.json " + parsed.error().what);
  const json& root = parsed.value();
  if (root.value("version", json()) != format_version)
    return bad("state.json is not of this version");
  for (const char* key : {"step", "tokens"})
    if (!root.contains(key) || !root[key].is_number_unsigned()) return bad("state.json is damaged");
  for (const char* key : {"fingerprint", "sha256"})
    if (!root.contains(key) || !root[key].is_string()) return bad("state.json is damaged");
  Checkpoint c;
  c.state.fingerprint = root["fingerprint"].get<std::string>();
  if (c.state.fingerprint != fingerprint)
    return bad("it belongs to another model, data set or configuration");
  c.state.step = root["step"].get<std::int64_t>();
  c.state.tokens = root["tokens"].get<std::int64_t>();
  if (root.contains("loss") && root["loss"].is_number()) c.state.loss = root["loss"].get<double>();
  for (const auto& [key, out] : {std::pair{"microbatch_tokens", &c.state.shape.microbatch_tokens},
                                 {"head_rows", &c.state.shape.head_rows},
                                 {"threads", &c.state.shape.threads},
                                 {"ranks", &c.state.shape.ranks}})
    if (root.contains(key) && root[key].is_number_unsigned())
      *out = std::min<std::int64_t>(root[key].get<std::int64_t>(), shape_max);
  if (c.state.shape.threads > threads_max) c.state.shape = {};
  for (const auto& [key, out] : {std::pair{"instruction_set", &c.state.shape.instruction_set},
                                 {"library", &c.state.shape.library},
                                 {"products", &c.state.shape.products}})
    if (root.contains(key) && root[key].is_string()) *out = root[key].get<std::string>();
  for (const auto& [key, out] : {std::pair{"kept_layers_at_most", &c.state.limits.kept_layers},
                                 {"cached_layers_at_most", &c.state.limits.cached_layers}})
    if (root.contains(key) && root[key].is_number_unsigned())
      *out = std::min<std::int64_t>(root[key].get<std::int64_t>(), shape_max);
  c.state.evaluated = evaluated_of(root.value("evaluated", json()));
  const TensorFile file = TRY(TensorFile::open(path + "/state.safetensors"));
  const auto load = [&](const char* name, std::vector<float>& out) -> Status {
    const TensorInfo* tensor = file.find(name);
    if (tensor == nullptr) return bad(std::string("state.safetensors lacks ") + name);
    out.resize(static_cast<std::size_t>(tensor->count()));
    return file.read(*tensor, out);
  };
  TRY(load("parameters", c.parameters));
  TRY(load("first_moment", c.first_moment));
  TRY(load("second_moment", c.second_moment));
  if (file.find("best_parameters") != nullptr) TRY(load("best_parameters", c.best_parameters));
  if (!c.best_parameters.empty() && c.best_parameters.size() != c.parameters.size())
    return bad("state.safetensors: best_parameters is of another size");
  if (checksum({c.parameters, c.first_moment, c.second_moment, c.best_parameters}) !=
      root["sha256"])
    return bad("the checksum differs");
  return c;
}
}  // namespace

Status save_checkpoint(const std::string& dir, const CheckpointState& state,
                       const CheckpointBuffers& buffers) {
  const std::string name = std::string(folder_prefix) + std::to_string(state.step);
  const std::string temp = dir + "/" + std::string(unfinished_prefix) + name;
  const std::string path = dir + "/" + name;
  std::error_code error;
  fs::remove_all(temp, error);
  TRY(make_folders(temp));
  const auto tensor = [](const char* label, std::span<const float> values) {
    return TensorToWrite{label, {static_cast<std::int64_t>(values.size())}, values};
  };
  std::vector<TensorToWrite> tensors = {tensor("parameters", buffers.parameters),
                                        tensor("first_moment", buffers.first_moment),
                                        tensor("second_moment", buffers.second_moment)};
  if (!buffers.best_parameters.empty())
    tensors.push_back(tensor("best_parameters", buffers.best_parameters));
  const Evaluated& e = state.evaluated;
  json root = {{"version", format_version},
               {"fingerprint", state.fingerprint},
               {"step", state.step},
               {"tokens", state.tokens},
               {"loss", state.loss},
               {"microbatch_tokens", state.shape.microbatch_tokens},
               {"head_rows", state.shape.head_rows},
               {"threads", state.shape.threads},
               {"instruction_set", state.shape.instruction_set},
               {"library", state.shape.library},
               {"products", state.shape.products},
               {"ranks", state.shape.ranks},
               {"sha256", checksum(buffers)}};
  if (state.limits != PlanLimits{}) {
    root["kept_layers_at_most"] = state.limits.kept_layers;
    root["cached_layers_at_most"] = state.limits.cached_layers;
  }
  if (e.step >= 0)
    root["evaluated"] = {
        {"step", e.step}, {"loss", e.loss}, {"best_step", e.best_step}, {"best_loss", e.best_loss}};
  auto written = write_tensors(temp + "/state.safetensors", tensors);
  if (written.ok()) written = write_file(temp + "/state.json", root.dump(2) + "\n");
  if (!written.ok()) {
    fs::remove_all(temp, error);
    return written.error();
  }
  fs::remove_all(path, error);  // an older, passed-over checkpoint of the same step
  fs::rename(temp, path, error);
  if (error) return write_error("rename to", path, error.value());
  TRY(sync_folder(dir));
  int kept = 0;  // a later step is of a run that was given up: another fingerprint, or damaged
  for (const auto& [step, old] : list(dir))
    if (step > state.step || ++kept > checkpoints_kept) fs::remove_all(old, error);
  return ok();
}

void remove_unfinished_checkpoints(const std::string& dir) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(dir, error))
    if (entry.path().filename().string().starts_with(unfinished_prefix))
      found.push_back(entry.path());
  for (const auto& path : found) fs::remove_all(path, error);
}

Result<Checkpoint> load_checkpoint(const std::string& dir, const std::string& fingerprint) {
  std::string why;
  for (const auto& [step, path] : list(dir)) {
    auto checkpoint = read(path, fingerprint);
    if (checkpoint.ok()) return checkpoint;
    why += (why.empty() ? "" : "; ") + checkpoint.error().what;
  }
  return Error{Code::not_found, why.empty() ? "no checkpoint in " + dir : why};
}
}  // namespace kairo::gpu
