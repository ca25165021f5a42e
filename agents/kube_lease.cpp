// agents/kube_lease.cpp - one patch with resourceVersion to renew, a read before it to take.
#include "agents/kube_lease.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"

namespace kairo {
namespace {
using Json = nlohmann::json;
using runtime::Claim;

struct Seen {
  std::string version, holder;  // holder "" = it is free; version "" = nothing is there
  std::uint64_t term = 0;
};
Seen seen_in(const std::string& text) {
  const Json object = Json::parse(text, nullptr, false);
  Seen out;
  if (!object.is_object()) return out;
  const auto field = [&](const char* part, const char* name) {
    const Json& in = object.contains(part) ? object[part] : object;
    return in.is_object() && in.contains(name) ? in[name] : Json();
  };
  const Json version = field("metadata", "resourceVersion"),
             holder = field("spec", "holderIdentity"), term = field("spec", "leaseTransitions");
  if (version.is_string()) out.version = version;
  if (holder.is_string()) out.holder = holder;
  if (term.is_number_unsigned()) out.term = term;
  return out;
}
// "2025-11-24T16:00:00.250000Z", Kubernetes' MicroTime.
std::string micro_time(std::int64_t unix_ms) {
  std::string text = rfc3339(unix_ms);
  text.insert(text.size() - 1, "." + std::to_string(1000 + unix_ms % 1000).substr(1) + "000");
  return text;
}

class KubeLease final : public runtime::Lease {
 public:
  KubeLease(cluster::Cluster& cluster, const Clock& clock, KubeLeaseOptions options)
      : cluster_(cluster), clock_(clock), options_(std::move(options)) {}
  Result<Claim> claim() override {
    if (is_ours()) {  // as far as is known: then one call does
      const Status renewed = write(seen_.term);
      if (renewed.ok()) return Claim{true, seen_.term};
      if (renewed.error().code == Code::unavailable) return renewed.error();
    }
    TRY(look());
    if (!is_ours() && !is_free()) return Claim{false, seen_.term};
    // The server counts in 32 bits. Whoever finds the count set to its end begins anew.
    const std::uint64_t next = seen_.term < INT32_MAX ? seen_.term + 1 : 1;
    const Status taken = write(is_ours() ? seen_.term : next);
    if (taken.ok()) return Claim{true, seen_.term};
    if (taken.error().code == Code::conflict || taken.error().code == Code::not_found)
      return Claim{false, seen_.term};  // another was first; the next claim looks again
    return taken.error();
  }
  Status release() override {
    if (!is_ours()) return ok();
    return patch({{"holderIdentity", nullptr}});
  }
  std::int64_t trusted_ms() const override { return runtime::lease_trust_ms; }

 private:
  cluster::Ref ref() const { return {cluster::leases, options_.ns, options_.name}; }
  bool is_ours() const { return seen_.holder == options_.holder; }
  bool is_free() const {
    return seen_.holder.empty() || clock_.monotonic_ms() - unchanged_since_ms_ >= runtime::lease_ms;
  }
  // Two that make it at the same time make the same one, without a holder.
  Status look() {
    auto object = cluster_.get(ref());
    if (!object.ok() && object.error().code == Code::not_found) {
      const Json none = {{"apiVersion", "coordination.k8s.io/v1"},
                         {"kind", "Lease"},
                         {"metadata", {{"name", options_.name}, {"namespace", options_.ns}}}};
      object = cluster_.apply({ref(), none.dump(), "kairo", ""});
    }
    if (!object.ok()) return object.error();
    saw(object.value());
    return ok();
  }
  void saw(const std::string& object) {
    const std::string before = seen_.version;
    seen_ = seen_in(object);
    if (seen_.version != before) unchanged_since_ms_ = clock_.monotonic_ms();
  }
  Status write(std::uint64_t term) {
    const std::string now = micro_time(clock_.now_ms());
    Json spec = {{"holderIdentity", options_.holder},
                 {"leaseDurationSeconds", (runtime::lease_ms + 999) / 1000},
                 {"renewTime", now},
                 {"leaseTransitions", term}};
    if (term != seen_.term) spec["acquireTime"] = now;
    return patch(spec);
  }
  Status patch(const Json& spec) {
    const Json body = {{"metadata", {{"resourceVersion", seen_.version}}}, {"spec", spec}};
    saw(TRY(cluster_.patch({ref(), body.dump(), ""})));
    return ok();
  }

  cluster::Cluster& cluster_;
  const Clock& clock_;
  const KubeLeaseOptions options_;
  Seen seen_;
  std::int64_t unchanged_since_ms_ = 0;  // monotonic
};
}  // namespace

std::unique_ptr<runtime::Lease> make_kube_lease(cluster::Cluster& cluster, const Clock& clock,
                                                KubeLeaseOptions options) {
  return std::make_unique<KubeLease>(cluster, clock, std::move(options));
}
}  // namespace kairo
