// agents/transfer/address.h - which IP addresses belong to the internet (pure).
#pragma once
#include <sys/socket.h>

namespace kairo::transfer {
bool is_loopback_address(const sockaddr& address);
// Not loopback, private, shared, link-local (cloud metadata), multicast, documentation or reserved;
// IPv4 inside IPv6 (mapped, NAT64, 6to4) is judged as IPv4. Other families are not public.
bool is_public_address(const sockaddr& address);
}  // namespace kairo::transfer
