// agents/local/apiserver/selector.h - Kubernetes' label selector in its text form. Private to
// apiserver/.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/json.h"

namespace kairo::cluster {
// "a=b", "a==b", "a!=b", "a", "!a", "a in (x,y)", "a notin (x,y)", joined by commas; "" takes all.
// Text that is none of these takes nothing.
class Selector {
 public:
  explicit Selector(const std::string& text);
  bool matches(const Json& labels) const;  // labels: a map, or null

 private:
  enum class Test : std::uint8_t { in, not_in, exists, absent, never };
  struct Term {
    Test test;
    std::string key;
    std::vector<std::string> values;
  };
  static Term term_of(const std::string& text);
  std::vector<Term> terms_;
};
}  // namespace kairo::cluster
