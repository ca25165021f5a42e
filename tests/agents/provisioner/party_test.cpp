// What this proves: a model on several bought nodes: as many as KAITO's estimate asks for, each
// followed, the slowest told of, granted when all are usable; one that is lost is asked for again
// alone; none is bought twice; fewer are given up.
#include "agents/provisioner/party.h"

#include <doctest/doctest.h>

#include "tests/agents/provisioner/desk.h"

using namespace kairo;
using namespace kairo::test;
namespace {
constexpr std::int64_t one_minute_ms = 60'000;
const std::string claim_1 = "ws321e0d259", claim_2 = "wsb4a4fb05d", claim_2b = "wsfd77f4e6f";

wire::WorkspaceT wide(std::uint32_t count = 2,
                      const std::string& type = "Standard_NC48ads_A100_v4") {
  wire::WorkspaceT w = serving(2);
  w.inference->preset = "llama-3.3-70b-instruct";
  w.instance_type = type;
  w.count = count;
  return w;
}
wire::NodeT two_gpus(const std::string& uid) {
  wire::NodeT n = machine();
  n.uid = uid;
  n.gpus = 2;
  n.labels.back()->value = "Standard_NC48ads_A100_v4";
  n.models = {"llama-3.3-70b-instruct"};
  return n;
}
struct Large : Desk {
  explicit Large(Mode mode = Mode::node_claims) : Desk(mode) { hear(wide()); }
  void see(const std::string& name, const std::string& node) {
    wire::NodeClaimT c = ready_claim(++version, name);
    c.node = node;
    hear(std::move(c));
    if (!node.empty()) nodes[node] = two_gpus("uid-" + node);
  }
  void see_pool(const std::string& name, std::uint32_t replicas) {
    wire::NodeClaimT pool = claim(++version, name);
    pool.kind = "NodePool";
    pool.replicas = replicas;
    pool.sized = true;
    hear(std::move(pool));
  }
  void end(const std::string& name) { hear(gone(ready_claim(++version, name))); }
  void grant_both() {
    decide();
    see(claim_1, "gpu1");
    see(claim_2, "gpu2");
    decide();
    REQUIRE(granted() == "gpu1/uid-gpu1 gpu2/uid-gpu2");
  }
  std::string granted() const {
    if (record.resources->state != wire::ResourcesState::Ready) return "not granted";
    std::string out;
    for (const std::string& place : record.resources->places)
      out += (out.empty() ? "" : " ") + place;
    return out;
  }
};
wire::NodeT given_to_it(wire::NodeT node) {
  node.labels.push_back(label("kaito.sh/workspace", "w"));
  node.labels.push_back(label("kaito.sh/workspacenamespace", "default"));
  return node;
}
}  // namespace

TEST_CASE("party: as many claims as the estimate asks for, at once, each by a name of its own") {
  Large desk;
  CHECK(desk.decide() == "BuyNode " + claim_1 + " look of 2, BuyNode " + claim_2 + " look of 2");
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: Ready NodeClaims are not enough: NodeClaim ws321e0d259 is asked "
        "for; 0 of 2 NodeClaims are ready");
  CHECK(
      desk.told("NodesReady") ==
      "False NodeNotReady: Not enough Nodes are ready: NodeClaim ws321e0d259 is asked for; 0 of 2 "
      "nodes are usable");
  CHECK(watcher::compose(desk.record, 0).target_nodes == 2);
  struct Row {
    const char *name, *type;
    std::uint32_t count;
    std::string wanted;
  };
  const Row rows[] = {
      {"fewer than count", "Standard_NC48ads_A100_v4", 4, "2"},
      {"three of one GPU", "Standard_NC24ads_A100_v4", 3, "3"},
      {"one that holds it", "Standard_ND96amsr_A100_v4", 2, "1"},
      {"too few", "Standard_NC24ads_A100_v4", 2,
       "InsufficientMemory: llama-3.3-70b-instruct needs 3 nodes of Standard_NC24ads_A100_v4 (1 "
       "GPU "
       "of 80.0 GiB) for weights of 131.4 GiB, and resource.count is 2; make the Workspace anew "
       "with resource.count: 3, or with a larger instanceType"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Desk one;
    one.hear(wide(row.count, row.type));
    const std::string asked = one.decide();
    const wire::ResourcesT& said = *one.record.resources;
    CHECK((asked.empty() ? said.reason + ": " + said.message
                         : std::to_string(1 + said.further.size())) == row.wanted);
  }
  Desk one;  // who asks for one hears how many would do
  one.hear(wide(1));
  CHECK(one.decide() == "");
  CHECK(one.record.resources->message.ends_with(
      "a GPU of Standard_NC48ads_A100_v4 has 80.0 GiB; no machine type of the catalogue has such a "
      "GPU; or 2 nodes of it together: make the Workspace anew with resource.count: 2"));
}

