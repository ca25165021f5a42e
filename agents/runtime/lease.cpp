// agents/runtime/lease.cpp - tenure over any lease.
#include "agents/runtime/lease.h"

namespace kairo::runtime {
Status Tenure::tend() {
  const std::lock_guard claiming(claiming_);
  {
    const std::lock_guard lock(mutex_);
    if (is_lost_ || is_over_) return ok();
  }
  const std::int64_t sent_ms = clock_.monotonic_ms();
  const Claim claim = TRY(lease_.claim());
  const std::lock_guard lock(mutex_);
  is_lost_ = term_ != 0 && !(claim.is_ours && claim.term == term_);
  term_ = claim.is_ours ? claim.term : 0;
  last_ = claim.term;
  sent_ms_ = sent_ms;
  return ok();
}
void Tenure::end() {
  const std::lock_guard claiming(claiming_);
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  (void)lease_.release();
}
Tenure::Terms Tenure::terms() const {
  const std::lock_guard lock(mutex_);
  const std::int64_t trusted_ms = lease_.trusted_ms();
  const bool is_sure = trusted_ms == 0 || clock_.monotonic_ms() - sent_ms_ < trusted_ms;
  return {is_sure && !is_lost_ && !is_over_ ? term_ : 0, last_};
}
bool Tenure::is_lost() const {
  const std::lock_guard lock(mutex_);
  return is_lost_;
}
}  // namespace kairo::runtime
