// agents/transfer/address.cpp - IANA's special-purpose registries as prefix tables.
#include "agents/transfer/address.h"

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace kairo::transfer {
namespace {
using Ip6 = std::array<std::uint8_t, 16>;
struct Prefix4 {
  std::uint32_t address;
  int bits;
};
constexpr Prefix4 special4[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
    {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
    {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 4},  {0xf0000000, 4},
};
bool is_public4(std::uint32_t address) {
  if (address == 0xa83f8110) return false;  // 168.63.129.16: Azure's host agent
  for (const Prefix4& p : special4)
    if ((address ^ p.address) >> (32 - p.bits) == 0) return false;
  return true;
}
std::uint32_t word_at(const Ip6& ip, std::size_t at) {
  return static_cast<std::uint32_t>(ip[at]) << 24 | static_cast<std::uint32_t>(ip[at + 1]) << 16 |
         static_cast<std::uint32_t>(ip[at + 2]) << 8 | ip[at + 3];
}
bool is_mapped4(const Ip6& ip) {
  return word_at(ip, 0) == 0 && word_at(ip, 4) == 0 && word_at(ip, 8) == 0x0000ffff;
}
bool is_public6(const Ip6& ip) {
  if (is_mapped4(ip)) return is_public4(word_at(ip, 12));
  if (word_at(ip, 0) == 0x0064ff9b)  // NAT64: by what stands behind the well-known prefix, no other
    return word_at(ip, 4) == 0 && word_at(ip, 8) == 0 && is_public4(word_at(ip, 12));
  if (ip[0] == 0x20 && ip[1] == 0x02) return is_public4(word_at(ip, 2));  // 6to4
  if (ip[0] >> 5 != 1) return false;                                      // not 2000::/3
  if (word_at(ip, 0) == 0x20010db8) return false;                         // documentation
  return !(ip[0] == 0x20 && ip[1] == 0x01 && ip[2] < 2);                  // 2001::/23
}
Ip6 ip6_of(const sockaddr& address) {
  sockaddr_in6 full{};
  std::memcpy(&full, &address, sizeof full);
  Ip6 out{};
  std::memcpy(out.data(), &full.sin6_addr, out.size());
  return out;
}
std::uint32_t ip4_of(const sockaddr& address) {
  sockaddr_in full{};
  std::memcpy(&full, &address, sizeof full);
  return ntohl(full.sin_addr.s_addr);
}
}  // namespace

bool is_loopback_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) return ip4_of(address) >> 24 == 127;
  if (address.sa_family != AF_INET6) return false;
  const Ip6 ip = ip6_of(address);
  if (is_mapped4(ip)) return ip[12] == 127;
  return word_at(ip, 0) == 0 && word_at(ip, 4) == 0 && word_at(ip, 8) == 0 && word_at(ip, 12) == 1;
}
bool is_private_address(const sockaddr& address) {
  const auto is_private4 = [](std::uint32_t ip) {
    return ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8 || ip >> 22 == 0x191;
  };
  if (address.sa_family == AF_INET) return is_private4(ip4_of(address));
  if (address.sa_family != AF_INET6) return false;
  const Ip6 ip = ip6_of(address);
  if (is_mapped4(ip)) return is_private4(word_at(ip, 12));
  return (ip[0] & 0xfe) == 0xfc && word_at(ip, 0) != 0xfd000ec2;
}
bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) return is_public4(ip4_of(address));
  return address.sa_family == AF_INET6 && is_public6(ip6_of(address));
}
}  // namespace kairo::transfer