TEST_CASE("party: of a template's pods each gets a node; a model of one GPU needs one") {
  Desk pods;
  wire::WorkspaceT w = wide(3);
  w.inference->preset.clear();
  w.inference->template_ = "{}";
  w.inference->template_gpus = 1;
  pods.hear(std::move(w));
  pods.decide();
  CHECK(pods.record.resources->further.size() == 2);
  Desk small;
  w = wide(3);
  w.inference->preset = "smollm2-135m-instruct";
  small.hear(std::move(w));
  CHECK(small.decide() == "BuyNode " + claim_1 + " look");
}

TEST_CASE("party: the slowest is told of, with how many there are; all are granted together") {
  Large desk;
  desk.decide();
  desk.see(claim_2, "gpu2");
  desk.hear(claim(++desk.version, claim_1));
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimNotReady: Ready NodeClaims are not enough: NodeClaim ws321e0d259 is not "
        "launched yet; 1 of 2 NodeClaims are ready");
  CHECK(
      desk.told("NodesReady") ==
      "False NodeNotReady: Not enough Nodes are ready: NodeClaim ws321e0d259 is not launched yet; "
      "1 of 2 nodes are usable");
  desk.see(claim_1, "gpu1");
  desk.nodes["gpu1"].models.clear();
  desk.nodes["gpu2"].gpus = 0;
  CHECK(desk.decide() == "");
  CHECK(desk.told("NodeClaimReady") == "True NodeClaimsReady: Enough NodeClaims are ready");
  CHECK(desk.told("NodesReady") ==
        "False NodePluginsNotReady: waiting all node plugins to be ready: node gpu2 offers no "
        "nvidia.com/gpu; 0 of 2 nodes are usable");
  desk.nodes["gpu2"] = two_gpus("uid-gpu2");
  desk.decide();
  CHECK(desk.told("NodesReady") ==
        "False NodeAgentNotReady: Not enough Nodes are ready: kairo's node agent on node gpu1 has "
        "not said yet that the model is there; 1 of 2 nodes are usable");
  CHECK(desk.granted() == "not granted");
  desk.nodes["gpu1"] = two_gpus("uid-gpu1");
  CHECK(desk.decide() == "");
  CHECK(desk.granted() == "gpu1/uid-gpu1 gpu2/uid-gpu2");
  CHECK(desk.record.resources->runtime == "vllm");
  CHECK(desk.record.resources->gpus == 2);
  CHECK(desk.record.resources->target == 2);
  CHECK(desk.told("NodesReady") == "True NodesReady: Enough Nodes are ready");
  CHECK(desk.wake_at_ms == 0);
}

TEST_CASE("party: each of the nodes is labelled; what lasts is told of") {
  Large desk;
  desk.decide();
  desk.see(claim_1, "gpu1");
  desk.see(claim_2, "gpu2");
  for (const char* name : {"gpu1", "gpu2"})
    desk.nodes[name].labels.erase(desk.nodes[name].labels.begin());
  CHECK(desk.decide() == "LabelNode gpu1, LabelNode gpu2");
  CHECK(desk.decide() == "");
  desk.nodes["gpu1"] = two_gpus("uid-gpu1");
  desk.nodes["gpu2"] = two_gpus("uid-gpu2");
  desk.nodes["gpu2"].models.clear();
  desk.decide();
  CHECK(desk.wake_at_ms == desk.now_ms + 10 * one_minute_ms);
  desk.now_ms += 10 * one_minute_ms;
  desk.decide();
  CHECK(desk.told("NodesReady")
            .ends_with("that the model is there; 1 of 2 nodes are usable; it has been so since "
                       "2025-11-24T16:00:00Z: "
                       "does a pod of the DaemonSet kairo-node run there?"));
}

TEST_CASE("party: a claim that is lost is asked for again, alone; the others are kept") {
  Large desk;
  desk.grant_both();
  desk.now_ms += 20 * one_minute_ms;
  desk.nodes["gpu2"].exists = false;
  desk.end(claim_2);
  CHECK(desk.decide() == "ExplainEnd explain/uid-" + claim_2 + "/1");
  CHECK(desk.granted() == "not granted");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimDeleted: NodeClaim " + claim_2 +
            " has been deleted; the next one is asked "
            "for at 2025-11-24T16:20:10Z (attempt 2); 1 of 2 NodeClaims are ready");
  desk.now_ms += 10'000;
  CHECK(desk.decide() == "BuyNode " + claim_2b + " look of 2");
  CHECK(desk.record.resources->claim == claim_1);
  CHECK(desk.record.resources->attempt == 1);
  CHECK(desk.record.resources->further.at(0)->attempt == 2);
  CHECK(desk.record.resources->further.at(0)->failures == 1);  // it was of use for a while
  desk.see(claim_2b, "gpu0");
  desk.decide();
  CHECK(desk.granted() == "gpu0/uid-gpu0 gpu1/uid-gpu1");  // by name, as of nodes that are there
}

