// gpu/aten/cuda_device.cpp - the driver's C interface by dlopen; signatures as NVIDIA documents
// them (CUDA Driver API).
#include "gpu/aten/cuda_device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <array>
#include <cstdio>

#include "schemas/base/gpu_limits.h"

namespace kairo::gpu {
namespace {
constexpr int no_device = 100;                               // CUDA_ERROR_NO_DEVICE
constexpr int capability_major = 75, capability_minor = 76;  // CU_DEVICE_ATTRIBUTE_...
constexpr const char* instead = ", or choose --device cpu";

Error unusable(const std::string& what, const std::string& remedy) {
  return Error{Code::invalid, "device cuda: " + what + ": " + remedy + instead};
}
std::string loader_error() {
  const char* text = ::dlerror();
  return text == nullptr ? "it has no reason" : text;
}
std::string version_text(int cuda) {
  return std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10);
}

class Driver {
 public:
  static Result<Driver> open(const std::string& path) {
    void* library = ::dlopen(path.c_str(), RTLD_NOW);
    if (library == nullptr) {
      Error none = unusable("this machine has no NVIDIA driver (" + loader_error() + ")",
                            "install driver 580 or newer; in a pod, ask for nvidia.com/gpu");
      none.code = Code::not_found;
      return none;
    }
    return Driver(library);
  }
  // Calls a function of the driver; false: it is not there, or says an error, which is kept.
  template <class... Args>
  bool call(const char* name, Args... args) {
    void* symbol = ::dlsym(library_, name);
    if (symbol == nullptr) {
      failed_ = std::string(name) + " is missing";
      return false;
    }
    code_ = reinterpret_cast<int (*)(Args...)>(symbol)(args...);
    if (code_ != 0) failed_ = std::string(name) + " says error " + std::to_string(code_);
    return code_ == 0;
  }
  int code() const { return code_; }
  Error error() const {
    return unusable("the NVIDIA driver does not work (" + failed_ + ")",
                    "run nvidia-smi on the machine; a driver that was updated needs a restart");
  }

 private:
  explicit Driver(void* library) : library_(library) {}
  void* library_;  // stays open, as the GPU stays in use
  int code_ = 0;
  std::string failed_;
};

Result<CudaFacts> facts_of(Driver& driver) {
  CudaFacts out;
  if (!driver.call("cuDriverGetVersion", &out.driver)) return driver.error();
  if (out.driver < needed_cuda) {  // before anything else is asked of it
    out.devices = 1;
    return out;
  }
  if (!driver.call("cuInit", 0u)) {
    if (driver.code() == no_device) return out;
    return driver.error();
  }
  if (!driver.call("cuDeviceGetCount", &out.devices)) return driver.error();
  if (out.devices == 0) return out;
  int device = 0;
  std::array<char, 128> name{};
  std::size_t all = 0, free = 0;
  void* context = nullptr;
  const bool is_known =
      driver.call("cuDeviceGet", &device, 0) &&
      driver.call("cuDeviceGetName", name.data(), static_cast<int>(name.size()) - 1, device) &&
      driver.call("cuDeviceGetAttribute", &out.major, capability_major, device) &&
      driver.call("cuDeviceGetAttribute", &out.minor, capability_minor, device) &&
      driver.call("cuDevicePrimaryCtxRetain", &context, device) &&
      driver.call("cuCtxSetCurrent", context) && driver.call("cuMemGetInfo_v2", &free, &all);
  if (!is_known) return driver.error();
  out.name = name.data();
  std::array<unsigned char, 16> uuid{};
  if (driver.call("cuDeviceGetUuid_v2", uuid.data(), device)) out.uuid = uuid_text(uuid);
  out.memory_bytes = static_cast<std::int64_t>(all);
  out.free_bytes = static_cast<std::int64_t>(free);
  return out;
}

Status open_torch(std::string path) {
  if (path.empty()) {
    Dl_info here{};
    const auto* known = reinterpret_cast<const void*>(&at::get_num_threads);
    if (::dladdr(known, &here) == 0 || here.dli_fname == nullptr)
      return Error{Code::corrupt, "libtorch_cpu.so is not where it was loaded from"};
    path = here.dli_fname;
    path = path.substr(0, path.rfind('/') + 1) + "libtorch_cuda.so";
  }
  if (::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr)
    return unusable("libtorch's CUDA half does not open (" + loader_error() + ")",
                    "fetch what it is linked with (deploy/setup/cuda.sh), or take the image "
                    "kairo-engine-cuda");
  if (!at::hasCUDA()) return unusable("libtorch finds no GPU", "look at CUDA_VISIBLE_DEVICES");
  return ok();
}
}  // namespace

std::string uuid_text(const std::array<unsigned char, 16>& bytes) {
  std::string out = "GPU";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    char text[4];
    std::snprintf(text, sizeof text, "%02x", bytes[i]);
    out += (i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "") + std::string(text);
  }
  return out;
}

std::string CudaFacts::text() const {
  return name + ", compute capability " + std::to_string(major) + "." + std::to_string(minor) +
         ", " + std::to_string(memory_bytes >> 30) + " GiB";
}

Status check(const CudaFacts& f) {
  if (f.devices == 0)
    return unusable("the NVIDIA driver finds no GPU",
                    "give the machine or the pod one, look at CUDA_VISIBLE_DEVICES");
  if (f.driver < needed_cuda)
    return unusable("the NVIDIA driver runs CUDA " + version_text(f.driver) + ", kairo needs " +
                        version_text(needed_cuda),
                    "install driver 580 or newer");
  if (f.major < needed_capability)
    return unusable(f.text() + ", but kairo needs compute capability 8.0",
                    "take an A100, L4, RTX 3000 or a newer GPU");
  return ok();
}

Result<CudaFacts> open_cuda(const CudaLibraries& libraries) {
  Driver driver = TRY(Driver::open(libraries.driver));
  const CudaFacts facts = TRY(facts_of(driver));
  TRY(check(facts));
  TRY(open_torch(libraries.torch));
  return facts;
}
}  // namespace kairo::gpu
