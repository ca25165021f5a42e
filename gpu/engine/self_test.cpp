// gpu/engine/self_test.cpp - the same calls on the same values, on the CPU and the device.
#include "gpu/engine/self_test.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "gpu/engine/self_test_trials.h"
#include "gpu/kernels/cached_attention.h"
#include "gpu/plan/attention_rows.h"

namespace kairo::gpu {
namespace {
// How far got is from wanted, as a share of the largest value.
double difference(const std::vector<float>& got, const std::vector<float>& wanted) {
  if (got.size() != wanted.size()) return std::numeric_limits<double>::infinity();
  double largest = 0, off = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference =
        std::fabs(static_cast<double>(got[i]) - static_cast<double>(wanted[i]));
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    off = std::max(off, difference);
    largest = std::max(largest, static_cast<double>(std::fabs(wanted[i])));
  }
  return off == 0 ? 0 : off / largest;
}
}  // namespace

std::string SelfTest::Finding::text() const {
  char share[64];
  std::snprintf(share, sizeof share, "%.2g of the largest value, %.2g allowed", off, bound);
  return std::string(name_of(call)) + " (" + shape + ") is off by " + share;
}
std::string SelfTest::text() const {
  std::string out = "self-test: " + std::to_string(trials) + " trials against the CPU";
  if (given_up.empty()) return out + " agree";
  for (const Finding& finding : given_up)
    out += "; " + finding.text() + ": libtorch computes it instead";
  return out;
}

Result<SelfTest> self_test(Ops& device, ForwardOps* own) {
  SelfTest out;
  const auto cpu = make_cpu_ops(1, std::max(scores_to_train_bf16(trial_longest, trial_dim),
                                            cached_attention_scratch(trial_longest, trial_dim)));
  for (const Trial& trial : self_test_trials()) {
    ++out.trials;
    if (out.tried.empty() || out.tried.back() != trial.call) out.tried.push_back(trial.call);
    const auto off = [&] {
      const auto said_by = [&trial](Ops& ops) {
        ops.enter();
        Desk desk(ops);
        trial.run(desk);
        return desk.said;
      };
      return difference(said_by(device), said_by(*cpu));
    };
    SelfTest::Finding finding = {trial.call, trial.shape, off(), trial.bound};
    if (finding.off <= trial.bound) continue;
    if (own != nullptr && own->is_own(trial.call)) {
      own->give_up(trial.call);
      out.given_up.push_back(finding);
      finding.off = off();
      if (finding.off <= trial.bound) continue;
    }
    return Error{Code::corrupt, "the device does not compute what the CPU does: " + finding.text() +
                                    ". Choose --device cpu, and report this line"};
  }
  return out;
}
}  // namespace kairo::gpu