TEST_CASE("party: a node that stays away is given up, and that one alone") {
  Large desk;
  desk.grant_both();
  desk.nodes["gpu2"].ready = false;
  std::string last = desk.decide();
  for (int i = 0; i < 30 && last.empty(); ++i) {
    CHECK(desk.granted() == "gpu1/uid-gpu1 gpu2/uid-gpu2");
    desk.now_ms += one_minute_ms;
    last = desk.decide();
  }
  CHECK(last == "GiveUpNodes lost/uid-" + claim_2);
  CHECK(desk.told("NodesReady") ==
        "False NodeNotReady: Not enough Nodes are ready: node gpu2 is not Ready; it is given up "
        "after 30 minutes; 1 of 2 nodes are usable");
}

TEST_CASE("party: two lost at once are both asked for again") {
  Large desk;
  desk.grant_both();
  for (const char* name : {"gpu1", "gpu2"}) desk.nodes[name].exists = false;
  desk.end(claim_1);
  desk.end(claim_2);
  CHECK(desk.decide() == "ExplainEnd explain/uid-" + claim_1 + "/1");
  desk.now_ms += 10'000;
  CHECK(desk.decide() == "BuyNode ws1cc7a52ae look of 2, BuyNode " + claim_2b + " look of 2");
}

TEST_CASE("party: what is there is taken over, and none is bought twice") {
  Large kaitos;
  kaitos.see("ws0123456ab", "gpu1");
  kaitos.see("ws0123456cd", "gpu2");
  CHECK(kaitos.decide() == "");
  CHECK(kaitos.granted() == "gpu1/uid-gpu1 gpu2/uid-gpu2");
  CHECK(kaitos.record.resources->claim == "ws0123456ab");
  CHECK(kaitos.record.resources->further.at(0)->claim == "ws0123456cd");
  kaitos.nodes["gpu1"].exists = false;
  kaitos.end("ws0123456ab");
  kaitos.decide();
  kaitos.now_ms += 10'000;
  CHECK(kaitos.decide() == "BuyNode ws1cc7a52ae look of 2");

  Large half;  // KAITO was ended in the middle
  half.see("ws0123456ab", "gpu1");
  CHECK(half.decide() == "BuyNode " + claim_2 + " look of 2");

  Large forgetful;  // all that was said is lost; the second's is known as the first
  forgetful.see(claim_2, "gpu2");
  CHECK(forgetful.decide() == "BuyNode " + claim_2b + " look of 2");
}

TEST_CASE("party: nodes that the user has given count") {
  Large desk;
  desk.nodes["mine"] = given_to_it(two_gpus("uid-mine"));
  CHECK(desk.decide() == "BuyNode " + claim_1 + " look");
  desk.see(claim_1, "gpu1");
  desk.nodes["gpu1"] =
      given_to_it(desk.nodes["gpu1"]);  // a claim's node is not one that is given besides
  desk.decide();
  CHECK(desk.granted() == "gpu1/uid-gpu1 mine/uid-mine");
  desk.nodes["mine"].exists = false;
  CHECK(desk.decide() == "BuyNode " + claim_2 + " look of 2");
  Large all;
  all.nodes["a"] = given_to_it(two_gpus("uid-a"));
  all.nodes["b"] = given_to_it(two_gpus("uid-b"));
  CHECK(all.decide() == "");
  CHECK(all.granted() == "a/uid-a b/uid-b");
}

TEST_CASE("party: a given node with smaller GPUs is no part of it") {
  Large desk;
  desk.nodes["mine"] = given_to_it(two_gpus("uid-mine"));
  desk.nodes["mine"].gpu_memory_bytes = 24LL << 30;
  desk.decide();
  desk.see(claim_1, "gpu1");
  desk.decide();
  CHECK(desk.told("NodesReady") ==
        "False InsufficientMemory: llama-3.3-70b-instruct needs 5 nodes like mine (2 GPUs of 24.0 "
        "GiB) for weights of 131.4 GiB, and resource.count is 2; make the Workspace anew with "
        "resource.count: 5, or for nodes with larger GPUs; 1 of 2 nodes are usable");
}

