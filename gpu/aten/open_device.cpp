// gpu/aten/open_device.cpp - names to devices.
#include "gpu/aten/open_device.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "gpu/aten/aten_ops.h"
#include "gpu/aten/cuda_ops.h"
#include "gpu/aten/flash_ops.h"
#include "gpu/engine/self_test.h"

namespace kairo::gpu {
namespace {
// Of libtorch's device of that name; without kernels its operators compute all.
std::unique_ptr<ForwardOps> computing(const std::string& of_torch, int threads,
                                      const std::optional<CudaKernels>& kernels) {
  if (kernels) return make_cuda_ops(of_torch, threads, *kernels);
  return std::make_unique<ForwardOps>(make_aten_ops(of_torch, threads),
                                      std::initializer_list<Call>{});
}
Result<OpenedDevice> tried(Device device, const std::string& of_torch,
                           const std::optional<CudaKernels>& kernels, const Clock& clock) {
  const std::int64_t began = clock.monotonic_ms();
  auto ops = computing(of_torch, 1, kernels);
  const SelfTest test = TRY(self_test(*ops, ops.get()));
  bool flashes = false;
  if (of_torch != "cpu") {  // which has no such kernels
    const auto flash = make_flash_ops(std::move(ops), of_torch);
    TRY(self_test(*flash, flash.get()));
    flashes = flash->is_own(Call::attention) && flash->is_own(Call::attention_backward);
  }
  device.self_test = test.text() + (flashes ? ", flash attention too" : "") + " (" +
                     std::to_string(clock.monotonic_ms() - began) + " ms)";
  device.by_kernels = kernels && test.given_up.empty();
  device.by_flash = flashes;
  device.make = [of_torch, kernels, flashes,
                 given_up = test.given_up](int threads) -> Result<std::unique_ptr<Ops>> {
    auto made = computing(of_torch, threads, kernels);
    for (const SelfTest::Finding& finding : given_up) made->give_up(finding.call);
    if (flashes) made = make_flash_ops(std::move(made), of_torch);
    return std::unique_ptr<Ops>(std::move(made));
  };
  std::string text = device.name + "; " + device.self_test;
  return OpenedDevice{std::make_shared<const Device>(std::move(device)), std::move(text)};
}
// In a build folder it lies beside the program, where it is installed in ../lib/kairo.
std::string kernels_of_the_program() {
  constexpr const char* file = "libkairo_cuda.so";
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return file;
  const auto installed = program.parent_path().parent_path() / "lib" / "kairo" / file;
  return std::filesystem::exists(installed, error) ? installed : program.parent_path() / file;
}
Result<OpenedDevice> cuda(const CudaLibraries& libraries, const Clock& clock) {
  const CudaFacts facts = TRY(open_cuda(libraries));
  auto kernels =
      open_kernels(libraries.kernels.empty() ? kernels_of_the_program() : libraries.kernels);
  Device device{"cuda", facts.text(), {}, facts.free_bytes, {}};
  device.gpu = facts.uuid;
  std::optional<CudaKernels> own;
  if (kernels.ok())
    own = std::move(kernels).value();
  else if (kernels.error().code == Code::not_found)
    device.name += ", by libtorch alone: " + kernels.error().what;
  else
    return kernels.error();
  return caught([&] { return tried(std::move(device), "cuda:0", own, clock); });
}
}  // namespace

Result<OpenedDevice> open_device(const std::string& name, const Clock& clock,
                                 const CudaLibraries& libraries) {
  if (name == "cpu") return OpenedDevice{nullptr, "the CPU"};
  if (name == "aten-cpu")
    return tried({name, "libtorch's operators on the CPU", {}, 0, {}}, "cpu", {}, clock);
  if (name != "cuda" && name != "auto")
    return Error{Code::invalid, "device " + name + " is not known: give cpu, cuda or auto"};
  auto opened = cuda(libraries, clock);
  if (opened.ok() || name == "cuda") return opened;
  const bool has_driver = opened.error().code != Code::not_found;
  return OpenedDevice{nullptr, has_driver ? "the CPU, since: " + opened.error().what : "the CPU"};
}
}  // namespace kairo::gpu
