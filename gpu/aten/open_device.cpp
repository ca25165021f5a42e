// gpu/aten/open_device.cpp - names to devices.
#include "gpu/aten/open_device.h"

#include <utility>

#include "gpu/aten/aten_ops.h"
#include "gpu/engine/self_test.h"

namespace kairo::gpu {
namespace {
Result<OpenedDevice> tried(Device device, const Clock& clock) {
  const std::int64_t began = clock.monotonic_ms();
  const std::unique_ptr<Ops> ops = TRY(device.make(1));
  const SelfTest test = TRY(self_test(*ops));
  device.self_test = test.text() + " (" + std::to_string(clock.monotonic_ms() - began) + " ms)";
  std::string text = device.name + "; " + device.self_test;
  return OpenedDevice{std::make_shared<const Device>(std::move(device)), std::move(text)};
}
Device made(std::string kind, const std::string& of_torch, std::string name,
            std::int64_t free_bytes) {
  return {std::move(kind), std::move(name), {}, free_bytes, [of_torch](int threads) {
            return make_aten_ops(of_torch, threads);
          }};
}
Result<OpenedDevice> cuda(const CudaLibraries& libraries, const Clock& clock) {
  const CudaFacts facts = TRY(open_cuda(libraries));
  return caught(
      [&] { return tried(made("cuda", "cuda:0", facts.text(), facts.free_bytes), clock); });
}
}  // namespace

Result<OpenedDevice> open_device(const std::string& name, const Clock& clock,
                                 const CudaLibraries& libraries) {
  if (name == "cpu") return OpenedDevice{nullptr, "the CPU"};
  if (name == "aten-cpu")
    return tried(made(name, "cpu", "libtorch's operators on the CPU", 0), clock);
  if (name != "cuda" && name != "auto")
    return Error{Code::invalid, "device " + name + " is not known: give cpu, cuda or auto"};
  auto opened = cuda(libraries, clock);
  if (opened.ok() || name == "cuda") return opened;
  const bool has_driver = opened.error().code != Code::not_found;
  return OpenedDevice{nullptr, has_driver ? "the CPU, since: " + opened.error().what : "the CPU"};
}
}  // namespace kairo::gpu
