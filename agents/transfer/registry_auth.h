// agents/transfer/registry_auth.h - proving to a registry who asks: Basic and bearer tokens.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agents/transfer/docker_auth.h"
#include "agents/transfer/http.h"
#include "schemas/base/clock.h"

namespace kairo::transfer {
struct Challenge {                            // one of a WWW-Authenticate header
  std::string scheme;                         // lower case
  std::map<std::string, std::string> values;  // names in lower case
};
std::vector<Challenge> parse_challenges(const std::string& header);

// Tries anonymous, then each credential, and keeps the one that the registry takes. Credentials go
// to the registry's own host or, over https, to the token server that the registry names.
class RegistryAuth {  // one thread; the Http and Clock must outlive it
 public:
  RegistryAuth(Http& http, const Clock& clock, Url registry, std::string scope,
               std::vector<Credential> credentials)
      : http_(http),
        clock_(clock),
        registry_(std::move(registry)),
        scope_(std::move(scope)),
        credentials_(std::move(credentials)) {}
  // The Authorization header's value, "" = none; renews a token that has lived 75 % of its life.
  Result<std::string> header();
  // After a 401 or 403: true = something new can be shown, ask again; false = nothing is left.
  // unavailable: the token server does not answer.
  Result<bool> learn(const HttpAnswer& refusal);
  // An answer was neither 401 nor 403: what was shown for it is right.
  void accept() { is_accepted_ = !value_.empty(); }
  bool has_credentials() const { return !credentials_.empty(); }
  const std::string& token_refusal() const { return token_refusal_; }  // of the token server

 private:
  // true: value_ is set. false: this credential gets no token.
  Result<bool> prepare(const Credential* credential);
  Result<bool> exchange(const Credential* credential);
  Result<bool> read_token(const HttpAnswer& answer);

  Http& http_;
  const Clock& clock_;
  const Url registry_;
  const std::string scope_;
  const std::vector<Credential> credentials_;
  std::vector<Challenge> challenges_;
  const Credential* current_ = nullptr;  // null: anonymous
  std::size_t next_ = 0;                 // credential to try next
  bool tried_anonymous_token_ = false, is_accepted_ = false, is_token_ = false;
  std::string value_, token_refusal_;
  std::int64_t renew_at_ms_ = 0;  // monotonic; 0 = never
};
}  // namespace kairo::transfer
