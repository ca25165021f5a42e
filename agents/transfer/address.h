// agents/transfer/address.h - which IP addresses belong to the internet (pure).
#pragma once
#include <sys/socket.h>

namespace kairo::transfer {
bool is_loopback_address(const sockaddr& address);
// Not loopback, private, shared, link-local (cloud metadata), multicast, documentation or reserved;
// IPv4 inside IPv6 (mapped, NAT64, 6to4) is judged as IPv4. Other families are not public.
bool is_public_address(const sockaddr& address);
// Of a network of one's own, where a cluster's Services are: 10/8, 172.16/12, 192.168/16, the
// shared 100.64/10, fc00::/7. Not link-local, not loopback, and not fd00:ec2::/32, where Amazon has
// its metadata.
bool is_private_address(const sockaddr& address);
}  // namespace kairo::transfer
