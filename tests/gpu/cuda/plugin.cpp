// tests/gpu/cuda/plugin.cpp - opens the library and looks its functions up.
#include "tests/gpu/cuda/plugin.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace kairo::gpu::test {
namespace {
template <class F>
void look_up(void* library, F& function, const char* name) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (function != nullptr) return;
  std::fprintf(stderr, "%s is missing: %s\n", name, dlerror());
  std::exit(1);
}
Plugin open() {
  const char* named = std::getenv("KAIRO_CUDA_PLUGIN");
  const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string path = named != nullptr ? named : beside / "libkairo_cuda_emulated.so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
  Plugin p;
#define KAIRO_ENTRY(name) look_up(library, p.name, "kairo_cuda_" #name);
  KAIRO_CUDA_LAUNCHES(KAIRO_ENTRY)
#undef KAIRO_ENTRY
  look_up(library, p.abi, "kairo_cuda_abi");
  look_up(library, p.error_text, "kairo_cuda_error_text");
  look_up(library, p.malloc, "cudaMalloc");
  look_up(library, p.free, "cudaFree");
  look_up(library, p.memcpy, "cudaMemcpy");
  look_up(library, p.synchronise, "cudaDeviceSynchronize");
  p.seed = reinterpret_cast<void (*)(unsigned)>(dlsym(library, "emulator_seed"));
  return p;
}
}  // namespace

const Plugin& plugin() {
  static const Plugin opened = open();
  return opened;
}
}  // namespace kairo::gpu::test
