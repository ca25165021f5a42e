// agents/transfer/inflate.h - a layer's bytes, plain, gzip or zstd by their first bytes, to plain
// bytes.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::transfer {
class Inflate {  // one thread
 public:
  using Sink = std::function<Status(std::string_view bytes)>;
  explicit Inflate(Sink sink);
  ~Inflate();
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;
  // corrupt: not what its first bytes promised. Errors of the sink are passed on.
  Status feed(std::string_view bytes);
  Status finish();  // corrupt: the stream is cut

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
}  // namespace kairo::transfer
