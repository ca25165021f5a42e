// agents/node/gpu/kernel_log.h - the NVIDIA driver's errors in lines of the kernel's log. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "agents/node/gpu/gpus.h"

namespace kairo::node {
constexpr std::size_t kernel_line_max = 8'192;  // the rest of a longer one is not looked at
// Of "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, ..." its GPU and number; of a GPU that is said to have
// fallen off the bus, 79. The line may be a record of /dev/kmsg or one of a log file. An error of
// an NVLink that the driver calls nonfatal is none.
std::optional<Xid> xid_in(std::string_view line);
// "00000000:3B:00.0", "0000:3b:00" -> "0000:3b:00": equal for one GPU, whoever names it. "" = it is
// no PCI address.
std::string pci_key(std::string_view address);
}  // namespace kairo::node
