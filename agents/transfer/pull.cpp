// agents/transfer/pull.cpp - manifest, layers streamed through hash, inflater and tar, then
// renames.
#include "agents/transfer/pull.h"

#include <filesystem>

#include "agents/transfer/inflate.h"
#include "agents/transfer/layers.h"
#include "agents/transfer/unpack.h"
#include "schemas/base/digest.h"

namespace kairo::transfer {
namespace {
namespace fs = std::filesystem;
class LayerPull {  // one layer's bytes, once each, in spite of broken transfers
 public:
  LayerPull(RegistrySession& session, const Layer& layer, Unpack& unpack)
      : session_(session),
        layer_(layer),
        tar_({[&unpack](const TarEntry& e) { return unpack.begin(e); },
              [&unpack](std::string_view bytes) { return unpack.data(bytes); }}),
        inflate_([this](std::string_view bytes) { return tar_.feed(bytes); }) {}
  Status run(const PullOptions& options, std::uint64_t before, std::uint64_t total) {
    std::uint64_t received = 0;
    const auto take = [&](std::string_view bytes) -> Status {
      received += bytes.size();
      hash_.update(bytes);
      TRY(inflate_.feed(bytes));
      if (options.progress) options.progress(before + received, total);
      return ok();
    };
    TRY(stream_layer(session_, layer_, 0, options.registry, take));
    if ("sha256:" + hash_.hex() != layer_.digest) return wrong_layer(session_, layer_);
    TRY(inflate_.finish());
    return tar_.finish();
  }

 private:
  RegistrySession& session_;
  const Layer& layer_;
  TarReader tar_;
  Inflate inflate_;
  Sha256 hash_;
};
Error disk(const std::string& path, const std::error_code& error) {
  return {Code::unavailable, "write " + path + ": " + error.message()};
}
// What lies in `from` moves to `to`, entry by entry: `to` may be a mount point.
Status move_all(const std::string& from, const std::string& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const fs::path target = fs::path(to) / entry.path().filename();
    fs::remove_all(target, error);
    fs::rename(entry.path(), target, error);
    if (error) return disk(target.string(), error);
  }
  if (error) return disk(from, error);
  return ok();
}
}  // namespace

Status pull(const PullOptions& options) {
  const Reference reference = TRY(parse_reference(options.image));
  Access access{"pull", "check the image's pull Secret (imagePullSecrets)", {}};
  for (const std::string& config : options.docker_configs) {
    auto found = TRY(credentials_for(config, reference));
    for (Credential& c : found) access.credentials.push_back(std::move(c));
  }
  RegistrySession session(reference, std::move(access), options.registry);
  TRY(session.open());
  const std::vector<Layer> layers = TRY(manifest_of(session, reference)).layers;
  std::uint64_t total = 0, before = 0;
  for (const Layer& layer : layers) total += layer.size;

  const std::string staging = options.to + "/.pulling";
  std::error_code error;
  fs::remove_all(staging, error);  // of a pull that was killed
  fs::create_directories(staging, error);
  if (error) return disk(staging, error);
  Unpack unpack(staging, {options.bytes_max, UnpackLimits{}.entries_max});
  for (const Layer& layer : layers) {
    unpack.begin_layer();
    LayerPull one(session, layer, unpack);
    Status done = one.run(options, before, total);
    if (done.ok()) done = unpack.end_layer();
    if (!done.ok()) {
      fs::remove_all(staging, error);
      return done;
    }
    before += layer.size;
  }
  if (unpack.files() == 0) {
    fs::remove_all(staging, error);
    return Error{Code::invalid, text_of(reference) + " has no files in /data; put them there"};
  }
  TRY(move_all(staging, options.to));
  fs::remove_all(staging, error);
  return ok();
}
}  // namespace kairo::transfer
