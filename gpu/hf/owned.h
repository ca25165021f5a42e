// gpu/hf/owned.h - memory that the Rust crate gave, freed at scope's end; private to gpu/hf.
#pragma once
#include <span>
#include <string>

#include "gpu/hf/kairo_hf.h"

namespace kairo::gpu {
struct OwnedBytes {
  kh_bytes raw{};
  OwnedBytes() = default;
  OwnedBytes(const OwnedBytes&) = delete;
  OwnedBytes& operator=(const OwnedBytes&) = delete;
  ~OwnedBytes() { kh_bytes_free(raw); }
  std::string text() const { return raw.data ? std::string(raw.data, raw.size) : std::string(); }
};
struct OwnedIds {
  kh_ids raw{};
  OwnedIds() = default;
  OwnedIds(const OwnedIds&) = delete;
  OwnedIds& operator=(const OwnedIds&) = delete;
  ~OwnedIds() { kh_ids_free(raw); }
  std::span<const std::uint32_t> values() const { return {raw.data, raw.size}; }
};
struct OwnedRanges {
  kh_ranges raw{};
  OwnedRanges() = default;
  OwnedRanges(const OwnedRanges&) = delete;
  OwnedRanges& operator=(const OwnedRanges&) = delete;
  ~OwnedRanges() { kh_ranges_free(raw); }
  std::span<const kh_range> values() const { return {raw.data, raw.size}; }
};
}  // namespace kairo::gpu
