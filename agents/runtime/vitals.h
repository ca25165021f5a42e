// agents/runtime/vitals.h - what a process rests on (bus, store, watches), and how it is:
// for /readyz in words, for /metrics in seconds.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::runtime {
struct Vital {
  std::string name;           // "bus", "store", "watch jobs"
  std::int64_t age_ms = 0;    // since it was last all right, or since it is expected
  std::int64_t limit_ms = 0;  // older is trouble; 0 = it may be silent
  std::string trouble;        // what it said last; "" = it was all right
  bool is_ok() const { return trouble.empty() && (limit_ms == 0 || age_ms <= limit_ms); }
};
class Vitals {  // thread-safe
 public:
  explicit Vitals(const Clock& clock) : clock_(clock) {}
  // From now on it is missed when nothing good is heard of it for longer than limit_ms.
  void expect(const std::string& name, std::int64_t limit_ms);
  void report(const std::string& name, const Status& how);
  std::vector<Vital> all() const;  // by name
  // "bus: not connected; watch jobs: nothing heard for 75 s"; "" = all is well.
  std::string trouble() const;

 private:
  struct Kept {
    std::int64_t ok_ms = 0, limit_ms = 0;  // monotonic
    std::string trouble;
  };
  Kept& known(const std::string& name);  // with the lock held
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Kept> kept_;
};
}  // namespace kairo::runtime
