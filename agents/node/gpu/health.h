// agents/node/gpu/health.h - whether a GPU is well, from what is known of it. Pure.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agents/node/gpu/gpus.h"
#include "agents/node/gpu/xids.h"

namespace kairo::node {
constexpr std::int64_t silent_ms_max = 10'000;  // a call that takes longer will not come back
constexpr std::int64_t well_after_ms = 60'000;  // so long it must have been well to count as well

struct XidSeen {
  unsigned number = 0;
  std::int64_t at_ms = 0;  // monotonic, as all times here
};
struct GpuSight {  // of one GPU at a moment
  Gpu gpu;
  std::optional<Reading> reading;
  std::int64_t read_at_ms = 0;        // of the reading
  std::int64_t busy_since_ms = 0;     // a call began then and has not ended; 0 = none
  std::optional<GpuError> error;      // what the last call said instead of a reading
  std::optional<XidSeen> last, fatal;  // the last error; the last one that the table calls fatal
};
struct GpuBoard {  // of the machine
  std::int64_t now_ms = 0;
  bool is_open = false;  // there is a driver
  std::string driver;
  std::string trouble;  // of the machine as a whole; "" = none
  std::vector<GpuSight> gpus;
};
// Why nothing new may run on it: cause and remedy, the same words as long as it is the same; "" =
// it is well. The driver's own verdict counts more than the table where it has one that is newer
// than the error.
std::string trouble_of(const GpuSight& seen, const Xids& xids, std::int64_t now_ms);

// One that comes and goes is not well: what it suffered from is told until it has been well for a
// while.
class Convalescence {
 public:
  std::string settle(const std::string& uuid, std::string trouble, std::int64_t now_ms);

 private:
  struct Case {
    std::string trouble;
    std::int64_t ill_at_ms = 0;
  };
  std::map<std::string, Case> cases_;
};
}  // namespace kairo::node
