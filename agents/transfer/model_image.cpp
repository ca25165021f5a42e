// agents/transfer/model_image.cpp - a layer is a file, or an archive with files.
#include "agents/transfer/model_image.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "agents/transfer/inflate.h"
#include "agents/transfer/layers.h"
#include "agents/transfer/part_file.h"
#include "agents/transfer/tar_reader.h"
#include "schemas/base/digest.h"

namespace kairo::transfer {
namespace {
namespace fs = std::filesystem;

std::string last_part(const std::string& path) {
  return path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
}
long depth_of(const std::string& path) {
  return std::count(path.begin(), path.end(), '/') - (path.starts_with("./") ? 1 : 0) -
         (path.starts_with('/') ? 1 : 0);
}
// oras calls a plain file's layer a tar too, but gives it the file's name.
bool is_archive(const Layer& layer) {
  const auto ends = [](const std::string& text, std::string_view tail) {
    return text.ends_with(tail);
  };
  if (layer.media_type.ends_with(".raw")) return false;
  if (layer.is_folder || layer.title.empty()) return true;
  for (const char* tail : {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.gzip"})
    if (ends(layer.title, tail)) return true;
  const bool is_model_pack = layer.media_type.find(".model.") != std::string::npos;
  return is_model_pack && layer.media_type.find(".tar") != std::string::npos;
}

class ModelUnpack {  // the model's files of one archive, flat into a folder
 public:
  ModelUnpack(const std::string& to, std::uint64_t bytes_max, std::map<std::string, long>& depths)
      : to_(to), bytes_max_(bytes_max), depths_(depths) {}
  Status begin(const TarEntry& entry) {
    TRY(end());
    if (++entries_ > 200'000) return Error{Code::invalid, "the image has more than 200000 entries"};
    const std::string name = last_part(entry.path);
    if (entry.kind != TarKind::file || !is_model_file(name)) return ok();
    const auto known = depths_.find(name);
    if (known != depths_.end() && known->second < depth_of(entry.path)) return ok();
    depths_[name] = depth_of(entry.path);
    name_ = name;
    TRY(part_.open_at(to_ + "/." + name + ".part", name));
    return part_.restart();
  }
  Status data(std::string_view bytes) {
    bytes_ += bytes.size();  // of what is passed over too: a bomb is a bomb
    if (bytes_ > bytes_max_)
      return Error{Code::invalid,
                   "the image has more than " + std::to_string(bytes_max_) + " bytes"};
    return name_.empty() ? ok() : part_.append(bytes);
  }
  Status end() {
    if (name_.empty()) return ok();
    TRY(part_.sync());
    part_.close();
    const std::string name = std::exchange(name_, {});
    return renamed(to_ + "/." + name + ".part", to_ + "/" + name);
  }

 private:
  const std::string& to_;
  const std::uint64_t bytes_max_;
  std::map<std::string, long>& depths_;  // by name: how deep its folder is
  PartFile part_;
  std::string name_;  // being written; "" = none
  std::uint64_t bytes_ = 0;
  std::size_t entries_ = 0;
};

class ImageFetch {  // of one model; one thread
 public:
  explicit ImageFetch(const ModelImageOptions& options) : o_(options) {}
  Result<FetchedModel> run();

 private:
  std::string note_of(const Layer& layer) const {
    return o_.to + "/.layer-" + layer.digest.substr(7, 16);
  }
  std::string part_of(const Layer& layer) const {
    return o_.to + "/." + last_part(layer.title) + ".part";
  }
  bool is_wanted(const Layer& layer) const {
    return is_archive(layer) || is_model_file(last_part(layer.title));
  }
  std::uint64_t here_of(const Layer& layer) const;
  Status fetch_file(RegistrySession& session, const Layer& layer);
  Status fetch_archive(RegistrySession& session, const Layer& layer);
  void tell(std::uint64_t more) {
    done_ += more;
    if (o_.watch.progress) o_.watch.progress(std::min(done_, total_), total_);
  }

  const ModelImageOptions& o_;
  std::map<std::string, long> depths_;
  std::uint64_t done_ = 0, total_ = 0;
};

// Bytes of the layer that need not come again.
std::uint64_t ImageFetch::here_of(const Layer& layer) const {
  std::error_code error;
  if (fs::exists(note_of(layer), error)) return layer.size;
  if (is_archive(layer)) return 0;
  const std::uintmax_t bytes = fs::file_size(part_of(layer), error);
  return error ? 0 : std::min<std::uint64_t>(bytes, layer.size);
}

Status ImageFetch::fetch_file(RegistrySession& session, const Layer& layer) {
  PartFile part;
  TRY(part.open_at(part_of(layer), last_part(layer.title)));
  if (part.size() > layer.size) TRY(part.restart());
  Sha256 hash;  // of what is here too
  std::ifstream here(part_of(layer), std::ios::binary);
  std::string block(1 << 20, '\0');
  for (std::uint64_t left = part.size(); left > 0 && here;) {
    here.read(block.data(),
              static_cast<std::streamsize>(std::min<std::uint64_t>(left, block.size())));
    hash.update({block.data(), static_cast<std::size_t>(here.gcount())});
    left -= static_cast<std::uint64_t>(here.gcount());
  }
  const auto take = [&](std::string_view bytes) -> Status {
    TRY(part.append(bytes));
    hash.update(bytes);
    tell(bytes.size());
    return ok();
  };
  TRY(stream_layer(session, layer, part.size(), o_.registry, take));
  if ("sha256:" + hash.hex() != layer.digest) {
    TRY(part.restart());  // the next try begins anew
    return wrong_layer(session, layer);
  }
  TRY(part.sync());
  part.close();
  return renamed(part_of(layer), o_.to + "/" + last_part(layer.title));
}

Status ImageFetch::fetch_archive(RegistrySession& session, const Layer& layer) {
  ModelUnpack unpack(o_.to, o_.bytes_max, depths_);
  TarReader tar({[&](const TarEntry& entry) { return unpack.begin(entry); },
                 [&](std::string_view bytes) { return unpack.data(bytes); }});
  Inflate inflate([&](std::string_view bytes) { return tar.feed(bytes); });
  Sha256 hash;
  const auto take = [&](std::string_view bytes) -> Status {
    hash.update(bytes);
    TRY(inflate.feed(bytes));
    tell(bytes.size());
    return ok();
  };
  TRY(stream_layer(session, layer, 0, o_.registry, take));
  if ("sha256:" + hash.hex() != layer.digest) return wrong_layer(session, layer);
  TRY(inflate.finish());
  TRY(tar.finish());
  return unpack.end();
}

Result<FetchedModel> ImageFetch::run() {
  const Reference reference = TRY(parse_reference(o_.image));
  Access access{"pull", "check the registry's credentials", {}};
  for (const std::string& config : o_.docker_configs) {
    auto found = TRY(credentials_for(config, reference));
    for (Credential& c : found) access.credentials.push_back(std::move(c));
  }
  RegistrySession session(reference, std::move(access), o_.registry);
  TRY(session.open());
  const Manifest manifest = TRY(manifest_of(session, reference));
  if (o_.watch.pinned) TRY(o_.watch.pinned(manifest.digest));
  for (const Layer& layer : manifest.layers) {
    if (!is_wanted(layer)) continue;
    total_ += layer.size;
    done_ += here_of(layer);
  }
  tell(0);
  if (o_.watch.room) TRY(o_.watch.room(total_ - done_));
  FetchedModel out{manifest.digest, {}};
  for (const Layer& layer : manifest.layers) {
    std::error_code error;
    if (!is_wanted(layer) || fs::exists(note_of(layer), error)) continue;
    TRY((is_archive(layer) ? fetch_archive(session, layer) : fetch_file(session, layer)));
    std::ofstream(note_of(layer)) << "whole\n";
  }
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(o_.to, error))
    if (is_model_file(file.path().filename().string()))
      names.push_back(file.path().filename().string());
  std::sort(names.begin(), names.end());
  TRY(check_is_whole(names, text_of(reference)));
  for (const std::string& name : names)
    out.files.push_back({name, fs::file_size(o_.to + "/" + name, error), ""});
  return out;
}
}  // namespace

Result<FetchedModel> fetch_model_image(const ModelImageOptions& options) {
  ImageFetch fetch(options);
  return fetch.run();
}
}  // namespace kairo::transfer
