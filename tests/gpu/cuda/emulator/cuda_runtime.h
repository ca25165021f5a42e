// tests/gpu/cuda/emulator/cuda_runtime.h - what kairo's kernels use of CUDA's language and runtime,
// for a C++ compiler. It stands before NVIDIA's header in the include path.
#pragma once
#include <bit>
#include <cmath>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "emulator.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // a block runs after the other
#define __constant__ static

inline const dim3 &threadIdx = emulator::here.thread, &blockIdx = emulator::here.block,
                  &blockDim = emulator::here.block_size, &gridDim = emulator::here.grid_size;

// What is written at once must be aligned: a CPU would not mind.
template <class T>
struct alignas(4 * sizeof(T)) Four {
  T x, y, z, w;
  Four() = default;
  Four(T of_x, T of_y, T of_z, T of_w) : x(of_x), y(of_y), z(of_z), w(of_w) {}
  Four(const Four&) = default;
  Four& operator=(const Four& from) {
    emulator::check_aligned(this, sizeof(Four));
    x = from.x, y = from.y, z = from.z, w = from.w;
    return *this;
  }
};
using float4 = Four<float>;
using uint4 = Four<unsigned>;
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}

extern "C" {
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
using cudaStream_t = struct CUstream_st*;
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaMalloc(void** pointer, std::size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaDeviceSynchronize();
}

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
  cudaStream_t stream;
};
template <class... Wanted, class... Given>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Wanted...),
                               Given&&... given) {
  static_assert((std::is_trivially_copyable_v<Wanted> && ...),
                "arguments go to the device as bytes");
  static_assert((sizeof(Wanted) + ... + 0) <= 4096, "a kernel takes 4 KiB of arguments");
  struct Launch final : emulator::Call {
    void (*kernel)(Wanted...);
    std::tuple<Wanted...> arguments;
    Launch(void (*of)(Wanted...), Given&&... values) : kernel(of), arguments(values...) {}
    void run() const override { std::apply(kernel, arguments); }
  };
  return static_cast<cudaError_t>(
      emulator::queue(config->stream, config->gridDim, config->blockDim,
                      new Launch(kernel, static_cast<Given&&>(given)...)));
}

#define __syncthreads() ::emulator::block_barrier({__FILE__, __LINE__})
namespace emulator {
template <class T>
T shuffle(unsigned mask, T value, unsigned source, Site site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(bits, mask, source, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
}  // namespace emulator
#define __shfl_sync(mask, value, source) \
  ::emulator::shuffle(mask, value, static_cast<unsigned>(source), {__FILE__, __LINE__})
#define __shfl_xor_sync(mask, value, apart)                                           \
  ::emulator::shuffle(mask, value, ::emulator::lane() ^ static_cast<unsigned>(apart), \
                      {__FILE__, __LINE__})
#define __ballot_sync(mask, predicate) ::emulator::ballot(predicate, mask, {__FILE__, __LINE__})

// fmaxf, expf, logf, sqrtf and tanhf are the C library's.
using std::uint32_t;
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
// One fiber runs at a time, so that these are what they say.
template <class T>
T atomicAdd(T* to, T value) {
  const T old = *to;
  *to = old + value;
  return old;
}
template <class T>
T atomicMax(T* to, T value) {
  const T old = *to;
  *to = old < value ? value : old;
  return old;
}
