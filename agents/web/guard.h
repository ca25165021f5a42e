// agents/web/guard.h - who may ask, and what every answer carries. Pure.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace kairo::web {
struct Asked {
  std::string method, path;
  std::string host;           // the header
  std::string authorization;  // these: "" = none
  std::string origin, fetch_site;
};
struct Refusal {
  int status = 0;  // 0: none
  std::string text;
};
class Guard {
 public:
  // token: of 256 bits; "": whose a token is somebody else is asked (viewers.h). hosts: names
  // besides those of loopback by which one may be asked.
  Guard(const std::string& token, std::vector<std::string> hosts);
  // Before anything else: a name that we do not have is somebody's who had their DNS answer with
  // our address (421); the API wants the token (401); a POST of another page is refused (403).
  Refusal refusal(const Asked& asked) const;
  bool has_token(const std::string& authorization) const;
  static const std::map<std::string, std::string>& headers();

 private:
  bool is_ours(const std::string& host) const;
  const std::string digest_;  // the token itself is not kept; "" = any will do here
  const std::vector<std::string> hosts_;
};
}  // namespace kairo::web
