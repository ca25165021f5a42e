// tests/agents/provisioner/desk.h - a provisioner's record, its nodes and its clock; bought nodes.
#pragma once
#include <doctest/doctest.h>

#include <string>

#include "agents/provisioner/decide.h"
#include "agents/runtime/decision.h"
#include "agents/watcher/status.h"
#include "tests/support/facts.h"

namespace kairo::test {
using provisioner::Mode;
using provisioner::Terms;
inline Terms terms(Mode mode = Mode::node_claims) {
  Terms out;
  out.mode = mode;
  out.node_class = {"kaito.sh", "KaitoNodeClass", "default"};
  return out;
}
inline wire::WorkspaceT wished(const std::string& machine = "Standard_NC24ads_A100_v4") {
  wire::WorkspaceT w = tuning(1);
  w.instance_type = machine;
  return w;
}
inline void add(wire::NodeClaimT& claim, const char* type, const char* value,
                const char* reason = "", const char* message = "") {
  auto c = std::make_unique<wire::ConditionT>();
  c->type = type;
  c->value = value;
  c->reason = reason;
  c->message = message;
  claim.conditions.push_back(std::move(c));
}
inline wire::NodeClaimT claim(std::uint64_t version, const std::string& name = "ws321e0d259") {
  wire::NodeClaimT c;
  c.version = version;
  c.exists = true;
  c.kind = "NodeClaim";
  c.name = name;
  c.uid = "uid-" + name;
  return c;
}
inline wire::NodeClaimT ready_claim(std::uint64_t version,
                                    const std::string& name = "ws321e0d259") {
  wire::NodeClaimT c = claim(version, name);
  c.node = "gpu1";
  for (const char* type : {"Launched", "Registered", "Initialized", "Ready"})
    add(c, type, "True", type);
  return c;
}
inline wire::NodeT machine(bool ready = true) {
  wire::NodeT n = node(1, ready);
  n.local = false;
  n.uid = "uid-gpu1";
  n.gpus = 1;
  n.labels.push_back(label("accelerator", "nvidia"));
  n.labels.push_back(label("node.kubernetes.io/instance-type", "Standard_NC24ads_A100_v4"));
  return n;
}

// The provisioner's record, its nodes and its clock; decides until it is quiet, as the loop does.
struct Desk {
  Terms by = terms();
  wire::RecordT record;
  runtime::Nodes nodes;
  std::int64_t now_ms = 1'764'000'000'000;
  std::int64_t wake_at_ms = 0;
  std::uint64_t version = 10;

  explicit Desk(Mode mode = Mode::node_claims) : by(terms(mode)) { hear(wished()); }
  template <class Body>
  void hear(Body body) {
    runtime::absorb(record, fact(std::move(body)));
  }
  // The effects that it wants, as "BuyNode ws...": what they are about.
  std::string decide() {
    std::string out;
    for (int i = 0; i < 10; ++i) {
      auto d = provisioner::decide(record, {nodes, now_ms}, by);
      wake_at_ms = d.wake_at_ms;
      bool is_news = false;
      for (auto& mark : d.marks) {
        is_news = is_news || runtime::mark_of(record, mark.key) != mark;
        runtime::set_mark(record, mark);
      }
      for (auto& c : d.commands) {
        if (auto* publish = c.body.AsPublish()) {
          auto* said = publish->fact->body.AsResources();
          said->version = record.resources ? record.resources->version : 0;
          if (record.resources && *said == *record.resources) continue;
          said->version = ++version;
          hear(wire::ResourcesT(*said));
          is_news = true;
          continue;
        }
        out += (out.empty() ? "" : ", ") + runtime::kind_of(c.body.type);
        if (const auto* x = c.body.AsBuyNode())
          out += " " + x->claim + (x->look ? " look" : "") +
                 (x->nodes > 1 ? " of " + std::to_string(x->nodes) : "");
        if (const auto* x = c.body.AsGiveUpNodes()) out += " " + x->wish;
        if (const auto* x = c.body.AsLabelNode()) out += " " + x->node;
        if (const auto* x = c.body.AsExplainEnd()) out += " " + x->wish;
      }
      if (!is_news) return out;
    }
    FAIL("it does not settle");
    return out;
  }
  // What a user reads: "False NodeClaimNotReady: ...".
  std::string told(const std::string& type) {
    const auto status = watcher::compose(record, now_ms);
    for (const auto& c : status.conditions)
      if (c->type == type) return c->value + " " + c->reason + ": " + c->message;
    return "absent";
  }
  void answer(const std::string& wish, const std::string& reason, const std::string& message) {
    wire::ClaimEndT end;
    end.version = ++version;
    end.wish = wish;
    end.gone = reason.empty();
    end.reason = reason;
    end.message = message;
    hear(std::move(end));
  }
  void trouble(Code code, const std::string& what) {
    wire::TroubleT t;
    t.version = ++version;
    t.command = "BuyNode";
    t.revision = "rev1";
    t.code = static_cast<std::uint8_t>(code);
    t.what = what;
    hear(std::move(t));
  }
  // To the grant.
  void grant(const std::string& name = "ws321e0d259") {
    hear(ready_claim(++version, name));
    nodes["gpu1"] = machine();
    decide();
    REQUIRE(record.resources->state == wire::ResourcesState::Ready);
  }
};
}  // namespace kairo::test
