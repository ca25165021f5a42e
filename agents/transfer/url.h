// agents/transfer/url.h - URLs as libcurl reads them, so that what is checked is what is connected
// to.
#pragma once
#include <string>

#include "schemas/base/result.h"

namespace kairo::transfer {
struct Url {
  std::string text;    // with everything
  std::string scheme;  // lower case
  std::string host;    // lower case; IPv6 in brackets
  std::string port;    // the scheme's own when none is written
  std::string path;
  bool has_userinfo = false;
};
// invalid: no absolute URL. Only http and https are taken.
Result<Url> parse_url(const std::string& text);
// The target of a Location header that came from `base`: relative, scheme-relative or absolute.
Result<Url> resolve_url(const Url& base, const std::string& location);
bool is_same_origin(const Url& a, const Url& b);  // scheme, host and port
// Without user, password, query and fragment: fit for messages and logs.
std::string redacted(const Url& url);
std::string redacted_text(const std::string& url);  // of what may be no URL at all
}  // namespace kairo::transfer
