// tests/gpu/cuda/emulator_test.cpp - what the emulator is there for: kernels that CUDA leaves
// undefined end the process and say why, in whatever order their threads run.
#include <cuda_runtime.h>
#include <doctest/doctest.h>
#include <emulated_shared.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>

namespace {
using kairo::cuda::Shared;
constexpr unsigned all = ~0u;

template <class... Wanted, class... Given>
int start(void (*kernel)(Wanted...), unsigned blocks, unsigned threads, Given... given) {
  cudaLaunchConfig_t config = {dim3(blocks), dim3(threads), 0, nullptr};
  return cudaLaunchKernelEx(&config, kernel, Wanted(given)...);
}
int* device_ints(int count) {
  void* at = nullptr;
  REQUIRE(cudaMalloc(&at, static_cast<std::size_t>(count) * sizeof(int)) == cudaSuccess);
  return static_cast<int*>(at);
}
// How a process ends that does so: "signal N: the line that it wrote".
std::string end_of(const std::function<void()>& work) {
  std::array<int, 2> pipe_of{};
  REQUIRE(pipe(pipe_of.data()) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_of[1], 2);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    work();
    _exit(0);
  }
  close(pipe_of[1]);
  std::string said;
  std::array<char, 256> part{};
  for (ssize_t n = 0; (n = read(pipe_of[0], part.data(), part.size())) > 0;)
    said.append(part.data(), static_cast<std::size_t>(n));
  close(pipe_of[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return (WIFSIGNALED(status) ? "signal: " : "exit: ") + said;
}

void write_number(int* out) {
  out[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<int>(threadIdx.x);
}
void leave_early(int* out) {
  if (threadIdx.x == 3) return;
  __syncthreads();
  *out = 1;
}
void part_ways(int* out) {
  if (threadIdx.x < 3)
    __syncthreads();
  else
    __syncthreads();
  *out = 1;
}
void half_a_shuffle(int* out) {
  if (threadIdx.x < 16) *out = __shfl_sync(all, 1, 0);
  __syncthreads();
}
void shuffle_with_the_dead(int* out) {
  if (threadIdx.x >= 16) return;
  *out = __shfl_sync(all, 1, 0);
}
void read_too_early(int* out) {
  __shared__ Shared<int, 32> values;
  const int thread = static_cast<int>(threadIdx.x);
  values.set(thread, thread);
  out[thread] = values.get(31 - thread);
}
void write_too_early(int* out) {
  __shared__ Shared<int, 32> values;
  const int thread = static_cast<int>(threadIdx.x);
  values.set(thread, thread);
  __syncthreads();
  out[thread] = values.get(31 - thread);
  values.set(thread, 0);
}
void write_too_far(int*) {
  __shared__ Shared<int, 32> values;
  values.set(static_cast<int>(threadIdx.x) + 1, 0);
}
void write_behind(int* out) {
  out[2] = 1;
}
void keep_what_was(int* out) {  // another block's values are not this one's
  __shared__ Shared<int, 1> value;
  if (blockIdx.x == 0) value.set(0, 7);
  if (blockIdx.x == 1) *out = value.get(0);
}
void turn_around(int* out) {  // what is right
  __shared__ Shared<int, 64> values;
  const int thread = static_cast<int>(threadIdx.x);
  values.set(thread, __shfl_xor_sync(all, thread, 1));
  __syncthreads();
  out[thread] = values.get(63 - thread);
  atomicAdd(out + 64, 1);
  const unsigned votes = __ballot_sync(all, thread % 2 == 0);
  if (thread == 0) out[65] = static_cast<int>(votes);
}
struct Mistake {
  const char* name;
  void (*kernel)(int*);
  unsigned blocks;
  const char* said;
};
const Mistake mistakes[] = {
    {"a thread ends before the barrier", leave_early, 1, "a thread ended before a barrier"},
    {"different barriers", part_ways, 1, "threads wait at different barriers"},
    {"half a warp shuffles", half_a_shuffle, 1, "deadlock: some threads wait at a"},
    {"a shuffle names who has ended", shuffle_with_the_dead, 1, "a shuffle waits for a thread"},
    {"read before the barrier", read_too_early, 1, "race: "},
    {"written before all have read", write_too_early, 1, "race: "},
    {"out of range", write_too_far, 1, "an index is out of the range of shared memory"},
};
}  // namespace

TEST_CASE("emulator: what CUDA leaves undefined ends the process, and says why") {
  for (const Mistake& m : mistakes)
    for (const unsigned order : {0u, 1u, 2u}) {
      CAPTURE(m.name);
      CAPTURE(order);
      const std::string end = end_of([&] {
        emulator_seed(order);
        start(m.kernel, m.blocks, 32, device_ints(64));
        cudaDeviceSynchronize();
      });
      CHECK(end.find(m.said) != std::string::npos);
      CHECK(end.find("signal: ") == 0);
    }
}

TEST_CASE("emulator: memory of the device is closed to the host, and ends where it ends") {
  CHECK(end_of([] { *device_ints(1) = 1; }).find("signal: ") == 0);
#ifdef __SANITIZE_ADDRESS__  // says it where it happens
  constexpr const char* said = "AddressSanitizer: use-after-poison";
#else
  constexpr const char* said = "a kernel wrote behind the end of an allocation";
#endif
  const std::string behind = end_of([] {
    start(write_behind, 1, 1, device_ints(2));
    cudaDeviceSynchronize();
  });
  CHECK(behind.find(said) != std::string::npos);
}

TEST_CASE("emulator: a launch waits until somebody waits for it") {
  int* out = device_ints(66);
  int zero = 0, got = -1;
  REQUIRE(cudaMemcpy(out, &zero, 4, cudaMemcpyHostToDevice) == cudaSuccess);
  REQUIRE(start(write_number, 1, 8, out) == 0);
  REQUIRE(cudaStreamSynchronize(reinterpret_cast<cudaStream_t>(8)) == cudaSuccess);  // another
  REQUIRE(cudaMemcpy(&got, out + 7, 4, cudaMemcpyDeviceToHost) == cudaSuccess);      // waits
  CHECK(got == 7);
  CHECK(start(write_number, 0, 8, out) == 9);
  CHECK(start(write_number, 1, 1025, out) == 9);
  CHECK(cudaFree(out) == cudaSuccess);
}

TEST_CASE("emulator: barriers, shuffles, votes and atomics do what they say in every order") {
  for (const unsigned order : {0u, 1u, 2u, 3u}) {
    emulator_seed(order);
    int* out = device_ints(66);
    std::array<int, 66> got{};
    REQUIRE(cudaMemcpy(out, got.data(), sizeof got, cudaMemcpyHostToDevice) == cudaSuccess);
    REQUIRE(start(turn_around, 1, 64, out) == 0);
    REQUIRE(cudaMemcpy(got.data(), out, sizeof got, cudaMemcpyDeviceToHost) == cudaSuccess);
    CHECK(got[0] == 62);
    CHECK(got[63] == 1);
    CHECK(got[64] == 64);
    CHECK(got[65] == 0x55555555);
    REQUIRE(start(keep_what_was, 2, 1, out) == 0);
    REQUIRE(cudaMemcpy(got.data(), out, sizeof got, cudaMemcpyDeviceToHost) == cudaSuccess);
    if (order != 1) CHECK(got[0] == -1);
    CHECK(cudaFree(out) == cudaSuccess);
  }
}
