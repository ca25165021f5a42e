// agents/node/gpu/kernel_log.cpp - two patterns.
#include "agents/node/gpu/kernel_log.h"

#include <charconv>
#include <cstdio>

namespace kairo::node {
namespace {
// A hexadecimal number of at most `digits` that ends at `stop`, which is taken too.
bool take(std::string_view& text, std::size_t digits, char stop, unsigned& out) {
  const std::size_t end = text.find(stop);
  if (end == std::string_view::npos || end == 0 || end > digits) return false;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + end, out, 16);
  if (error != std::errc() || rest != text.data() + end) return false;
  text.remove_prefix(end + 1);
  return true;
}
// The address at which the text begins.
std::string key_at(std::string_view text) {
  unsigned domain = 0, bus = 0, device = 0;
  if (!take(text, 8, ':', domain) || !take(text, 2, ':', bus)) return {};
  const auto [rest, error] =
      std::from_chars(text.data(), text.data() + std::min<std::size_t>(text.size(), 2), device, 16);
  if (error != std::errc() || device > 0x1f) return {};
  char out[32];
  std::snprintf(out, sizeof out, "%04x:%02x:%02x", domain, bus, device);
  return out;
}
}  // namespace

std::string pci_key(std::string_view address) {
  return key_at(address);
}

std::optional<Xid> xid_in(std::string_view line) {
  line = line.substr(0, kernel_line_max);
  const std::size_t driver = line.find("NVRM: ");
  if (driver == std::string_view::npos) return std::nullopt;
  line.remove_prefix(driver + 6);
  constexpr std::string_view marked = "Xid (PCI:";
  if (line.starts_with(marked)) {
    line.remove_prefix(marked.size());
    Xid out;
    out.pci = key_at(line);
    const std::size_t end = line.find("): ");
    if (out.pci.empty() || end == std::string_view::npos) return std::nullopt;
    line.remove_prefix(end + 3);
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), out.number);
    if (error != std::errc() || out.number == 0 || out.number > 0xffff) return std::nullopt;
    const bool is_of_a_link = out.number >= 144 && out.number <= 150;
    if (is_of_a_link && line.find(" Nonfatal ") != std::string_view::npos) return std::nullopt;
    return out;
  }
  if (line.find("fallen off the bus") == std::string_view::npos) return std::nullopt;
  for (std::size_t at = line.find(':'); at != std::string_view::npos; at = line.find(':', at + 1)) {
    std::size_t from = at;
    while (from > 0 && std::string_view("0123456789abcdefABCDEF").find(line[from - 1]) !=
                           std::string_view::npos)
      --from;
    if (std::string key = key_at(line.substr(from)); !key.empty()) return Xid{std::move(key), 79};
  }
  return std::nullopt;
}
}  // namespace kairo::node
