// tests/gpu/aten/cuda_device_test.cpp - what is missing for a GPU is one line with its remedy, by a
// driver that answers as it is told (fake_cuda.c) and by none; and who touches a device's memory
// from the host is stopped.
#include "gpu/aten/cuda_device.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "gpu/aten/aten_ops.h"
#include "gpu/aten/open_device.h"

namespace kairo::gpu {
namespace {
// The fake driver's answers, until the next.
void driver_says(const std::string& answers) {
  REQUIRE(::setenv("KAIRO_FAKE_CUDA", answers.c_str(), 1) == 0);
}
std::string error_of(const CudaLibraries& libraries) {
  const auto opened = open_cuda(libraries);
  REQUIRE_FALSE(opened.ok());
  return opened.error().what;
}
const CudaLibraries fake = {KAIRO_FAKE_CUDA, "/nowhere/libtorch_cuda.so", ""};
}  // namespace

TEST_CASE("cuda: each thing that is missing is named with its remedy") {
  const auto none = open_cuda({"libkairo-no-such-driver.so.1", "", ""});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Code::not_found);
  CHECK(none.error().what ==
        "device cuda: this machine has no NVIDIA driver (libkairo-no-such-driver.so.1: cannot open "
        "shared object file: No such file or directory): install driver 580 or newer; in a pod, "
        "ask for nvidia.com/gpu, or choose --device cpu");
  struct Row {
    const char *answers, *what;  // version, cuInit, devices, major, minor, failing call
  };
  for (const Row& row :
       {Row{"12040 0 1 9 0 -",
            "the NVIDIA driver runs CUDA 12.4, kairo needs 13.0: install driver 580 or newer"},
        {"13000 100 0 0 0 -",
         "the NVIDIA driver finds no GPU: give the machine or the pod one, look at "
         "CUDA_VISIBLE_DEVICES"},
        {"13000 0 0 0 0 -",
         "the NVIDIA driver finds no GPU: give the machine or the pod one, look at "
         "CUDA_VISIBLE_DEVICES"},
        {"13000 803 0 0 0 -",
         "the NVIDIA driver does not work (cuInit says error 803): run nvidia-smi on the machine; "
         "a driver that was updated needs a restart"},
        {"13000 0 1 7 0 -",
         "Fake GPU, compute capability 7.0, 16 GiB, but kairo needs compute capability 8.0: take "
         "an A100, L4, RTX 3000 or a newer GPU"},
        {"13000 0 1 9 0 cuMemGetInfo_v2",
         "the NVIDIA driver does not work (cuMemGetInfo_v2 says error 999): run nvidia-smi on the "
         "machine; a driver that was updated needs a restart"},
        {"13000 0 1 9 0 -",
         "libtorch's CUDA half does not open (/nowhere/libtorch_cuda.so: cannot open shared object "
         "file: No such file or directory): fetch what it is linked with (deploy/setup/cuda.sh), "
         "or "
         "take the image kairo-engine-cuda"}}) {
    CAPTURE(row.answers);
    driver_says(row.answers);
    CHECK(error_of(fake) == "device cuda: " + std::string(row.what) + ", or choose --device cpu");
  }
}

TEST_CASE("cuda: what the driver says of a GPU that will do") {
  const CudaFacts facts = {1, 13000, "NVIDIA H200", 9, 0, std::int64_t{140} << 30, 0};
  CHECK(check(facts).ok());
  CHECK(facts.text() == "NVIDIA H200, compute capability 9.0, 140 GiB");
  CHECK(uuid_text({0x8a, 0x6f, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xff}) ==
        "GPU-8a6f0001-0203-0405-0607-08090a0b0cff");
}

TEST_CASE("device: names, and what auto comes to") {
  const SystemClock clock;
  const auto cpu = open_device("cpu", clock);
  REQUIRE(cpu.ok());
  CHECK(cpu.value().device == nullptr);
  const auto bare = open_device("auto", clock, {"libkairo-no-such-driver.so.1", "", ""});
  REQUIRE(bare.ok());
  CHECK(bare.value().device == nullptr);
  CHECK(bare.value().text == "the CPU");
  driver_says("12040 0 1 9 0 -");
  const auto old = open_device("auto", clock, fake);
  REQUIRE(old.ok());
  CHECK(old.value().device == nullptr);
  CHECK(old.value().text ==
        "the CPU, since: device cuda: the NVIDIA driver runs CUDA 12.4, kairo needs 13.0: install "
        "driver 580 or newer, or choose --device cpu");
  const auto wished = open_device("cuda", clock, fake);
  REQUIRE_FALSE(wished.ok());
  CHECK(wished.error().code == Code::invalid);
  CHECK(open_device("tpu", clock).error().what ==
        "device tpu is not known: give cpu, cuda or auto");
  const auto aten = open_device("aten-cpu", clock);
  REQUIRE(aten.ok());
  REQUIRE(aten.value().device != nullptr);
  CHECK(aten.value().device->kind == "aten-cpu");
  CHECK(aten.value().text.starts_with("libtorch's operators on the CPU; self-test: "));
}

TEST_CASE("device: its memory is out of the host's reach, and full of NaN") {
  const auto ops = make_aten_ops("cpu", 1);
  const Buffer made = ops->make(4, Pages::huge);
  const Mat m = Mat::f32(made.data(), 1, 4);
  for (int i = 0; i < 4; ++i) CHECK(ops->seen(m)[i] != ops->seen(m)[i]);
  ops->zero(m);
  CHECK(ops->seen(m)[3] == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    ::_exit(made.data()[0] == 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGSEGV);
}
}  // namespace kairo::gpu
