// agents/pusher/registry_uploader.cpp - blobs, then the manifest, then a look at what is there.
#include "agents/pusher/registry_uploader.h"

#include "agents/transfer/blob_upload.h"
#include "agents/transfer/image.h"
#include "agents/transfer/manifests.h"

namespace kairo::pusher {
using namespace transfer;  // NOLINT(google-build-using-namespace): it is made of them
namespace {
Status verify(RegistrySession& session, const Image& image, const std::string& name) {
  const std::string there = TRY(look_up(session, name)).digest;
  // Older registries name no digest; then having the manifest under its tag must do.
  if (there.empty() || there == image.digest) return ok();
  return Error{Code::unavailable, session.name() + ":" + name + " is " + there + " right after " +
                                      image.digest +
                                      " was pushed: somebody else pushes this tag too"};
}
class Claim {  // one push at a time per reference
 public:
  Claim(std::mutex& mutex, std::set<std::string>& busy, std::string name)
      : mutex_(mutex), busy_(busy), name_(std::move(name)) {
    const std::lock_guard lock(mutex_);
    is_mine_ = busy_.insert(name_).second;
  }
  ~Claim() {
    if (!is_mine_) return;
    const std::lock_guard lock(mutex_);
    busy_.erase(name_);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  bool is_mine() const { return is_mine_; }

 private:
  std::mutex& mutex_;
  std::set<std::string>& busy_;
  const std::string name_;
  bool is_mine_ = false;
};
}  // namespace

Result<PushResult> RegistryUploader::push(
    const PushRequest& request,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  const Reference reference = TRY(parse_reference(request.reference));
  if (!reference.digest.empty())
    return Error{Code::invalid, "Unable to parse output image reference: " + request.reference +
                                    " names a digest; push to a tag"};
  const Claim claim(mutex_, busy_, text_of(reference));
  if (!claim.is_mine())
    return Error{Code::unavailable, text_of(reference) + " is being pushed already"};
  const Image image =
      TRY(plan_image({request.directory, request.model_name, request.annotations, request.files}));
  Access access{"pull,push", "check the Secret named in output.imagePushSecret",
                TRY(credentials_for(request.docker_config_json, reference))};
  RegistrySession session(reference, std::move(access), options_);
  TRY(session.open());
  PushResult result;
  result.digest = image.digest;
  result.bytes = image.bytes;
  const std::string known = TRY(look_up(session, reference.tag)).digest;
  if (known == image.digest) {  // a registry takes a manifest only when it has the blobs
    if (progress) progress(image.bytes, image.bytes);
    return result;
  }
  std::uint64_t before = 0;
  const auto send = [&](const Blob& blob) -> Status {
    BlobUpload upload(session, log_, blob, options_, [&](std::uint64_t done) {
      if (progress) progress(before + done, image.bytes);
    });
    TRY(upload.run());
    before += blob.size;
    return ok();
  };
  TRY(send(image.config));
  for (const Blob& layer : image.layers) TRY(send(layer));
  TRY(put_manifest(session, image, image.digest));
  TRY(put_manifest(session, image, reference.tag));
  TRY(verify(session, image, reference.tag));
  if (progress) progress(image.bytes, image.bytes);
  result.replaced = known;
  result.sent = session.sent();
  return result;
}
}  // namespace kairo::pusher
