// What this proves: what errors mean, when a GPU is ill and when it is well again, what is told of
// it and in which form.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include "agents/node/gpu/gpu_metrics.h"
#include "agents/node/gpu/gpus_note.h"
#include "agents/node/gpu/health.h"
#include "agents/node/gpu/kernel_log.h"
#include "agents/node/gpu/xids.h"

namespace kairo::node {
namespace {
const std::string reset =
    "drain the node and reset the GPU (nvidia-smi --gpu-reset), or restart the node";
const std::string reboot = "restart the node; if it comes again, have its hardware looked at";

Gpu gpu_of(unsigned index) {
  Gpu out;
  out.index = out.minor = index;
  out.uuid = "GPU-" + std::to_string(index);
  out.pci = index == 0 ? "00000000:1B:00.0" : "00000000:1C:00.0";
  out.name = "NVIDIA H200";
  out.major_capability = 9;
  out.memory_bytes = 143'771ULL << 20;
  return out;
}
GpuSight sight(std::int64_t read_at_ms) {
  GpuSight out;
  out.gpu = gpu_of(0);
  out.reading = Reading();
  out.read_at_ms = read_at_ms;
  return out;
}

TEST_CASE("classes of errors") {
  struct Row {
    unsigned number;
    bool is_fatal;
    std::string words;
  };
  const Row rows[] = {
      {13, false,
       "Xid 13 (an exception of a kernel: it read or wrote where nothing is): nothing need be "
       "done"},
      {45, false, "Xid 45 (a channel was removed after another error): nothing need be done"},
      {63, false, "Xid 63 (a row of memory is to be replaced at the next reset): nothing need be "
                  "done"},
      {79, true, "Xid 79 (the GPU has fallen off the bus): " + reboot},
      {94, false,
       "Xid 94 (a memory error that touched one program, and was contained): nothing need be done"},
      {95, true,
       "Xid 95 (a memory error that was not contained: all programs are touched): " + reset},
      {119, true, "Xid 119 (the GPU's system processor does not answer): " + reset},
      {147, true, "Xid 147 (an error of an NVLink): " + reboot},
      {154, false, "Xid 154 (the driver has another advice by now, which is read): nothing need be "
                   "done"},
      {9'998, false, "Xid 9998 (not in the table): nothing need be done"},
  };
  for (const Row& row : rows) {
    CHECK(is_fatal(known_xids(), row.number) == row.is_fatal);
    CHECK(words_of(known_xids(), row.number) == row.words);
  }
  CHECK(known_xids().size() == 98);
}

TEST_CASE("an administrator amends the table") {
  Xids xids = known_xids();
  const char* ours = "# ours\n109 program a slow switch\n\n200-201\treset  the new unit # a\r\n";
  REQUIRE(amend(xids, ours).ok());
  CHECK_FALSE(is_fatal(xids, 109));
  CHECK(words_of(xids, 201) == "Xid 201 (the new unit): " + reset);
  CHECK(is_fatal(xids, 79));
  for (const char* wrong : {"79", "79 reset", "x reset it", "5-3 reset it", "79 Reset it",
                            "99999999999 reset it", "79- reset it", "10001 reset it"}) {
    const Xids before = known_xids();
    Xids into = before;
    const Status done = amend(into, std::string("13 reset it\n") + wrong);
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().what ==
          "xid-table: line 2: write NUMBER or FIRST-LAST, then program, news, echo, reset or "
          "reboot, then what it means");
    CHECK_FALSE(is_fatal(into, 13));  // all or nothing
  }
}

TEST_CASE("lines of the kernel's log") {
  struct Row {
    const char* line;
    const char* pci;  // "" = it tells of no error
    unsigned number;
  };
  const Row rows[] = {
      {"6,1234,5678,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has "
       "fallen off the bus.",
       "0000:3b:00", 79},
      {"Nov 30 12:00:00 n1 kernel: [ 12.3] NVRM: Xid (PCI:0001:AF:00.0): 13, Graphics Exception",
       "0001:af:00", 13},
      {"NVRM: Xid (PCI:0000:3b:00): 31", "0000:3b:00", 31},
      {"NVRM: GPU 0000:c1:00.0: GPU has fallen off the bus.", "0000:c1:00", 79},
      {"NVRM: The NVIDIA GPU 0000:c1:00.0 has fallen off the bus and is not responding",
       "0000:c1:00", 79},
      {"NVRM: Xid (PCI:0000:3b:00): 149, NETIR_LINK_EVT  Fatal XC0 i0 Link 07 (0x1 0x2)",
       "0000:3b:00", 149},
      {"NVRM: Xid (PCI:0000:3b:00): 149, NETIR_LINK_EVT  Nonfatal XC0 i0 Link 07 (0x1 0x2)", "", 0},
      {"NVRM: Xid (PCI:0000:3b:00): , pid=1", "", 0},
      {"NVRM: Xid (PCI:0000:3b): 79", "", 0},
      {"NVRM: Xid (PCI:zzzz:3b:00): 79", "", 0},
      {"NVRM: Xid (PCI:0000:3b:00): 99999999999", "", 0},
      {"NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05", "", 0},
      {"usb 1-1: fallen off the bus", "", 0},
      {"NVRM: has fallen off the bus", "", 0},
      {"", "", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.line);
    const auto xid = xid_in(row.line);
    REQUIRE(xid.has_value() == (row.number != 0));
    if (!xid) continue;
    CHECK(xid->pci == row.pci);
    CHECK(xid->number == row.number);
  }
  CHECK(pci_key("00000000:3B:00.0") == "0000:3b:00");
  CHECK(pci_key("3B:00.0") == "");
}

TEST_CASE("when a GPU is ill") {
  const Xids& xids = known_xids();
  struct Row {
    const char* name;
    std::function<void(GpuSight&)> is;
    std::string trouble;
  };
  const auto says = [](std::uint64_t action) {
    return [action](GpuSight& s) { s.reading->set(Measure::recovery_action, action); };
  };
  const auto after = [](unsigned xid, std::int64_t at_ms, std::optional<std::uint64_t> action) {
    return [=](GpuSight& s) {
      s.last = s.fatal = XidSeen{xid, at_ms};
      if (action) s.reading->set(Measure::recovery_action, *action);
    };
  };
  const std::string wants_reset = "the GPU must be reset, ";
  const Row rows[] = {
      {"well", [](GpuSight&) {}, ""},
      {"well by the driver's word", says(0), ""},
      {"a reset", says(1), wants_reset + "the driver asks for it: " + reset},
      {"a restart", says(2), "the node must be restarted, the driver asks for it: " + reboot},
      {"drain", says(3),
       "the driver wants the GPU drained (recovery action 3), the driver asks for it: " + reset},
      {"drain and reset", says(4), wants_reset + "the driver asks for it: " + reset},
      {"by the table", after(119, 5'000, {}),
       "Xid 119 (the GPU's system processor does not answer): " + reset},
      {"the verdict may be an older one", after(119, 99'000, 0),
       "Xid 119 (the GPU's system processor does not answer): " + reset},
      {"the verdict counts more than the table", after(119, 98'000, 0), ""},
      {"and says why", after(95, 98'000, 1),
       wants_reset + "after Xid 95 (a memory error that was not contained: all programs are "
                     "touched): " + reset},
      {"an error of a program", [](GpuSight& s) { s.last = XidSeen{13, 99'000}; }, ""},
      {"lost", [](GpuSight& s) { s.error = GpuError{GpuCode::lost, "GPU is lost"}; },
       "the GPU is lost: " + reboot},
      {"lost, and why",
       [](GpuSight& s) {
         s.error = GpuError{GpuCode::lost, "GPU is lost"};
         s.fatal = XidSeen{79, 98'000};
       },
       "Xid 79 (the GPU has fallen off the bus): " + reboot},
      {"it answers nothing", [](GpuSight& s) {
         s.error = GpuError{GpuCode::reset_required, ""};
         s.reading.reset();
       }, wants_reset + "the driver asks for it: " + reset},
      {"one call that fails is none",
       [](GpuSight& s) { s.error = GpuError{GpuCode::failed, "Some error"}; }, ""},
      {"a call takes long", [](GpuSight& s) { s.busy_since_ms = 90'000; }, ""},
      {"too long", [](GpuSight& s) { s.busy_since_ms = 89'999; },
       "the driver does not answer about it: " + reboot},
      {"its memory cannot be repaired",
       [](GpuSight& s) { s.reading->set(Measure::remap_failure, 1); },
       "a row of its memory could not be replaced: " + reboot},
      {"its memory is repaired at the next reset",
       [](GpuSight& s) { s.reading->set(Measure::remap_pending, 1); }, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    GpuSight seen = sight(100'000);
    row.is(seen);
    CHECK(trouble_of(seen, xids, 100'000) == row.trouble);
  }
}

TEST_CASE("a GPU is well when it has been well for a minute") {
  Convalescence of;
  CHECK(of.settle("GPU-0", "", 1'000) == "");
  CHECK(of.settle("GPU-0", "Xid 79", 2'000) == "Xid 79");
  CHECK(of.settle("GPU-0", "", 3'000) == "Xid 79");
  CHECK(of.settle("GPU-1", "", 3'000) == "");
  CHECK(of.settle("GPU-0", "Xid 62", 50'000) == "Xid 62");
  CHECK(of.settle("GPU-0", "", 109'999) == "Xid 62");
  CHECK(of.settle("GPU-0", "", 110'000) == "");
  CHECK(of.settle("GPU-0", "", 110'001) == "");
}

GpuBoard board_of_two() {
  GpuBoard board;
  board.now_ms = 100'000;
  board.is_open = true;
  board.driver = "580.95.05";
  board.gpus = {sight(99'500), sight(99'400)};
  board.gpus[1].gpu = gpu_of(1);
  std::uint64_t value = 7;
  for (GpuSight& seen : board.gpus)
    for (std::size_t m = 0; m < static_cast<std::size_t>(Measure::count); ++m)
      seen.reading->set(static_cast<Measure>(m), value += 1'048'577);
  board.gpus[1].last = XidSeen{31, 4'000};
  return board;
}

TEST_CASE("metrics under dcgm-exporter's names and labels") {
  const std::string file = std::string(KAIRO_SOURCE_DIR) + "/tests/agents/node/golden/gpus.prom";
  std::stringstream golden;
  golden << std::ifstream(file).rdbuf();
  CHECK(gpu_metrics(board_of_two(), {"", "Xid 79"}, "gpu-node-1") == golden.str());
}

TEST_CASE("what is not known has no figure") {
  GpuBoard board = board_of_two();
  board.gpus[0].read_at_ms = 94'999;  // more than five seconds ago: a hung one
  board.gpus[1].reading = Reading();
  board.gpus[1].reading->set(Measure::temperature, 40);
  const std::string text = gpu_metrics(board, {"x", ""}, "n\"1");
  CHECK(text.find("DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"") == std::string::npos);
  CHECK(text.find("DCGM_FI_DEV_GPU_TEMP{gpu=\"1\",UUID=\"GPU-1\",pci_bus_id=\"00000000:1C:00.0\","
                  "device=\"nvidia1\",modelName=\"NVIDIA H200\",Hostname=\"n\\\"1\","
                  "DCGM_FI_DRIVER_VERSION=\"580.95.05\"} 40\n") != std::string::npos);
  CHECK(text.find("DCGM_FI_DEV_SM_CLOCK") == std::string::npos);
  CHECK(text.find("kairo_gpu_driver_ok 1\n") != std::string::npos);
  board.trouble = "it hangs";
  CHECK(gpu_metrics(board, {"", ""}, "n").find("kairo_gpu_driver_ok 0\n") != std::string::npos);
  CHECK(gpu_metrics(GpuBoard(), {}, "laptop") == "");
}

TEST_CASE("the word on the Node") {
  CHECK(gpus_word(GpuBoard(), {}) == nullptr);  // no driver, and none is missed
  const auto word = gpus_word(board_of_two(), {"", "Xid 79: reset it"});
  REQUIRE(word != nullptr);
  CHECK(gpus_text(*word) ==
        R"({"driver":"580.95.05","gpus":[{"capability":"9.0","memoryMiB":143771,"mig":false,)"
        R"("name":"NVIDIA H200","trouble":"","uuid":"GPU-0"},{"capability":"9.0",)"
        R"("memoryMiB":143771,"mig":false,"name":"NVIDIA H200","trouble":"Xid 79: reset it",)"
        R"("uuid":"GPU-1"}],"trouble":""})");
  GpuBoard gone;
  gone.trouble = "the NVIDIA driver does not work";
  REQUIRE(gpus_word(gone, {}) != nullptr);
  CHECK(gpus_text(*gpus_word(gone, {})) ==
        R"({"driver":"","gpus":[],"trouble":"the NVIDIA driver does not work"})");
}

TEST_CASE("it is written until the Node shows it") {
  const auto word = gpus_word(board_of_two(), {"", ""});
  wire::NodeT node;
  node.version = 7;
  GpusNote note;
  CHECK_FALSE(note.is_due(word.get(), node, 1'000));  // the Node is not there
  node.exists = true;
  CHECK(note.is_due(word.get(), node, 1'000));
  CHECK_FALSE(note.is_due(nullptr, node, 1'000));  // nothing is said, nothing shown
  note = {gpus_text(*word), 7, 1'000};
  CHECK_FALSE(note.is_due(word.get(), node, 2'000));
  CHECK(note.is_due(word.get(), node, 31'001));
  node.version = 8;  // somebody wrote, and it does not show it
  CHECK(note.is_due(word.get(), node, 2'000));
  node.seen_gpus = std::make_unique<wire::NodeGpusT>(*word);
  CHECK_FALSE(note.is_due(word.get(), node, 2'000));
  CHECK(note.is_due(gpus_word(board_of_two(), {"", "ill"}).get(), node, 2'000));
  CHECK(note.is_due(nullptr, node, 2'000));  // the driver was taken away
}
}  // namespace
}  // namespace kairo::node
