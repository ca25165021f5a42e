// tests/gpu/formats/gguf_writer.h - GGUF files written value by value.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace kairo::gpu::test {
template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}
inline void put_text(std::string& out, const std::string& text) {
  put<std::uint64_t>(out, text.size());
  out += text;
}
// Builds a file; types as in the GGUF specification.
struct Writer {
  std::string values, infos, data;
  std::uint64_t value_count = 0, tensor_count = 0;
  void key(const std::string& name, std::uint32_t type) {
    put_text(values, name);
    put(values, type);
    ++value_count;
  }
  void text(const std::string& name, const std::string& value) {
    key(name, 8);
    put_text(values, value);
  }
  void number(const std::string& name, std::uint32_t value) {
    key(name, 4);
    put(values, value);
  }
  void real(const std::string& name, float value) {
    key(name, 6);
    put(values, value);
  }
  void texts(const std::string& name, const std::vector<std::string>& items) {
    key(name, 9);
    put<std::uint32_t>(values, 8);
    put<std::uint64_t>(values, items.size());
    for (const auto& item : items) put_text(values, item);
  }
  // shape: fastest first, as in the file.
  void tensor(const std::string& name, const std::vector<std::uint64_t>& shape, std::uint32_t type,
              const std::string& bytes) {
    put_text(infos, name);
    put(infos, static_cast<std::uint32_t>(shape.size()));
    for (const auto size : shape) put(infos, size);
    put(infos, type);
    put<std::uint64_t>(infos, data.size());
    data += bytes;
    data.resize((data.size() + 31) / 32 * 32);
    ++tensor_count;
  }
  std::string file() const {
    std::string out = "GGUF";
    put<std::uint32_t>(out, 3);
    put(out, tensor_count);
    put(out, value_count);
    out += values + infos;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data;
  }
};
inline std::string floats(std::size_t count, float first) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) put(out, first + static_cast<float>(i));
  return out;
}
// One layer, hidden size 4, one head; q's four rows show the permutation.
inline Writer small_llama() {
  Writer w;
  w.text("general.architecture", "llama");
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::uint32_t>>{{"embedding_length", 4},
                                                          {"feed_forward_length", 2},
                                                          {"block_count", 1},
                                                          {"attention.head_count", 1},
                                                          {"attention.head_count_kv", 1},
                                                          {"rope.dimension_count", 4},
                                                          {"context_length", 64}})
    w.number("llama." + name, value);
  w.real("llama.rope.freq_base", 10000);
  w.real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  w.text("tokenizer.ggml.model", "gpt2");
  w.text("tokenizer.ggml.pre", "smollm");
  w.texts("tokenizer.ggml.tokens", {"<end>", "a", "b", "ab"});
  w.texts("tokenizer.ggml.merges", {"a b"});
  w.key("tokenizer.ggml.token_type", 9);
  put<std::uint32_t>(w.values, 5);
  put<std::uint64_t>(w.values, 4);
  for (const std::int32_t kind : {3, 1, 1, 1}) put(w.values, kind);
  for (const std::string name : {"bos", "eos", "padding", "unknown"})
    w.number("tokenizer.ggml." + name + "_token_id", 0);
  w.text("tokenizer.chat_template", "{{ messages }}");
  w.tensor("token_embd.weight", {4, 4}, 0, floats(16, 0));
  w.tensor("blk.0.attn_q.weight", {4, 4}, 0, floats(16, 0));
  w.tensor("output_norm.weight", {4}, 0, floats(4, 1));
  return w;
}
}  // namespace kairo::gpu::test
