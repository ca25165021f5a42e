// agents/pusher/uploader.h - pushing an adapter as an image, as the pusher agent sees it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::pusher {
struct PushRequest {
  std::string reference;           // "registry.example/team/adapter:1"
  std::string directory;           // holds adapter_config.json and adapter_model.safetensors
  std::string model_name;          // annotation sh.kaito.model.name
  std::string docker_config_json;  // the Secret's text; "" = anonymous. Never logged.
  std::map<std::string, std::string> annotations;
  std::vector<std::string> files{};  // of the directory; empty: the adapter's
};
struct PushResult {
  std::string digest;       // of the manifest, "sha256:..."
  std::uint64_t bytes = 0;  // of the image
  std::uint64_t sent = 0;   // bytes that went over the wire in this call
  std::string replaced{};   // digest of what had the tag before; "" = nothing, or this image
};
class Uploader {  // thread-safe; one push at a time per reference
 public:
  virtual ~Uploader() = default;
  // Idempotent: an image that is already there is verified and not sent again. invalid: refused for
  // good (credentials, rights, bad reference); unavailable: try again.
  virtual Result<PushResult> push(
      const PushRequest& request,
      const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) = 0;
};
}  // namespace kairo::pusher
