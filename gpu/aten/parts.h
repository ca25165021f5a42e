// gpu/aten/parts.h - the layer's parts and the end of a step as ATen's operators; contracts as in
// gpu/engine/ops.h. Row-wise: no row's bits depend on another's values.
#pragma once
#include "gpu/aten/tensors.h"
#include "gpu/engine/ops.h"

namespace kairo::gpu::aten {
void norm(const Tensors& t, const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
          float eps);
void norm_backward(const Tensors& t, const Mat& dx, const Mat& dout, const Mat& x,
                   const Mat& inverse, const Mat& weight, bool add);
void layer_norm(const Tensors& t, const Mat& out, const Mat& inverse, const Mat& x,
                const Mat& weight, const Mat& bias, float eps);
void layer_norm_backward(const Tensors& t, const Mat& dx, const Mat& dout, const Mat& x,
                         const Mat& inverse, const Mat& weight);
void rope(const Tensors& t, const Mat& x, const RopeMats& table, const std::int32_t* angles,
          std::int64_t dim, bool inverse);
void gate(const Tensors& t, const Mat& out, const Mat& gate_up, Activation how);
void gate_backward(const Tensors& t, const Mat& gate_up, const Mat& dout, Activation how);
// out = x times what the mask says; add: is added to out.
void dropout(const Tensors& t, const Mat& out, const Mat& x, const DropoutMask& mask, bool add);
Mat cross_entropy(const Tensors& t, const Mat& logits, const Mat& loss, const std::int32_t* targets,
                  float scale, Type type, float cap);
void softcap(const Tensors& t, const Mat& m, float cap);
double length(const Tensors& t, const Mat& flat);
void adamw(const Tensors& t, const Mat& p, const Mat& g, const Mat& m, const Mat& v,
           const AdamwStep& step);
}  // namespace kairo::gpu::aten
