// tests/sim/lease_model.h - one role's lease, for the simulation: free at its holder's death as a
// file's lock is, or after a while without a renewal as a Lease object is.
#pragma once
#include <cstdint>
#include <string>

#include "agents/runtime/lease.h"
#include "tests/sim/dice.h"

namespace kairo::sim {
struct LeaseTable {
  bool is_lock = false;
  std::uint64_t holder = 0;  // a process; 0 = it is free
  std::uint64_t term = 0;
  std::int64_t renewed_ms = 0;
};
class LeaseModel final : public runtime::Lease {  // one process's claim
 public:
  LeaseModel(LeaseTable& table, std::uint64_t self, const Clock& clock, Dice& dice)
      : table_(table), self_(self), clock_(clock), dice_(dice) {}
  ~LeaseModel() override {
    if (table_.is_lock) (void)release();
  }
  Result<runtime::Claim> claim() override {
    if (!table_.is_lock && dice_.fault(30)) return Error{Code::unavailable, "apiserver: 503"};
    const std::int64_t now = clock_.monotonic_ms();
    const bool is_over = !table_.is_lock && now - table_.renewed_ms >= runtime::lease_ms;
    if (table_.holder != self_) {
      if (table_.holder != 0 && !is_over) return runtime::Claim{false, table_.term};
      table_.holder = self_;
      dice_.journal.note("lease of process " + std::to_string(self_),
                         std::to_string(++table_.term));
    }
    table_.renewed_ms = now;
    return runtime::Claim{true, table_.term};
  }
  Status release() override {
    if (table_.holder == self_) table_.holder = 0;
    return ok();
  }
  std::int64_t trusted_ms() const override { return table_.is_lock ? 0 : runtime::lease_trust_ms; }

 private:
  LeaseTable& table_;
  const std::uint64_t self_;
  const Clock& clock_;
  Dice& dice_;
};
}  // namespace kairo::sim
