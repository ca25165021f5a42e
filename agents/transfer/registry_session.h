// agents/transfer/registry_session.h - requests to one repository of a registry.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "agents/transfer/http.h"
#include "agents/transfer/reference.h"
#include "agents/transfer/registry_auth.h"
#include "agents/transfer/registry_status.h"
#include "schemas/base/clock.h"

namespace kairo::transfer {
struct RegistryOptions {
  bool allow_http_loopback = true;            // plain http for localhost, 127.0.0.0/8, [::1]
  std::vector<std::string> plain_http_hosts;  // others by name, "registry.lab:5000"
  std::string ca_file;                        // PEM; "" = the system's
  std::size_t chunk_bytes = 16 << 20;         // of an upload; a smaller blob goes in one request
  int tries = 3;                              // of one request, within one call
  std::int64_t backoff_ms = 200;              // before the second try; doubles
  std::int64_t wait_max_ms = 10'000;          // a longer Retry-After ends the call: unavailable
  const std::atomic<bool>* stop = nullptr;    // becomes true to give up; may be null
};
struct Access {
  std::string actions;  // "pull" or "pull,push"
  std::string remedy;   // "check the Secret named in output.imagePushSecret"
  std::vector<Credential> credentials;
};
// Shows credentials to the registry alone, follows redirects without them, waits as Retry-After
// says. invalid: refused for good, with the registry's words and the remedy. unavailable: try again
// later. conflict: stopped.
class RegistrySession {  // one thread
 public:
  RegistrySession(Reference reference, Access access, const RegistryOptions& options);
  const Url& base() const { return base_; }          // https://host/v2/<repository>/
  const std::string& name() const { return name_; }  // "host/repository", for messages
  // invalid: the registry's host makes no URL.
  Status open();
  // The answer of the last hop, never a redirect, 401 or 403. Transient answers and broken
  // connections are repeated when `is_repeatable`; otherwise the caller learns of them.
  Result<HttpAnswer> call(const HttpCall& request, bool is_repeatable);
  // invalid: the registry is reached by https and `url`, which it names, is not: adapter and
  // credentials would go out in clear.
  Status check_scheme(const Url& url, const std::string& what) const;
  Error refusal(const HttpAnswer& answer) const;  // invalid, for a final answer
  Error busy(const HttpAnswer& answer) const;     // unavailable, for a transient one
  std::uint64_t sent() const { return sent_; }    // bytes of request bodies
  Status wait(std::int64_t ms) const;             // conflict: stopped

 private:
  Result<HttpAnswer> follow(HttpCall request);
  HttpAnswer in_words(HttpCall request, HttpAnswer answer);
  Result<HttpAnswer> authorized(const HttpCall& request);

  const Reference reference_;
  Access access_;
  const RegistryOptions options_;
  const std::string name_;
  const SystemClock clock_{};
  Http http_;
  Url base_;
  std::unique_ptr<RegistryAuth> auth_;
  std::uint64_t sent_ = 0;
};
}  // namespace kairo::transfer
