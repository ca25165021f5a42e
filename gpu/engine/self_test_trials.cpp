// gpu/engine/self_test_trials.cpp - each call at awkward shapes: one column, odd ones, more than a
// block; strides, both types.
#include "gpu/engine/self_test_trials.h"

#include <algorithm>
#include <array>

namespace kairo::gpu {
namespace {
// Sums in fp32 in another order; what is rounded to bf16 once; attention, which rounds several
// times.
constexpr double exact = 0, in_fp32 = 2e-5, in_bf16 = 1.0 / 128, attended_in_bf16 = 4.0 / 256;

std::string sizes(std::initializer_list<std::int64_t> values) {
  std::string out;
  for (const std::int64_t value : values) out += (out.empty() ? "" : " x ") + std::to_string(value);
  return out;
}
std::string named(const std::string& shape, Type type) {
  return shape + (type == Type::f32 ? ", fp32" : ", bf16");
}
constexpr std::array<Type, 2> both = {Type::f32, Type::bf16};
constexpr std::array<Stored, 8> all_blocks = {Stored::q8_0, Stored::q4_0, Stored::q4_1,
                                              Stored::q5_0, Stored::q5_1, Stored::q4_k,
                                              Stored::q5_k, Stored::q6_k};

void add_rows(std::vector<Trial>& out) {
  for (const std::int64_t cols : {1, 31, 577}) {
    const auto add = [&](Call call, double bound, std::function<void(Desk&)> run) {
      out.push_back({call, sizes({5, cols}), bound, std::move(run)});
    };
    add(Call::copy, exact, [cols](Desk& d) {
      const Mat from = d.put(5, cols), narrow = d.put(5, cols, Type::bf16), to = d.put(5, cols);
      d.ops.copy(to, from, 0.3f);
      d.say(to);
      d.ops.copy(narrow, from, 0.3f);
      d.ops.copy(to, narrow);
      d.say(to);
    });
    add(Call::zero, exact, [cols](Desk& d) {
      const Mat m = d.put(5, cols);
      d.ops.zero(m);
      d.say(m);
    });
    add(Call::add, in_fp32, [cols](Desk& d) {
      const Mat to = d.put(5, cols);
      d.ops.add(to, d.put(5, cols), 0.3f);
      d.say(to);
    });
    add(Call::add_row, in_fp32, [cols](Desk& d) {
      const Mat to = d.put(5, cols);
      d.ops.add_row(to, d.dense(1, cols));
      d.say(to);
    });
    add(Call::gather, exact, [cols](Desk& d) {
      for (const Type type : both) {
        const Mat to = d.put(4, cols);
        d.ops.gather(to, d.put(5, cols, type), d.placed<std::int32_t>({4, 0, 4, 2}));
        d.say(to);
      }
    });
    add(Call::scatter, exact, [cols](Desk& d) {
      const Mat to = d.put(5, cols);
      d.ops.scatter(to, d.put(3, cols), d.placed<std::int32_t>({4, 0, 2}));
      d.say(to);
    });
    add(Call::decode, exact, [cols](Desk& d) {
      for (const Type type : both) {
        const Mat to = d.put(3, cols), from = d.dense(5, cols, type);
        const Stored kind = type == Type::f32 ? Stored::f32 : Stored::bf16;
        d.ops.decode(to, Frozen::of(kind, from.data, 5, cols), d.placed<std::int32_t>({4, 0, 4}));
        d.say(to);
      }
    });
    add(Call::dequantise, exact, [cols](Desk& d) {
      const std::int64_t n = 65 * cols;
      const Nf4View w = {d.held(d.bytes(nf4_bytes(n))), d.held(d.bytes(nf4_blocks(n))),
                         d.held(std::vector<float>(static_cast<std::size_t>(nf4_groups(n)), 0.7f)),
                         0.3f};
      for (const Type type : both) {
        const Mat to = d.put(65, cols, type);
        d.ops.dequantise(to, w);
        d.say(to);
      }
    });
    for (const double p : {0.1, 0.5}) {
      const auto mask = [p](Desk& d) {
        return DropoutMask{d.placed<std::uint64_t>({11, 1ull << 63, 13, 14, 15}), 3, p};
      };
      add(Call::dropout, exact, [cols, mask](Desk& d) {
        for (const Type type : both) {
          const Mat to = d.put(5, cols, type);
          d.ops.dropout(to, d.put(5, cols, type), mask(d));
          d.say(to);
        }
      });
      add(Call::dropout_add, in_fp32, [cols, mask](Desk& d) {
        const Mat to = d.put(5, cols);
        d.ops.dropout_add(to, d.put(5, cols), mask(d));
        d.say(to);
      });
    }
  }
}

void add_blocks(std::vector<Trial>& out) {
  for (const Stored kind : all_blocks) {
    const std::string shape = "5 x 768 in " + std::string(name_of(kind));
    out.push_back({Call::decode, shape, exact, [kind](Desk& d) {
                     const Frozen table = d.blocks(kind, 5, 768);
                     const Mat to = d.put(3, 768);
                     d.ops.decode(to, table, d.placed<std::int32_t>({4, 0, 4}));
                     d.say(to);
                   }});
    out.push_back({Call::frozen, shape, in_fp32, [kind](Desk& d) {
                     for (const std::int64_t rows : {1, 11}) {
                       const Mat y = d.put(rows, 5);
                       d.ops.frozen(y, d.put(rows, 768), d.blocks(kind, 5, 768));
                       d.say(y);
                     }
                   }});
  }
}

void add_products(std::vector<Trial>& out) {
  struct Shape {
    std::int64_t m, n, k;
  };
  for (const Shape s : {Shape{1, 3, 8}, {17, 33, 65}, {130, 70, 31}})
    for (const Type type : both)
      for (const int turn : {0, 1, 2, 3})
        out.push_back({Call::gemm, named(sizes({s.m, s.k}) + " by " + sizes({s.k, s.n}), type),
                       in_fp32, [s, type, turn](Desk& d) {
                         const bool a = (turn & 1) != 0, b = (turn & 2) != 0;
                         const Mat left = d.put(a ? s.k : s.m, a ? s.m : s.k, type);
                         const Mat right = d.put(b ? s.n : s.k, b ? s.k : s.n, type);
                         const Mat c = d.put(s.m, s.n);
                         d.ops.gemm(c, {left, a}, {right, b}, 0.5f, 1);
                         d.say(c);
                         d.ops.gemm(c, {left, a}, {right, b}, 2);
                         d.say(c);
                       }});
  for (const Shape s : {Shape{1, 5, 64}, {33, 17, 192}}) {
    out.push_back(
        {Call::frozen, sizes({s.m, s.k}) + " by " + sizes({s.k, s.n}), in_fp32, [s](Desk& d) {
           const Mat a = d.dense(s.n, s.k), b = d.dense(s.n, s.k, Type::bf16);
           const std::int64_t n = s.n * s.k;
           const Nf4View nf4 = {
               d.held(d.bytes(nf4_bytes(n))), d.held(d.bytes(nf4_blocks(n))),
               d.held(std::vector<float>(static_cast<std::size_t>(nf4_groups(n)), 0.1f)), 0.3f};
           const std::array<Frozen, 3> stacked = {Frozen::of(Stored::f32, a.data, s.n, s.k),
                                                  Frozen::of(Stored::bf16, b.data, s.n, s.k),
                                                  Frozen::of(nf4, s.n, s.k)};
           const Mat y = d.put(s.m, 3 * s.n);
           d.ops.frozen(y, d.put(s.m, s.k), stacked);
           d.say(y);
         }});
    out.push_back({Call::add_low_rank, sizes({s.m, s.n}) + ", rank 8", in_fp32, [s](Desk& d) {
                     const std::array<LowRankPart, 2> parts = {{{2, s.n}, {s.n + 3, 33}}};
                     const Mat y = d.put(s.m, s.n + 40);
                     d.ops.add_low_rank(y, d.put(s.m, 16), d.dense(8, s.n + 33), parts);
                     d.say(y);
                   }});
  }
}

void add_parts(std::vector<Trial>& out) {
  for (const std::int64_t cols : {1, 33, 577})
    for (const Type type : both) {
      const double bound = type == Type::f32 ? in_fp32 : in_bf16;
      const auto add = [&](Call call, std::function<void(Desk&)> run) {
        out.push_back({call, named(sizes({5, cols}), type), bound, std::move(run)});
      };
      add(Call::norm, [=](Desk& d) {
        const Mat to = d.put(5, 2 * cols, type), inverse = d.dense(5, 2);
        d.ops.norm(to, inverse, d.put(5, 2 * cols), d.dense(1, cols), 1e-5f);
        d.say(to);
        d.say(inverse);
      });
      add(Call::layer_norm, [=](Desk& d) {
        const Mat to = d.put(5, cols, type), inverse = d.dense(5, 1);
        d.ops.layer_norm(to, inverse, d.dense(5, cols), d.dense(1, cols), d.dense(1, cols), 1e-2f);
        d.say(to);
        d.say(inverse);
      });
      for (const Activation how : {Activation::swiglu, Activation::geglu, Activation::gelu}) {
        const std::int64_t wide = how == Activation::gelu ? cols : 2 * cols;
        add(Call::gate, [=](Desk& d) {
          const Mat to = d.put(5, cols, type), kept = d.dense(5, wide, type);
          d.ops.gate(to, kept, d.dense(5, wide, Type::f32, 4), how);
          d.say(to);
          d.say(kept);
        });
        add(Call::gate_backward, [=](Desk& d) {
          const Mat kept = d.dense(5, wide, type, 4);
          d.ops.gate_backward(kept, d.put(5, cols), how);
          d.say(kept);
        });
      }
      for (const float cap : {0.0f, 2.0f})
        add(Call::cross_entropy, [=](Desk& d) {
          const Mat logits = d.dense(5, cols, Type::f32, 4), loss = d.dense(5, 1);
          const auto last = static_cast<std::int32_t>(cols - 1);
          const std::vector<std::int32_t> aims = {0, last, 0, last, 0};
          d.say_only(d.ops.cross_entropy(logits, loss, d.placed(aims), 0.5f, type, cap));
          d.say(loss);
        });
      if (type == Type::bf16) continue;
      for (const bool adds : {false, true})
        add(Call::norm_backward, [=](Desk& d) {
          const Mat dx = d.put(5, 2 * cols);
          d.ops.norm_backward(dx, d.put(5, 2 * cols), d.put(5, 2 * cols), d.dense(5, 2),
                              d.dense(1, cols), adds);
          d.say(dx);
        });
      add(Call::layer_norm_backward, [=](Desk& d) {
        const Mat dx = d.dense(5, cols);
        d.ops.layer_norm_backward(dx, d.put(5, cols), d.dense(5, cols), d.dense(5, 1),
                                  d.dense(1, cols));
        d.say(dx);
      });
      add(Call::softcap, [=](Desk& d) {
        const Mat m = d.put(5, cols, Type::f32, 40);
        d.ops.softcap(m, 20);
        d.say(m);
      });
      add(Call::length, [=](Desk& d) {
        d.said.push_back(static_cast<float>(d.ops.length(d.dense(1, 1000 * cols))));
      });
      add(Call::adamw, [=](Desk& d) {
        const Mat p = d.dense(1, 7 * cols), m = d.dense(1, 7 * cols), v = d.dense(1, 7 * cols);
        d.ops.zero(v);
        for (std::int64_t step = 1; step <= 2; ++step)
          d.ops.adamw(p, d.dense(1, 7 * cols), m, v, {0.1f, 0.9f, 0.99f, 1e-3f, 0.01f, step, 0.7f});
        for (const Mat& said : {p, m, v}) d.say(said);
      });
    }
}

void add_attention(std::vector<Trial>& out) {
  for (const bool inverse : {false, true})
    out.push_back({Call::rope, "5 x 3 heads of 10, 6 turned", in_fp32, [inverse](Desk& d) {
                     const Mat x = d.put(5, 30);
                     const RopeMats table = {d.dense(9, 3), d.dense(9, 3)};
                     d.ops.rope(x, table, d.placed<std::int32_t>({8, 0, 1, 7, 7}), 10, inverse);
                     d.say(x);
                   }});
  for (const std::int64_t window : {0, 1, 40})
    for (const float cap : {0.0f, 5.0f})
      for (const Type type : both) {
        const Heads heads = {4, 2, trial_dim, window, 0.3f, cap, window == 40};
        const std::string shape =
            named("rows of 1, 65, 130, window " + std::to_string(window) + (cap > 0 ? ", cap" : ""),
                  type);
        const auto rows = [](Desk& d) {
          return Ragged{d.placed<std::int32_t>({0, 1, 66, 196}), nullptr, 3, trial_longest, 196};
        };
        const double bound = type == Type::f32 ? in_fp32 : attended_in_bf16;
        out.push_back({Call::attention, shape, bound, [=](Desk& d) {
                         const Mat to = d.put(196, heads.queries * heads.dim, type);
                         d.ops.attention(to, d.dense(196, heads.columns(), type, 2), heads,
                                         rows(d));
                         d.say(to);
                       }});
        out.push_back({Call::attention_backward, shape, bound, [=](Desk& d) {
                         const Mat qkv = d.dense(196, heads.columns(), type, 2);
                         const std::int64_t columns = heads.queries * heads.dim;
                         const Mat dqkv = d.dense(196, heads.columns());
                         d.ops.attention_backward(dqkv, d.put(196, columns),
                                                  d.put(196, columns, type), qkv, heads, rows(d));
                         d.say(dqkv);
                       }});
        if (type == Type::bf16) continue;
        out.push_back(
            {Call::cached_attention, shape, bound, [=](Desk& d) {
               const std::int64_t context = trial_longest, cached = 2 * 2 * heads.keys * context;
               const Mat keys = d.dense(cached, heads.dim), values = d.dense(cached, heads.dim);
               const KvCache cache = {keys, values, 2, context, d.placed<std::int32_t>({1, 0})};
               const auto feed = [&](std::int32_t a, std::int32_t b, std::int32_t past) {
                 std::vector<std::int32_t> positions;
                 for (std::int32_t i = 0; i < a; ++i) positions.push_back(past + i);
                 for (std::int32_t i = 0; i < b; ++i) positions.push_back(past + i);
                 const Mat to = d.put(a + b, heads.queries * heads.dim);
                 d.ops.cached_attention(to, d.dense(a + b, heads.columns(), Type::f32, 2), heads,
                                        {d.placed<std::int32_t>({0, a, a + b}), d.placed(positions),
                                         2, std::max(a, b), a + b},
                                        cache, 1);
                 d.say(to);
               };
               feed(65, 3, 0);
               feed(1, 1, 65);
               d.say(keys);
               d.say(values);
             }});
      }
}

}  // namespace

std::vector<Trial> self_test_trials() {
  std::vector<Trial> out;
  add_rows(out);
  add_products(out);
  add_blocks(out);
  add_parts(out);
  add_attention(out);
  return out;
}
}  // namespace kairo::gpu
