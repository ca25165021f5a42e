// gpu/aten/tensors.h - a device's memory as tensors that own nothing.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include "gpu/engine/mat.h"

namespace kairo::gpu {
inline at::ScalarType scalar_of(Type type) {
  return type == Type::f32 ? at::kFloat : at::kBFloat16;
}
class Tensors {
 public:
  explicit Tensors(c10::Device device) : device_(device) {}
  c10::Device device() const { return device_; }
  at::TensorOptions options(at::ScalarType type) const {
    return at::TensorOptions(type).device(device_);
  }
  at::Tensor view(const void* data, at::ScalarType type, at::IntArrayRef sizes,
                  at::IntArrayRef strides) const {
    return at::for_blob(const_cast<void*>(data), sizes)
        .strides(strides)
        .options(options(type))
        .target_device(device_)
        .make_tensor();
  }
  at::Tensor flat(const void* data, at::ScalarType type, std::int64_t count) const {
    return view(data, type, {count}, {1});
  }
  at::Tensor of(const Mat& m) const {
    return view(m.data, scalar_of(m.type), {m.rows, m.cols}, {m.ld, 1});
  }
  at::Tensor row(const Mat& m) const { return flat(m.data, scalar_of(m.type), m.cols); }
  // Of other dimensions, which begin at the value `first` of m.
  at::Tensor of(const Mat& m, std::int64_t first, at::IntArrayRef sizes,
                at::IntArrayRef strides) const {
    return view(static_cast<const char*>(m.data) + first * size_of(m.type), scalar_of(m.type),
                sizes, strides);
  }
  at::Tensor indices(const std::int32_t* data, std::int64_t count) const {
    return flat(data, at::kInt, count);
  }

 private:
  c10::Device device_;
};
inline at::Tensor wide(const at::Tensor& t) {
  return t.to(at::kFloat);
}
}  // namespace kairo::gpu
