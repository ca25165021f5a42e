// schemas/base/bytes.h - amounts of bytes as people write and read them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kairo {
// "20GiB", "20Gi", "20GB", "20G", "1.5 TiB", "1024": K, M, G, T; with an i they are powers of 1024.
// nullopt: no such amount, or more than 2^62 bytes.
std::optional<std::uint64_t> bytes_in(std::string_view text);
std::string bytes_in_words(std::uint64_t bytes);  // "2.9 GB", "269 MB", "12 kB"
// "1.2 of 2.9 GB": both in the unit of the larger; total 0: it is not known.
std::string bytes_of_bytes(std::uint64_t done, std::uint64_t total);
}  // namespace kairo
