// tests/support/tuned.h - a server that names the tuning Workspace "pip", and that one's record.
#pragma once
#include "agents/runtime/tuned.h"
#include "tests/support/facts.h"

namespace kairo::test {
inline const std::string digest_1 = "sha256:" + std::string(64, '1');
inline const std::string digest_2 = "sha256:" + std::string(64, '2');

inline wire::WorkspaceT naming(std::uint64_t version, const std::string& names = "pip") {
  wire::WorkspaceT w = serving(version);
  w.annotations.push_back(label(runtime::adapters_from, names));
  return w;
}
inline wire::ServerT at_address(wire::ServerT s) {
  s.uid = "s1";
  s.address = "127.0.0.1:4000";
  return s;
}
template <class... Bodies>
wire::RecordT pip(Bodies... bodies) {
  wire::RecordT r;
  (runtime::absorb(r, fact(std::move(bodies), "u2", "pip")), ...);
  return r;
}
inline wire::PushT pushed_as(std::uint64_t version, const std::string& digest) {
  wire::PushT push = pushed(version);
  push.digest = digest;
  return push;
}
// The node agent's word: the server has this one, or (digest "") none yet.
inline wire::ServingT served(std::uint64_t version, const std::string& digest,
                             const std::string& wanted = "", const std::string& message = "") {
  wire::ServingT out;
  out.version = version;
  out.revision = "rev1";
  out.node = "n1";
  auto adapter = std::make_unique<wire::ServedAdapterT>();
  adapter->name = "pip";
  adapter->digest = digest;
  adapter->image = "localhost:5000/a@" + digest;
  adapter->secret = "push";
  adapter->base = "smollm2-135m-instruct";
  adapter->since_ms = digest.empty() ? 0 : 5'000;
  adapter->wanted = wanted.empty() ? digest : wanted;
  adapter->message = message;
  out.adapters.push_back(std::move(adapter));
  return out;
}
inline runtime::Named names(const wire::RecordT& tuning) {
  return [&tuning](const std::string& name) { return name == "pip" ? &tuning : nullptr; };
}
}  // namespace kairo::test
