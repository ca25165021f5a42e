// What this proves: how long each kind of news waits before it is written, and that a node which is
// bought within seconds, as kwok's are, costs three status writes to its Job's start.
#include "agents/watcher/patience.h"

#include <doctest/doctest.h>

#include <functional>

#include "agents/watcher/decide.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;

namespace {
void add_condition(wire::StatusT& status, const char* type, const char* reason) {
  auto condition = std::make_unique<wire::ConditionT>();
  condition->type = type;
  condition->value = "False";
  condition->reason = reason;
  status.conditions.push_back(std::move(condition));
}
// "settle apart" when `change` is what differs.
std::string waits_for(const std::function<void(wire::StatusT&)>& change, bool buys = false) {
  wire::StatusT told;
  told.state = "Pending";
  told.tuning = std::make_unique<wire::TuningStatusT>();
  told.tuning->phase = "Waiting";
  add_condition(told, "ResourceReady", "NodeClaimNotReady");
  add_condition(told, "JobStarted", "WorkspaceTuningJobStatusPending");
  if (buys) add_condition(told, "NodeClaimReady", "NodeClaimNotReady");
  wire::StatusT now(told);
  change(now);
  const watcher::Patience p = watcher::patience(told, now);
  return std::to_string(p.settle_ms) + " " + std::to_string(p.apart_ms);
}
}  // namespace