TEST_CASE("party: an edit that needs fewer nodes keeps what stands, and gives up the others") {
  Large desk;
  desk.grant_both();
  desk.nodes["gpu1"].exists = false;
  desk.end(claim_1);
  wire::WorkspaceT edited = wide();
  edited.version = 90;
  edited.revision = "rev2";
  edited.inference->preset = "phi-4";
  desk.hear(wire::WorkspaceT(edited));
  desk.nodes["gpu2"].models = {"phi-4"};
  CHECK(desk.decide() == "");  // the second's does for the one that is needed
  CHECK(desk.granted() == "gpu2/uid-gpu2");
  CHECK(desk.record.resources->further.empty());

  Large both;
  both.grant_both();
  both.hear(std::move(edited));
  both.nodes["gpu1"].models = {"phi-4"};
  CHECK(both.decide() == "GiveUpNodes spare/uid-" + claim_2);
  CHECK(both.granted() == "gpu1/uid-gpu1");
}

TEST_CASE("party: one pool of as many replicas; Karpenter makes its claims") {
  Large desk(Mode::karpenter);
  const std::string pool = "default-w-321e0d259";
  CHECK(desk.decide() == "BuyNode " + pool + " look of 2");
  desk.see_pool(pool, 2);
  CHECK(desk.decide() == "");
  desk.see(pool + "-b", "gpu2");
  CHECK(desk.decide() == "");
  CHECK(
      desk.told("NodeClaimReady") ==
      "False NodeClaimNotReady: Ready NodeClaims are not enough: NodePool default-w-321e0d259 has "
      "1 NodeClaims of 2 yet; 1 of 2 NodeClaims are ready");
  desk.see(pool + "-a", "gpu1");
  CHECK(desk.decide() == "");
  CHECK(desk.granted() == "gpu1/uid-gpu1 gpu2/uid-gpu2");
  CHECK(desk.record.resources->further.empty());
  CHECK(desk.told("NodesReady") == "True NodesReady: Enough Nodes are ready with GPU resources");
  desk.nodes["gpu1"].exists = false;
  desk.end(pool + "-a");
  CHECK(desk.decide() == "ExplainEnd explain/uid-" + pool + "-a/1");
  CHECK(desk.told("NodeClaimReady") ==
        "False NodeClaimDeleted: NodeClaim default-w-321e0d259-a has been deleted; Karpenter makes "
        "the next one; 1 of 2 NodeClaims are ready");
  desk.see(pool + "-c", "gpu3");
  desk.decide();
  CHECK(desk.granted() == "gpu2/uid-gpu2 gpu3/uid-gpu3");
}

TEST_CASE("party: a pool is made to have what is needed") {
  struct Row {
    const char* name;
    std::uint32_t replicas;
    std::size_t given;
    std::string wanted;
  };
  const Row rows[] = {{"as many", 2, 0, ""},
                      {"somebody has scaled it down", 1, 0, "BuyNode default-w of 2"},
                      {"to nothing", 0, 0, "BuyNode default-w of 2"},
                      {"too many", 3, 0, "BuyNode default-w of 2"},
                      {"with a given node", 1, 1, ""},
                      {"one was given later", 2, 1, ""}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Large desk(Mode::karpenter);
    desk.see_pool("default-w", row.replicas);  // KAITO's
    if (row.given > 0) desk.nodes["mine"] = given_to_it(two_gpus("uid-mine"));
    CHECK(desk.decide() == row.wanted);
    CHECK(desk.decide() == "");
  }
  Large scaled(Mode::karpenter);
  scaled.see_pool("default-w", 2);
  scaled.see("default-w-a", "gpu1");
  scaled.see("default-w-b", "gpu2");
  CHECK(scaled.decide() == "");
  scaled.see_pool("default-w", 3);
  CHECK(scaled.decide() == "BuyNode default-w of 2");
  CHECK(scaled.granted() == "gpu1/uid-gpu1 gpu2/uid-gpu2");
  Large desk(Mode::karpenter);  // what a lost pool is made anew for
  desk.nodes["mine"] = given_to_it(two_gpus("uid-mine"));
  CHECK(desk.decide() == "BuyNode default-w-321e0d259 look");
  Large pools(Mode::karpenter);
  pools.see_pool("default-w-321e0d259", 2);
  wire::NodeClaimT ended = gone(claim(++pools.version, "default-w-321e0d259"));
  ended.kind = "NodePool";
  pools.decide();
  pools.hear(std::move(ended));
  CHECK(pools.decide() == "ExplainEnd explain/uid-default-w-321e0d259/1");
  pools.now_ms += 10'000;
  CHECK(pools.decide() == "BuyNode default-w-1cc7a52ae look of 2");
}

TEST_CASE("party: a deletion gives everything back") {
  Large desk;
  desk.grant_both();
  wire::WorkspaceT w = leaving(wide());
  w.version = 90;
  desk.hear(std::move(w));
  CHECK(desk.decide() == "GiveUpNodes leaving");
  CHECK(desk.record.resources->message ==
        "waiting for NodeClaim ws321e0d259, NodeClaim " + claim_2 + " to end");
  desk.answer("leaving", "", "");
  desk.decide();
  CHECK(desk.record.resources->state == wire::ResourcesState::Released);
}
