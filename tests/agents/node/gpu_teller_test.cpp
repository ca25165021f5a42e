// What this proves: what the node agent sees of its GPUs stands on its Node, beside the models, and
// goes when the driver does; and it says how much a GPU is used.
#include "agents/node/gpu/gpu_teller.h"

#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/watcher/translate.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_gpus.h"

namespace kairo::node {
namespace {
const cluster::Ref self{cluster::nodes, "", "n1"};

TEST_CASE("GPUs on the Node") {
  static const SystemClock clock;
  test::FakeClock fake;
  cluster::MemoryCluster cluster(fake, "s");
  (void)cluster.apply({self,
                       R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","annotations":)"
                       R"({"kairo.dev/models":"a"}}})",
                       "kairo-node", ""});
  Inventory has;
  has.driver = "580.95.05";
  has.gpus.resize(1);
  has.gpus[0].uuid = "GPU-1";
  const auto gpus = std::make_shared<test::FakeGpus>(has);
  Reading reading;
  reading.set(Measure::utilization, 42);
  gpus->say({reading, {}});
  GpuWatchSettings settings;
  settings.open = [gpus] { return GpuAnswer<std::shared_ptr<Gpus>>{gpus, {}}; };
  settings.clock = &clock;
  settings.period_ms = 5;
  GpuTeller teller(std::move(settings), cluster, "n1");
  wire::NodeT seen;
  const auto look = [&] {
    const auto object = nlohmann::json::parse(cluster.get(self).value());
    seen = *watcher::translate(cluster::nodes, object, true).value().body.AsNode();
  };
  const auto tells = [&](const std::string& trouble) {
    for (int i = 0; i < 400; ++i) {
      look();
      teller.tell(seen, 1'000 * i);
      look();
      if (seen.seen_gpus && seen.seen_gpus->gpus.size() == 1 &&
          seen.seen_gpus->gpus[0]->trouble == trouble)
        return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  };
  CHECK(tells(""));
  CHECK(seen.seen_gpus->driver == "580.95.05");
  CHECK(seen.models == std::vector<std::string>{"a"});  // said by another manager
  const std::uint64_t version = seen.version;
  teller.tell(seen, 1'000'000);
  look();
  CHECK(seen.version == version);  // it is shown: nothing is written
  for (int i = 0; i < 400 && !teller.utilization("GPU-1"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(teller.utilization("GPU-1") == 42U);
  CHECK_FALSE(teller.utilization("GPU-2"));
  CHECK(teller.metrics().find("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"GPU-1\"") !=
        std::string::npos);
  gpus->say({{}, {GpuCode::lost, "GPU is lost"}});
  CHECK(tells("the GPU is lost: restart the node; if it comes again, have its hardware looked at"));
  CHECK_FALSE(teller.utilization("GPU-1"));
}
}  // namespace
}  // namespace kairo::node
