// gpu/aten/cuda_kernels.cpp - names to functions.
#include "gpu/aten/cuda_kernels.h"

#include <dlfcn.h>

namespace kairo::gpu {
Result<CudaKernels> open_kernels(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return Error{Code::not_found, "kairo's kernels do not open (" +
                                      std::string(why == nullptr ? path.c_str() : why) + ")"};
  }
  CudaKernels out;
  decltype(&::kairo_cuda_abi) abi = nullptr;
  bool has_all = true;
  const auto take = [&](auto& function, const char* name) {
    function =
        reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    has_all = has_all && function != nullptr;
  };
  take(abi, "kairo_cuda_abi");
  take(out.error_text, "kairo_cuda_error_text");
#define KAIRO_LAUNCH(name) take(out.name, "kairo_cuda_" #name);
  KAIRO_CUDA_LAUNCHES(KAIRO_LAUNCH)
#undef KAIRO_LAUNCH
  if (!has_all || abi() != kairo_cuda_abi_now)
    return Error{Code::invalid, "kairo's kernels (" + path +
                                    ") are of another version than this program: install both of "
                                    "one release"};
  return out;
}
}  // namespace kairo::gpu
