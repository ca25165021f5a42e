// agents/runtime/lease.h - who of several processes of one role acts; the others stand by.
//
// A lease is needed for effects and for saying facts only: every process hears all facts and keeps
// its record warm. Each time that a lease changes hands it has another, higher term. A process acts
// in one term. One contract test runs against each implementation.
#pragma once
#include <cstdint>
#include <mutex>

#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::runtime {
constexpr std::int64_t lease_ms = 1'400;      // without a renewal for so long it is free
constexpr std::int64_t lease_trust_ms = 900;  // so long its holder relies on a renewal
constexpr std::int64_t lease_renew_ms = 400;  // its holder renews it so often
constexpr std::int64_t lease_look_ms = 200;   // the others look so often

struct Claim {
  bool is_ours = false;    // now
  std::uint64_t term = 0;  // the last one, whoever has it or had it; 0 = nobody ever
};
class Lease {  // one process's claim; one thread at a time calls it
 public:
  virtual ~Lease() = default;
  virtual Result<Claim> claim() = 0;  // takes or keeps it. unavailable: nobody knows whose it is
  virtual Status release() = 0;       // another may have it at once
  // How long after a claim was sent it is surely ours; 0 = until this process ends.
  virtual std::int64_t trusted_ms() const = 0;
};

// What one process has from its lease: a term, as long as it can be sure of it. When it is not sure
// (it was paused, or the API server does not answer) it does nothing, until it is again; when
// another has had the lease meanwhile it is lost for good. Thread-safe.
class Tenure {
 public:
  Tenure(Lease& lease, const Clock& clock) : lease_(lease), clock_(clock) {}
  Status tend();  // one claim
  void end();     // does nothing more and gives the lease back
  struct Terms {
    std::uint64_t own = 0;   // 0: it stands by, is not sure, or has lost it
    std::uint64_t last = 0;  // that it knows of, whoever's; 0 = of none yet
  };
  Terms terms() const;
  std::uint64_t term() const { return terms().own; }
  bool is_lost() const;

 private:
  std::mutex claiming_;  // held while the lease is called
  Lease& lease_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // of what follows
  std::uint64_t term_ = 0, last_ = 0;
  std::int64_t sent_ms_ = 0;  // monotonic, before the last claim was sent
  bool is_lost_ = false, is_over_ = false;
};
}  // namespace kairo::runtime