TEST_CASE("status: what is new may wait, by what it is") {
  const auto with_left = [](std::int64_t seconds) {
    return waits_for([seconds](wire::StatusT& s) { s.tuning->eta_seconds = seconds; });
  };
  CHECK(with_left(-1) == "0 1000");  // not known yet
  CHECK(with_left(30) == "0 1000");
  CHECK(with_left(240) == "0 2400");
  CHECK(with_left(90'000) == "0 10000");
  const auto phase = [](const char* word) {
    return [word](wire::StatusT& s) { s.tuning->phase = word; };
  };
  CHECK(waits_for(phase("Loading")) == "1000 0");
  CHECK(waits_for(phase("Preparing")) == "5000 0");
  CHECK(waits_for([](wire::StatusT& s) { s.conditions[0]->message = "launched"; }) == "1000 10000");

  const auto launched = [](wire::StatusT& s) { s.conditions[2]->message = "launched"; };
  CHECK(waits_for(launched, true) == "1000 30000");
  CHECK(waits_for([](wire::StatusT& s) { s.conditions[0]->reason = "LaunchFailed"; }) == "2000 0");
  CHECK(waits_for([](wire::StatusT& s) { s.conditions[1]->message = "no room"; }) == "2000 0");
  const auto granted = [](wire::StatusT& s) {
    s.conditions[0]->value = "True";
    s.conditions[0]->reason = "workspaceResourceStatusSuccess";
    s.nodes = {"n1"};
  };
  CHECK(waits_for(granted) == "1000 0");
  CHECK(waits_for([&](wire::StatusT& s) {
          granted(s);
          s.tuning->phase = "Preparing";
        }) == "5000 0");
  const auto pod_lacks = [&](const char* what) {
    return [&granted, what](wire::StatusT& s) {
      granted(s);
      s.tuning->phase = "Downloading";
      s.conditions[1]->message = what;
    };
  };
  CHECK(waits_for(pod_lacks("SchedulerError: error getting PVC \"default/kairo-runs-n1\"")) ==
        "5000 0");
  CHECK(waits_for(pod_lacks("Unschedulable: no nodes available")) == "1000 0");
  CHECK(waits_for([&](wire::StatusT& s) {  // not while that is not its own move
          granted(s);
          s.tuning->phase = "Preparing";
          s.conditions[1]->reason = "RunDirectoryFailed";
        }) == "1000 0");
  CHECK(waits_for([](wire::StatusT& s) {
          add_condition(s, "NodeClaimReady", "NodeClaimNotReady");
        }) == "1000 0");
  CHECK(waits_for([](wire::StatusT& s) { s.conditions[1]->value = "True"; }) == "0 0");
  CHECK(waits_for([](wire::StatusT& s) { s.state = "Running"; }) == "0 0");
  CHECK(waits_for([](wire::StatusT& s) { s.conditions[0]->generation = 2; }) == "1000 0");
  CHECK(waits_for([](wire::StatusT& s) { s.conditions[1]->generation = 2; }) == "0 0");
}

TEST_CASE("status: the first one waits for the provisioner, and a moment for the others") {
  const auto waits = [](auto... facts) {
    const watcher::Patience p = watcher::first_patience(record(tuning(1), facts...));
    CHECK(p.apart_ms == 0);
    return p.settle_ms;
  };
  wire::ResourcesT asked = ready(1);
  asked.state = wire::ResourcesState::Waiting;
  CHECK(waits() == 1'500);
  CHECK(waits(ready(1)) == 300);
  CHECK(waits(asked) == 0);  // nobody brings what it waits for
  asked.buys = true;
  CHECK(waits(asked) == 300);
  asked.state = wire::ResourcesState::Refused;
  CHECK(waits(asked) == 0);
}

namespace {
// The watcher's record of one Workspace, decided about when a fact comes and when it wished to be.
struct Teller {
  wire::RecordT record = test::record(tuning(1));
  std::int64_t now_ms = 0;
  std::string writes;  // "<ms> <reason of ResourceReady>/<phase>", one a status write
  void decide() {
    const runtime::Nodes nodes;
    auto d = watcher::decide(record, {nodes, now_ms});
    for (wire::MarkT& mark : d.marks) runtime::set_mark(record, std::move(mark));
    record.wake_at_ms = d.wake_at_ms;
    if (!d.status) return;
    for (const auto& c : d.status->conditions)
      if (c->type == "ResourceReady")
        writes += std::to_string(now_ms) + " " + c->reason + "/" + d.status->tuning->phase + "\n";
    record.status = std::move(d.status);
    record.patched_at_ms = now_ms;
  }
  void at(std::int64_t ms) {
    while (record.wake_at_ms != 0 && record.wake_at_ms <= ms) {
      now_ms = record.wake_at_ms;
      decide();
    }
    now_ms = ms;
  }
  template <class Body>
  void hear(std::int64_t ms, Body body) {
    at(ms);
    body.version = static_cast<std::uint64_t>(ms);
    runtime::absorb(record, fact(std::move(body)));
    decide();
  }
};
wire::ResourcesT bought_waits(const char* claim, const char* node, const char* message) {
  wire::ResourcesT out = ready(1);
  out.state = wire::ResourcesState::Waiting;
  out.buys = true;
  out.claim_reason = claim;
  out.node_reason = node;
  out.reason = *claim != 0 ? claim : node;
  out.message = out.claim_message = out.node_message = message;
  out.nodes.clear();
  return out;
}
}  // namespace

TEST_CASE("status: steps that follow each other are one write, and each wait has its reason") {
  wire::ResourcesT granted = ready(1);
  granted.buys = true;
  wire::PodT unbound;
  unbound.exists = true;
  unbound.name = "p";
  unbound.reason = "Unschedulable";
  wire::JobT made = job(1), runs = job(1);
  made.ready = 0;
  runs.ready = 1;
  Teller fast;
  fast.at(1'000);
  fast.decide();
  fast.hear(1'030, bought_waits("NodeClaimNotReady", "NodeNotReady", "asked for"));
  fast.hear(1'600, bought_waits("NodeClaimNotReady", "NodeNotReady", "launched"));
  fast.hear(2'200, bought_waits("NodeClaimNotReady", "NodeNotReady", "registered"));
  fast.hear(2'500, bought_waits("", "NodeAgentNotReady", "no agent"));
  fast.hear(2'700, wire::ResourcesT(granted));
  fast.hear(2'800, wire::JobT(made));
  fast.hear(2'900, wire::PodT(unbound));
  unbound.reason.clear();
  fast.hear(4'000, wire::PodT(unbound));
  fast.hear(5'000, wire::JobT(runs));
  fast.at(20'000);
  CHECK(fast.writes ==
        "1330 NodeClaimNotReady/Waiting\n"
        "3500 workspaceResourceStatusSuccess/Queued\n"
        "5000 workspaceResourceStatusSuccess/Downloading\n");

  Teller slow;  // a cloud's
  slow.at(1'000);
  slow.decide();
  slow.hear(1'030, bought_waits("NodeClaimNotReady", "NodeNotReady", "asked for"));
  slow.hear(9'000, bought_waits("NodeClaimNotReady", "NodeNotReady", "launched"));
  slow.hear(41'000, bought_waits("QuotaExceeded", "NodeNotReady", "no quota"));
  slow.hear(61'000, bought_waits("", "NodeAgentNotReady", "no agent"));
  slow.hear(91'000, wire::ResourcesT(granted));
  slow.at(200'000);
  CHECK(slow.writes ==
        "1330 NodeClaimNotReady/Waiting\n"
        "31330 NodeClaimNotReady/Waiting\n"
        "43000 QuotaExceeded/Waiting\n"
        "62000 NodeAgentNotReady/Waiting\n"
        "96000 workspaceResourceStatusSuccess/Preparing\n");
}
