// tests/gpu/aten/cuda_ops_test.cpp - kairo's kernels behind the seam agree with the CPU call by
// call, and each of them is what is called.
#include <map>
#include <string>

#include "gpu/aten/flash_ops.h"
#include "gpu/engine/self_test.h"
#include "tests/gpu/aten/emulated.h"

namespace kairo::gpu {
namespace {
struct Counts {
  int queued = 0, unfit = 0;
};
std::map<std::string, Counts> launches;  // by name
// The same kernels, counted.
CudaKernels counted(CudaKernels kernels) {
  launches.clear();
#define KAIRO_COUNTED(name)                                           \
  {                                                                   \
    [[maybe_unused]] static decltype(kernels.name) real;              \
    real = kernels.name;                                              \
    launches[#name] = {};                                             \
    kernels.name = [](auto... args) -> std::int32_t {                 \
      const std::int32_t code = real(args...);                        \
      ++(code == 0 ? launches[#name].queued : launches[#name].unfit); \
      return code;                                                    \
    };                                                                \
  }
  KAIRO_CUDA_LAUNCHES(KAIRO_COUNTED)
#undef KAIRO_COUNTED
  return kernels;
}
}  // namespace

TEST_CASE("kernels: each call agrees with the CPU's, and is a kernel's") {
  const auto ops = make_cuda_ops("cpu", 1, counted(test::emulated_kernels()));
  const auto result = self_test(*ops, ops.get());
  REQUIRE_MESSAGE(result.ok(), result.error().what);
  for (const auto& finding : result.value().given_up) CHECK(finding.text() == "");
  for (const auto& [name, counts] : launches) {
    CAPTURE(name);
    CHECK((name == "decode_nf4" || counts.queued > 0));  // no embedding is NF4
    CHECK(counts.unfit == 0);
  }
}

TEST_CASE("kernels: what fails is said, what does not fit is libtorch's") {
  CudaKernels kernels = test::emulated_kernels();
  kernels.zero = [](KairoMat, void*) -> std::int32_t { return 700; };
  kernels.softcap = [](KairoMat, float, void*) -> std::int32_t { return kairo_cuda_unfit; };
  const auto ops = make_cuda_ops("cpu", 1, kernels);
  const Buffer memory = ops->make(2, Pages::huge);
  const Mat m = Mat::f32(memory.data(), 1, 2);
  CHECK_THROWS_WITH_AS(ops->zero(m), doctest::Contains("the device failed: zero: "), DeviceFailure);
  ops->give_up(Call::zero);
  ops->zero(m);
  ops->softcap(m, 3);
  CHECK(ops->seen(m)[1] == 0);
}

TEST_CASE("flash attention: where there is none, both calls are the other device's") {
  const auto ops = make_flash_ops(make_aten_ops("cpu", 1), "cpu");
  CHECK(ops->is_own(Call::attention));
  const auto result = self_test(*ops);
  REQUIRE_MESSAGE(result.ok(), result.error().what);
  CHECK_FALSE(ops->is_own(Call::attention));
  CHECK_FALSE(ops->is_own(Call::attention_backward));
}

TEST_CASE("kernels: a library that is absent or of another version is named") {
  const auto absent = open_kernels("/nowhere/libkairo_cuda.so");
  REQUIRE_FALSE(absent.ok());
  CHECK(absent.error().code == Code::not_found);
  CHECK(absent.error().what ==
        "kairo's kernels do not open (/nowhere/libkairo_cuda.so: cannot open shared object file: "
        "No such file or directory)");
  const auto other = open_kernels(KAIRO_FAKE_CUDA);
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().code == Code::invalid);
}
}  // namespace kairo::gpu
