// agents/node/gpu/gpu_metrics.cpp - a table of names; a line for each figure that is there.
#include "agents/node/gpu/gpu_metrics.h"

#include <cstdio>

namespace kairo::node {
namespace {
enum class Unit { plain, thousandth, mebibytes };
struct Named {
  Measure measure;
  const char* name;
  const char* type;
  Unit unit;
  const char* help;
};
constexpr Named names[] = {
    {Measure::sm_clock, "DCGM_FI_DEV_SM_CLOCK", "gauge", Unit::plain, "SM clock (MHz)."},
    {Measure::memory_clock, "DCGM_FI_DEV_MEM_CLOCK", "gauge", Unit::plain, "Memory clock (MHz)."},
    {Measure::temperature, "DCGM_FI_DEV_GPU_TEMP", "gauge", Unit::plain, "GPU temperature (C)."},
    {Measure::memory_temperature, "DCGM_FI_DEV_MEMORY_TEMP", "gauge", Unit::plain,
     "Memory temperature (C)."},
    {Measure::power, "DCGM_FI_DEV_POWER_USAGE", "gauge", Unit::thousandth, "Power draw (W)."},
    {Measure::power_limit, "DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "gauge", Unit::thousandth,
     "Power limit that holds (W)."},
    {Measure::energy, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", Unit::plain,
     "Energy since the driver was loaded (mJ)."},
    {Measure::pcie_replays, "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", Unit::plain,
     "PCIe packets that were sent again."},
    {Measure::utilization, "DCGM_FI_DEV_GPU_UTIL", "gauge", Unit::plain,
     "Share of time in which a kernel ran (%)."},
    {Measure::memory_utilization, "DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", Unit::plain,
     "Share of time in which memory was read or written (%)."},
    {Measure::encoder, "DCGM_FI_DEV_ENC_UTIL", "gauge", Unit::plain, "Video encoder (%)."},
    {Measure::decoder, "DCGM_FI_DEV_DEC_UTIL", "gauge", Unit::plain, "Video decoder (%)."},
    {Measure::memory_free, "DCGM_FI_DEV_FB_FREE", "gauge", Unit::mebibytes, "Memory free (MiB)."},
    {Measure::memory_used, "DCGM_FI_DEV_FB_USED", "gauge", Unit::mebibytes, "Memory used (MiB)."},
    {Measure::memory_reserved, "DCGM_FI_DEV_FB_RESERVED", "gauge", Unit::mebibytes,
     "Memory that the driver keeps (MiB)."},
    {Measure::throttle_reasons, "DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gauge", Unit::plain,
     "Why clocks are low, as bits."},
    {Measure::remapped_uncorrectable, "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter",
     Unit::plain, "Rows of memory replaced after errors that could not be corrected."},
    {Measure::remapped_correctable, "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", Unit::plain,
     "Rows of memory replaced after errors that were corrected."},
    {Measure::remap_failure, "DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", Unit::plain,
     "1: a row of memory could not be replaced."},
    {Measure::remap_pending, "DCGM_FI_DEV_ROW_REMAP_PENDING", "gauge", Unit::plain,
     "1: a row of memory is replaced at the next reset."},
    {Measure::ecc_corrected, "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "counter", Unit::plain,
     "Corrected memory errors since the driver was loaded."},
    {Measure::ecc_uncorrected, "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", Unit::plain,
     "Uncorrected memory errors since the driver was loaded."},
    {Measure::ecc_corrected_ever, "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "counter", Unit::plain,
     "Corrected memory errors, ever."},
    {Measure::ecc_uncorrected_ever, "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "counter", Unit::plain,
     "Uncorrected memory errors, ever."},
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}
std::string figure(std::uint64_t value, Unit unit) {
  char text[48];
  if (unit == Unit::mebibytes) return std::to_string(value >> 20);
  if (unit == Unit::plain) return std::to_string(value);
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(value) / 1000);
  return text;
}
std::string labels_of(const Gpu& gpu, const GpuBoard& board, const std::string& hostname) {
  return "{gpu=\"" + std::to_string(gpu.index) + "\",UUID=\"" + escaped(gpu.uuid) +
         "\",pci_bus_id=\"" + escaped(gpu.pci) + "\",device=\"nvidia" + std::to_string(gpu.minor) +
         "\",modelName=\"" + escaped(gpu.name) + "\",Hostname=\"" + escaped(hostname) +
         "\",DCGM_FI_DRIVER_VERSION=\"" + escaped(board.driver) + "\"} ";
}
}  // namespace

std::string gpu_metrics(const GpuBoard& board, const std::vector<std::string>& troubles,
                        const std::string& hostname) {
  if (!board.is_open && board.trouble.empty()) return {};
  std::string out;
  out.reserve(1024 + board.gpus.size() * 8192);
  const auto about = [&](const char* name, const char* type, const char* help) {
    out += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  };
  std::vector<std::string> labels;
  for (const GpuSight& seen : board.gpus) labels.push_back(labels_of(seen.gpu, board, hostname));
  const auto each = [&](const Named& named, const auto& value_of) {
    bool is_told = false;
    for (std::size_t i = 0; i < board.gpus.size(); ++i) {
      const auto value = value_of(board.gpus[i]);
      if (!value) continue;
      if (!is_told) about(named.name, named.type, named.help);
      is_told = true;
      out += named.name + labels[i] + figure(*value, named.unit) + "\n";
    }
  };
  for (const Named& named : names)
    each(named, [&](const GpuSight& seen) -> std::optional<std::uint64_t> {
      if (!seen.reading || board.now_ms - seen.read_at_ms > reading_ms_max) return std::nullopt;
      return (*seen.reading)[named.measure];
    });
  each(Named{Measure::count, "DCGM_FI_DEV_XID_ERRORS", "gauge", Unit::plain, "The last Xid."},
       [](const GpuSight& seen) {
         return std::optional<std::uint64_t>(seen.last ? seen.last->number : 0);
       });
  each(Named{Measure::count, "DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", Unit::plain,
        "1: a virtual GPU with a licence."},
       [](const GpuSight&) { return std::optional<std::uint64_t>(0); });
  about("kairo_gpu_driver_ok", "gauge", "1: the driver works and lists all GPUs.");
  out += "kairo_gpu_driver_ok " + std::string(board.trouble.empty() ? "1" : "0") + "\n";
  if (!board.gpus.empty()) about("kairo_gpu_ok", "gauge", "1: something new may run on it.");
  for (std::size_t i = 0; i < board.gpus.size() && i < troubles.size(); ++i)
    out += "kairo_gpu_ok" + labels[i] + (troubles[i].empty() ? "1" : "0") + "\n";
  return out;
}
}  // namespace kairo::node
