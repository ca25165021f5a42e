// tests/gpu/aten/on_gpu.h - this machine's GPU, for tests that say SKIP where there is none.
#pragma once
#include <doctest/doctest.h>

#include <filesystem>

#include "gpu/aten/open_device.h"

namespace kairo::gpu::test {
// With the kernels of this build, self-tested. Null: there is none that can be used, and why has
// been said.
inline DevicePtr gpu() {
  CudaLibraries libraries;  // where programs are carried to another machine they lie beside them
  if (std::filesystem::exists(KAIRO_CUDA_LIBRARY)) libraries.kernels = KAIRO_CUDA_LIBRARY;
  auto opened = open_device("cuda", SystemClock(), libraries);
  if (opened.ok()) return opened.value().device;
  const Error& error = opened.error();
  const bool is_absent = error.code == Code::not_found || error.code == Code::invalid;
  REQUIRE_MESSAGE(is_absent, error.what);
  MESSAGE("SKIP: " << error.what);
  return nullptr;
}
}  // namespace kairo::gpu::test
