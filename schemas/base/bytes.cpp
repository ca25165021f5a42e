// schemas/base/bytes.cpp - decimal units out, decimal and binary ones in.
#include "schemas/base/bytes.h"

#include <charconv>
#include <cstdio>

namespace kairo {
namespace {
struct Unit {
  double bytes;
  const char* name;
  int decimals;
};
constexpr Unit units[] = {{1e12, "TB", 2}, {1e9, "GB", 1}, {1e6, "MB", 0}, {1e3, "kB", 0}};
const Unit& unit_of(std::uint64_t bytes) {
  for (const Unit& unit : units)
    if (static_cast<double>(bytes) >= unit.bytes) return unit;
  return units[3];
}
std::string in(std::uint64_t bytes, const Unit& unit) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", unit.decimals, static_cast<double>(bytes) / unit.bytes);
  return text;
}
}  // namespace

std::optional<std::uint64_t> bytes_in(std::string_view text) {
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number >= 0)) return std::nullopt;
  std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  double factor = 1;
  if (!unit.empty() && unit != "B") {
    const std::size_t power = std::string_view("KMGT").find(unit.front() == 'k' ? 'K' : unit[0]);
    const std::string_view tail = unit.substr(1);
    const bool is_binary = tail.starts_with('i');
    if (power == std::string_view::npos ||
        (tail != "" && tail != "B" && tail != "i" && tail != "iB"))
      return std::nullopt;
    for (std::size_t i = 0; i <= power; ++i) factor *= is_binary ? 1024 : 1000;
  }
  constexpr double most = 4.6e18;
  if (number * factor > most) return std::nullopt;
  return static_cast<std::uint64_t>(number * factor);
}
std::string bytes_in_words(std::uint64_t bytes) {
  const Unit& unit = unit_of(bytes);
  return in(bytes, unit) + " " + unit.name;
}
std::string bytes_of_bytes(std::uint64_t done, std::uint64_t total) {
  if (total == 0) return bytes_in_words(done);
  const Unit& unit = unit_of(total);
  return in(done, unit) + " of " + in(total, unit) + " " + unit.name;
}
}  // namespace kairo
