// schemas/tensorboard/event_file.cpp - protobuf's wire format by hand: four kinds of fields.
#include "schemas/tensorboard/event_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>

namespace kairo::tensorboard {
namespace {
constexpr std::string_view prefix = "events.out.tfevents.", own = ".kairo.";
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

template <class N>
std::string little_endian(N value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
  return out;
}
std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  return out + static_cast<char>(value);
}
std::string key(int field, Wire wire) {
  return varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire));
}
std::string whole(int field, std::uint64_t value) {
  return key(field, Wire::varint) + varint(value);
}
std::string real(int field, double value) {
  return key(field, Wire::fixed64) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string real(int field, float value) {
  return key(field, Wire::fixed32) + little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string bytes(int field, std::string_view value) {
  return key(field, Wire::bytes) + varint(value.size()) + std::string(value);
}

std::string framed(const std::string& event) {
  const auto masked = [](std::string_view data) {
    const std::uint32_t crc = crc32c(data);
    return little_endian(std::rotr(crc, 15) + 0xa282ead8U);
  };
  const std::string length = little_endian(std::uint64_t{event.size()});
  return length + masked(length) + event + masked(event);
}
double seconds(std::int64_t ms) {
  return static_cast<double>(ms) / 1000;
}
std::string wall_time(std::int64_t at_ms) {
  return real(1, seconds(at_ms));
}
// A Value without a number, for the plugin's eyes.
std::string hparams_record(std::int64_t at_ms, std::string_view tag, const std::string& content) {
  const std::string plugin = bytes(1, "hparams") + bytes(2, content);
  const std::string metadata = bytes(1, plugin);
  return framed(wall_time(at_ms) + bytes(5, bytes(1, bytes(1, tag) + bytes(9, metadata))));
}
std::string value_of(const Setting& setting) {  // google.protobuf.Value
  if (const auto* number = std::get_if<double>(&setting.second)) return real(2, *number);
  if (const auto* flag = std::get_if<bool>(&setting.second)) return whole(4, *flag ? 1 : 0);
  return bytes(3, std::get<std::string>(setting.second));
}
}  // namespace

std::uint32_t crc32c(std::string_view data) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> out{};
    for (std::uint32_t i = 0; i < out.size(); ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0x82f63b78U : 0);
      out[i] = c;
    }
    return out;
  }();
  std::uint32_t crc = 0xffffffffU;
  for (const char c : data) crc = table[(crc ^ static_cast<std::uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

std::string file_name(std::int64_t begin_s, std::uint32_t attempt) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%010lld", static_cast<long long>(begin_s));
  return std::string(prefix) + digits + std::string(own) + std::to_string(attempt);
}
bool is_own_file(std::string_view name) {
  return name.starts_with(prefix) && name.find(own) != name.npos;
}
std::string first_record(std::int64_t at_ms) {
  return framed(wall_time(at_ms) + bytes(3, "brain.Event:2"));
}
std::string scalars_record(std::int64_t at_ms, std::int64_t step,
                           const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& s : scalars) summary += bytes(1, bytes(1, s.tag) + real(2, s.value));
  return framed(wall_time(at_ms) + whole(2, static_cast<std::uint64_t>(step)) + bytes(5, summary));
}
std::string start_record(std::int64_t at_ms, const std::vector<Setting>& settings) {
  std::string start;
  for (const Setting& s : settings) start += bytes(1, bytes(1, s.first) + bytes(2, value_of(s)));
  start += real(5, seconds(at_ms));
  return hparams_record(at_ms, "_hparams_/session_start_info", bytes(3, start));
}
std::string end_record(std::int64_t at_ms, bool has_succeeded) {
  const std::string end = whole(1, has_succeeded ? 1 : 2) + real(2, seconds(at_ms));
  return hparams_record(at_ms, "_hparams_/session_end_info", bytes(4, end));
}
}  // namespace kairo::tensorboard
