// tests/support/counted_cluster.h - a Cluster that writes down which calls are made, and refuses
// some.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/cluster/kinds.h"

namespace kairo::test {
class CountedCluster final : public cluster::Cluster {
 public:
  explicit CountedCluster(cluster::Cluster& real) : real_(real) {}
  std::string calls;                 // "patch create get"
  std::vector<std::string> created;  // kinds
  bool refuses_patches = false;
  cluster::Apply (*keeps)(cluster::Apply) = nullptr;  // what the server makes of it
  bool has_binder = false;  // a new volume is Pending until it has seen it, as in Kubernetes
  Result<std::string> apply(const cluster::Apply& a) override {
    note("apply");
    return real_.apply(keeps == nullptr ? a : keeps(a));
  }
  Result<std::string> create(const cluster::Apply& a) override {
    note("create");
    created.push_back(a.ref.kind.kind);
    auto made = real_.create(a);
    if (!has_binder || a.ref.kind != cluster::volumes || !made.ok()) return made;
    return std::string(made.value()).insert(1, R"("status":{"phase":"Pending"},)");
  }
  Result<std::string> patch(const cluster::Patch& p) override {
    note("patch");
    if (refuses_patches) return Error{Code::unavailable, "apiserver: 503"};
    return real_.patch(p);
  }
  Result<std::string> get(const cluster::Ref& ref) override {
    note("get");
    return real_.get(ref);
  }
  Result<cluster::Listing> list(const cluster::Selection& s) override {
    note("list");
    return real_.list(s);
  }
  Result<std::vector<cluster::Event>> watch(const cluster::Selection& s, const std::string& version,
                                            std::int64_t wait_ms) override {
    return real_.watch(s, version, wait_ms);
  }
  Status remove(const cluster::Ref& ref, const std::string& uid) override {
    note("remove");
    return real_.remove(ref, uid);
  }
  Result<std::string> log(const cluster::Ref& pod, const std::string& container,
                          std::uint64_t offset) override {
    return real_.log(pod, container, offset);
  }

 private:
  void note(const char* call) { calls += (calls.empty() ? "" : " ") + std::string(call); }
  cluster::Cluster& real_;
};
}  // namespace kairo::test
