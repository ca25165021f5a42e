// agents/local/node/probe.h - one HTTP GET on loopback that never makes its caller wait.
// Private to local/.
#pragma once
#include <cstdint>
#include <string>

#include "schemas/base/clock.h"

namespace kairo::cluster {
class HttpProbe {  // one thread
 public:
  enum class Outcome : std::uint8_t { pending, succeeded, failed };
  // As the kubelet asks: any status from 200 to 399 within timeout_ms is a success.
  HttpProbe(int port, const std::string& path, std::int64_t timeout_ms, const Clock& clock);
  ~HttpProbe();
  HttpProbe(const HttpProbe&) = delete;
  HttpProbe& operator=(const HttpProbe&) = delete;
  Outcome poll();
  const std::string& why() const { return why_; }  // after a failure

 private:
  Outcome fail(const std::string& why);
  const Clock& clock_;
  const std::int64_t deadline_ms_;
  int fd_;
  std::string request_, reply_, why_;
};
}  // namespace kairo::cluster
