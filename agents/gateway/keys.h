// agents/gateway/keys.h - who may ask. Pure.
#pragma once
#include <map>
#include <string>

#include "schemas/base/result.h"

namespace kairo::gateway {
// A line each: a key, and a name for whose it is (files and jobs are counted by it); # begins a
// remark. A key without a name is its own. Keys are kept as digests, so that a comparison tells
// nothing by its time.
class Keys {
 public:
  Keys() = default;  // none: everybody may ask
  // invalid: no key in it, one of less than 16 characters, one that stands twice.
  static Result<Keys> parse(const std::string& text);
  static Result<Keys> load(const std::string& path);  // invalid too: others may read the file
  bool any() const { return !owners_.empty(); }
  // authorization: the header's value. False: it names none of them.
  bool may(const std::string& authorization, std::string& owner) const;

 private:
  std::map<std::string, std::string> owners_;  // SHA-256 of the key -> whose
};
}  // namespace kairo::gateway
