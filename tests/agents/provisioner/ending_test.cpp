// What this proves: a bought node that ends early is said with the provider's words and asked for
// again, ever later; one unready sight ends nothing; a node is given back when it is of no more
// use, and nothing is left when the Workspace goes.
#include <doctest/doctest.h>

#include "agents/provisioner/party.h"
#include "tests/agents/provisioner/desk.h"

using namespace kairo;
using namespace kairo::test;
namespace {
const std::string first = "ws321e0d259", second = "ws1cc7a52ae", third = "ws85d0633cb";
constexpr std::int64_t minute_ms = 60'000;
}  // namespace

TEST_CASE("provisioner: a claim that Karpenter deletes is explained, and asked for again later") {
  Desk desk;
  desk.decide();
  desk.hear(claim(20));
  desk.decide();
  desk.hear(gone(claim(21)));
  CHECK(desk.decide() == "ExplainEnd explain/uid-ws321e0d259/1");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimDeleted: NodeClaim ws321e0d259 has been deleted; the next one is asked for "
        "at 2025-11-24T16:00:10Z (attempt 2)");
  desk.answer("explain/uid-ws321e0d259/1", "", "");  // the Event was not written yet
  CHECK(desk.decide() == "");
  CHECK(desk.wake_at_ms == desk.now_ms + 2'000);
  desk.now_ms += 2'000;
  CHECK(desk.decide() == "ExplainEnd explain/uid-ws321e0d259/2");
  desk.answer("explain/uid-ws321e0d259/2", "InsufficientCapacityError", "no capacity in zone-1");
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False InsufficientCapacityError: NodeClaim ws321e0d259 has been deleted: "
        "InsufficientCapacityError: no capacity in zone-1; the next one is asked for at "
        "2025-11-24T16:00:10Z (attempt 2)");
  CHECK(desk.told("ResourceReady") == desk.told("NodeClaimReady"));
  CHECK(desk.wake_at_ms == desk.now_ms + 8'000);
  desk.now_ms += 8'000;
  CHECK(desk.decide() == "BuyNode " + second + " look");
  CHECK(desk.record.resources->attempt == 2);

  desk.hear(claim(30, second));
  desk.decide();
  desk.hear(gone(claim(31, second)));
  desk.decide();
  CHECK(desk.wake_at_ms == desk.now_ms + 20'000);  // twice as long
  desk.now_ms += 20'000;
  CHECK(desk.decide() == "BuyNode " + third + " look");
}

TEST_CASE("provisioner: the wait between two claims grows to ten minutes") {
  CHECK(provisioner::retry_after_ms(1) == 10'000);
  CHECK(provisioner::retry_after_ms(4) == 80'000);
  CHECK(provisioner::retry_after_ms(7) == 600'000);
  CHECK(provisioner::retry_after_ms(1'000'000) == 600'000);
}

TEST_CASE("provisioner: without an Event it is asked for three times, and no more") {
  Desk desk;
  desk.decide();
  desk.hear(gone(claim(21)));
  CHECK(desk.decide() == "ExplainEnd explain/uid-ws321e0d259/1");
  for (const char* question : {"2", "3"}) {
    desk.answer(runtime::mark_of(desk.record, "explain").value, "", "");
    desk.now_ms += 2'000;
    CHECK(desk.decide() == std::string("ExplainEnd explain/uid-ws321e0d259/") + question);
  }
  desk.answer("explain/uid-ws321e0d259/3", "", "");
  desk.now_ms += 2'000;
  CHECK(desk.decide() == "");
  CHECK(desk.wake_at_ms == desk.now_ms + 4'000);
}

TEST_CASE("provisioner: spot loss in the middle: said, and the next one soon") {
  Desk desk;
  desk.decide();
  desk.grant();
  const std::string ready = desk.told("ResourceReady");
  desk.now_ms += 20 * minute_ms;
  wire::NodeClaimT ends = ready_claim(40);
  ends.deleting = true;
  desk.hear(std::move(ends));
  CHECK(desk.decide() == "ExplainEnd explain/uid-ws321e0d259/1");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimDeleted: NodeClaim ws321e0d259 is being deleted");
  CHECK(desk.told("ResourceReady") == ready);  // what runs there runs on
  desk.nodes["gpu1"].exists = false;
  desk.hear(gone(ready_claim(41)));
  desk.decide();
  CHECK(desk.record.resources->state == wire::ResourcesState::Waiting);
  CHECK(desk.record.resources->failures == 1);  // it was of use for a while
  desk.now_ms += 10'000;
  CHECK(desk.decide() == "BuyNode " + second + " look");
}

TEST_CASE("provisioner: a node that is lost within minutes of its grant is no new beginning") {
  Desk desk;
  desk.decide();
  for (const std::string& name : {first, second}) {
    desk.grant(name);
    desk.now_ms += minute_ms;
    desk.nodes["gpu1"].exists = false;
    wire::NodeClaimT ended = gone(ready_claim(++desk.version, name));
    desk.hear(std::move(ended));
    desk.decide();
    desk.now_ms += 10 * minute_ms;
    desk.decide();
  }
  CHECK(desk.record.resources->failures == 2);
}

TEST_CASE("provisioner: one unready sight gives no node up; half an hour of them does") {
  Desk desk;
  desk.decide();
  desk.grant();
  desk.nodes["gpu1"].ready = false;
  CHECK(desk.decide() == "");
  CHECK(desk.record.resources->state == wire::ResourcesState::Ready);
  desk.now_ms += 8 * 60 * minute_ms;  // nobody looked: the cluster was off over night
  CHECK(desk.decide() == "");
  CHECK(desk.record.resources->state == wire::ResourcesState::Ready);
  for (int i = 0; i < 29; ++i) {
    desk.now_ms += minute_ms;
    CHECK(desk.decide() == "");
  }
  desk.nodes["gpu1"].ready = true;  // it comes back: the count begins anew
  CHECK(desk.decide() == "");
  CHECK(desk.wake_at_ms == 0);
  desk.nodes["gpu1"].ready = false;
  std::string last = desk.decide();
  for (int i = 0; i < 30 && last.empty(); ++i) {
    CHECK(desk.record.resources->state == wire::ResourcesState::Ready);
    desk.now_ms += minute_ms;
    last = desk.decide();
  }
  CHECK(last == "GiveUpNodes lost/uid-ws321e0d259");
  CHECK(desk.told("NodesReady") ==
        "False NodeNotReady: Not enough Nodes are ready: node gpu1 is not Ready; it is given up "
        "after 30 minutes");
  desk.hear(gone(ready_claim(90)));
  desk.decide();
  CHECK(desk.told("NodeClaimReady").starts_with("False NodeClaimDeleted: NodeClaim ws321e0d259"));
}

TEST_CASE("provisioner: KAITO's claim is taken over, none is bought twice") {
  Desk desk;
  desk.hear(ready_claim(20, "ws0123456ab"));
  desk.nodes["gpu1"] = machine();
  CHECK(desk.decide() == "");
  CHECK(desk.record.resources->state == wire::ResourcesState::Ready);
  CHECK(desk.record.resources->claim == "ws0123456ab");
}

TEST_CASE("provisioner: a node that the user has labelled for it is not bought") {
  Desk desk;
  wire::NodeT mine = machine();
  mine.labels.push_back(label("kaito.sh/workspace", "w"));
  mine.labels.push_back(label("kaito.sh/workspacenamespace", "default"));
  desk.nodes["mine"] = mine;
  CHECK(provisioner::concerns(desk.record, "mine", nullptr, mine, desk.by));
  CHECK(desk.decide() == "");
  CHECK(desk.record.resources->nodes == std::vector<std::string>{"mine"});
}

TEST_CASE("provisioner: when its tuning has succeeded the node is given back, later; not before") {
  Desk desk;
  desk.decide();
  desk.grant();
  auto made = artifact(1);
  made.node = "gpu1";
  made.place = "gpu1/uid-gpu1";
  desk.hear(std::move(made));
  CHECK(desk.decide() == "");
  CHECK(desk.wake_at_ms == 0);  // its adapter is on its way to the registry
  desk.hear(pushed(2));
  CHECK(desk.decide() == "");
  CHECK(desk.wake_at_ms == desk.now_ms + 10 * minute_ms);
  desk.now_ms += 10 * minute_ms;
  CHECK(desk.decide() == "GiveUpNodes release/rev1/1");
  CHECK(desk.told("ResourceReady").starts_with("True"));
  desk.answer("release/rev1/1", "", "");
  desk.hear(gone(ready_claim(90)));
  CHECK(desk.decide() == "");
  CHECK(desk.told("ResourceReady") ==
        "False NodeReleased: the tuning has succeeded, and its node has been given back");
  CHECK(desk.told("WorkspaceSucceeded") == "True workspaceSucceeded: workspace succeeds");
  CHECK(watcher::compose(desk.record, 0).state == "Succeeded");
  CHECK(watcher::compose(desk.record, 0).nodes.empty());
  CHECK(desk.wake_at_ms == 0);

  wire::WorkspaceT edited = wished();  // another wish gets another node
  edited.version = 50;
  edited.revision = "rev2";
  desk.hear(std::move(edited));
  CHECK(desk.decide() == "BuyNode " + second + " look");
}

TEST_CASE("provisioner: never, at once, and the node of one that failed") {
  Desk never;
  never.by.release_after_ms = -1;
  never.decide();
  never.grant();
  never.hear(pushed(2));
  CHECK(never.decide() == "");
  CHECK(never.wake_at_ms == 0);
  Desk at_once;
  at_once.by.release_after_ms = 0;
  at_once.decide();
  at_once.grant();
  at_once.hear(pushed(2));
  CHECK(at_once.decide() == "GiveUpNodes release/rev1/1");
  Desk failed;
  failed.by.release_after_ms = 0;
  failed.decide();
  failed.grant();
  auto bad = artifact(1);
  bad.node = "gpu1";
  bad.place = "gpu1/uid-gpu1";
  bad.problem = "the trainer has failed";
  failed.hear(std::move(bad));
  CHECK(failed.decide() == "");
  CHECK(failed.wake_at_ms == 0);  // its logs are there
}

TEST_CASE("provisioner: a deletion in each phase gives everything back") {
  const auto leave = [](Desk& desk) {
    wire::WorkspaceT w = leaving(wished());
    w.version = 60;
    desk.hear(std::move(w));
  };
  Desk asked;
  asked.decide();
  leave(asked);
  CHECK(asked.decide() == "GiveUpNodes leaving");
  CHECK(asked.record.resources->message == "waiting for NodeClaims of it to end");
  asked.answer("leaving", "", "");
  CHECK(asked.decide() == "");
  CHECK(asked.record.resources->state == wire::ResourcesState::Released);
  asked.hear(claim(70));  // it was on its way
  CHECK(asked.decide() == "GiveUpNodes leaving");

  Desk granted;
  granted.decide();
  granted.grant();
  leave(granted);
  CHECK(granted.decide() == "GiveUpNodes leaving");
  CHECK(granted.record.resources->message == "waiting for NodeClaim ws321e0d259 to end");
  CHECK(granted.wake_at_ms == 0);  // as long as it takes: the effect says when it has gone
  granted.now_ms += 60 * minute_ms;
  CHECK(granted.decide() == "");
  CHECK(granted.record.resources->state == wire::ResourcesState::Waiting);
  granted.answer("leaving", "", "");
  granted.decide();
  CHECK(granted.record.resources->state == wire::ResourcesState::Released);

  Desk unserved;  // the cluster answers about no claim
  unserved.decide();
  leave(unserved);
  unserved.decide();
  CHECK(unserved.wake_at_ms == unserved.now_ms + 10 * minute_ms);
  unserved.now_ms += 10 * minute_ms;
  CHECK(unserved.decide() == "");
  CHECK(unserved.record.resources->state == wire::ResourcesState::Released);

  Desk forced;  // its finalizer was taken away
  forced.decide();
  forced.grant();
  forced.hear(gone(wished()));
  wire::WorkspaceT w = gone(wished());
  w.version = 60;
  forced.hear(std::move(w));
  CHECK(forced.decide() == "GiveUpNodes leaving");

  Desk brief;  // gone before its finalizer was on, and before its claim was seen
  wire::WorkspaceT bare = wished();
  bare.version = 11;
  bare.finalized = false;
  brief.hear(wire::WorkspaceT(bare));
  CHECK(brief.decide() == "BuyNode ws321e0d259");
  bare.version = 12;
  bare.exists = false;
  brief.hear(std::move(bare));
  CHECK(brief.decide() == "GiveUpNodes leaving");
  brief.answer("leaving", "", "");
  CHECK(brief.decide() == "");
}

TEST_CASE("provisioner: Karpenter makes the claims of a pool") {
  Desk desk(Mode::karpenter);
  const std::string pool_name = "default-w-321e0d259";
  CHECK(desk.decide() == "BuyNode " + pool_name + " look");
  wire::NodeClaimT pool = claim(20, pool_name);
  pool.kind = "NodePool";
  desk.hear(std::move(pool));
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: Ready NodeClaims are not enough: NodePool default-w-321e0d259 "
        "has no NodeClaim yet");
  const std::string made = pool_name + "-abcde";
  desk.hear(claim(21, made));
  desk.decide();
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: Ready NodeClaims are not enough: NodeClaim "
        "default-w-321e0d259-abcde is not launched yet");
  desk.hear(gone(claim(22, made)));
  CHECK(desk.decide() == "ExplainEnd explain/uid-" + made + "/1");
  desk.answer("explain/uid-" + made + "/1", "InsufficientCapacityError", "no capacity");
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False InsufficientCapacityError: NodeClaim default-w-321e0d259-abcde has been deleted: "
        "InsufficientCapacityError: no capacity; Karpenter makes the next one");
  desk.grant(pool_name + "-fghij");
  CHECK(desk.told("NodesReady") == "True NodesReady: Enough Nodes are ready with GPU resources");
  CHECK(desk.record.resources->claim == pool_name);
  desk.hear(pushed(2));
  CHECK(desk.decide() == "");
  wire::NodeClaimT scaled = claim(200, pool_name);  // by somebody, when it is done
  scaled.kind = "NodePool";
  scaled.replicas = 3;
  scaled.sized = true;
  desk.hear(std::move(scaled));
  CHECK(desk.decide() == "BuyNode " + pool_name);
  CHECK(desk.decide() == "");
  desk.now_ms += 10 * minute_ms;
  CHECK(desk.decide() == "GiveUpNodes release/rev1/1");
}
