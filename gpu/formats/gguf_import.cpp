// gpu/formats/gguf_import.cpp - a Llama-family GGUF as a Hugging Face folder.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "gpu/formats/files.h"
#include "gpu/formats/gguf.h"
#include "gpu/formats/gguf_keys.h"
#include "gpu/formats/safetensors.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A file mapped for reading.
class Mapped {
 public:
  static Result<Mapped> open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      return Error{errno == ENOENT ? Code::not_found : Code::invalid,
                   "import " + path + ": " + std::strerror(errno)};
    Mapped out;
    struct stat s;
    if (::fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0) {
      out.size_ = static_cast<std::size_t>(s.st_size);
      void* data = ::mmap(nullptr, out.size_, PROT_READ, MAP_PRIVATE, fd, 0);
      if (data != MAP_FAILED) out.data_ = static_cast<const std::byte*>(data);
    }
    ::close(fd);
    if (out.data_ == nullptr)
      return Error{Code::invalid, "import " + path + ": not a regular file with content"};
    return out;
  }
  Mapped(Mapped&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Mapped& operator=(Mapped&&) = delete;
  ~Mapped() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  Mapped() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

Status expect(const GgufHeader& header, const std::string& key, const std::string& wanted) {
  const auto found = TRY(get<std::string>(header, key));
  if (found == wanted) return ok();
  return Error{Code::invalid, key + " is \"" + found + "\"; only \"" + wanted + "\" is imported"};
}

struct Name {
  std::string_view gguf, hf;
};
constexpr Name layer_names[] = {
    {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"}};
constexpr Name top_names[] = {{"token_embd.weight", "model.embed_tokens.weight"},
                              {"output_norm.weight", "model.norm.weight"},
                              {"output.weight", "lm_head.weight"}};

// blk.<layer>.<part>.weight -> {layer, part}; empty part: another name.
Name split_layer(std::string_view name) {
  if (!name.starts_with("blk.") || !name.ends_with(".weight")) return {};
  name.remove_prefix(4);
  name.remove_suffix(7);
  const auto dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 4 ||
      name.substr(0, dot).find_first_not_of("0123456789") != std::string_view::npos)
    return {};
  return {name.substr(0, dot), name.substr(dot + 1)};
}
Result<std::string> hf_name(const std::string& name) {
  for (const auto& n : top_names)
    if (n.gguf == name) return std::string(n.hf);
  const auto [layer, part] = split_layer(name);
  for (const auto& n : layer_names)
    if (n.gguf == part)
      return "model.layers." + std::string(layer) + "." + std::string(n.hf) + ".weight";
  return Error{Code::invalid, "tensor " + name + " is none of a Llama model's"};
}

// llama.cpp interleaves the rows of q and k (x0, x32, x1, x33, ..) where Hugging Face rotates
// halves (x0..x31, x32..x63): row 2 i + j of a head goes to row j * half + i.
Status unpermute(std::vector<float>& w, const GgufTensor& tensor, std::int64_t heads) {
  const std::int64_t rows = tensor.shape[0];
  if (tensor.shape.size() != 2 || heads < 1 || rows % heads != 0 || rows / heads % 2 != 0)
    return Error{Code::corrupt, "tensor " + tensor.name + ": its " + std::to_string(rows) +
                                    " rows are not " + std::to_string(heads) + " heads"};
  const auto columns = static_cast<std::size_t>(tensor.shape[1]);
  const auto size = static_cast<std::size_t>(rows / heads), half = size / 2;
  std::vector<float> out(w.size());
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    const std::size_t head = row / size, in = row % size;
    const std::size_t to = head * size + (in % 2) * half + in / 2;
    std::memcpy(&out[to * columns], &w[row * columns], columns * sizeof(float));
  }
  w = std::move(out);
  return ok();
}

Status write_model(const GgufHeader& header, std::span<const std::byte> file,
                   const std::string& path, const ImportProgress& progress) {
  const auto q_heads = TRY(get<std::int64_t>(header, "llama.attention.head_count"));
  const auto k_heads = TRY(get<std::int64_t>(header, "llama.attention.head_count_kv"));
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  std::set<std::string> names;
  for (const auto& t : header.tensors) {
    std::size_t count = 1;
    for (const auto size : t.shape) count *= static_cast<std::size_t>(size);
    std::vector<float> w(count);
    dequantise(t, file, w);
    const auto part = split_layer(t.name).hf;
    if (part == "attn_q") TRY(unpermute(w, t, q_heads));
    if (part == "attn_k") TRY(unpermute(w, t, k_heads));
    const std::string name = TRY(hf_name(t.name));
    if (!names.insert(name).second)
      return Error{Code::corrupt, "tensor " + t.name + " occurs twice"};
    values.push_back(std::move(w));
    tensors.push_back({name, t.shape, values.back()});
    if (progress) progress(tensors.size(), header.tensors.size());
  }
  return write_tensors(path, tensors);
}

constexpr std::int64_t control = 3, user_defined = 4;  // kinds of tokens that are never split
struct Vocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<std::int64_t> kinds;
  Json ids;  // bos_token_id, eos_token_id, pad_token_id
  std::int64_t unknown = 0;
};
Result<Vocabulary> vocabulary_of(const GgufHeader& header) {
  const std::string ggml = "tokenizer.ggml.";
  TRY(expect(header, ggml + "model", "gpt2"));
  TRY(expect(header, ggml + "pre", "smollm"));
  Vocabulary out;
  out.tokens = TRY(get<std::vector<std::string>>(header, ggml + "tokens"));
  out.merges = TRY(get<std::vector<std::string>>(header, ggml + "merges"));
  out.kinds = TRY(get<std::vector<std::int64_t>>(header, ggml + "token_type"));
  if (out.kinds.size() != out.tokens.size())
    return Error{Code::corrupt, "tokenizer.ggml.token_type is not as long as the tokens"};
  const auto id = [&](const std::string& name) -> Result<std::int64_t> {
    const auto found = TRY(get<std::int64_t>(header, ggml + name + "_token_id"));
    if (found < 0 || found >= static_cast<std::int64_t>(out.tokens.size()))
      return Error{Code::corrupt,
                   ggml + name + "_token_id " + std::to_string(found) + " is not a token"};
    return found;
  };
  out.ids["bos_token_id"] = TRY(id("bos"));
  out.ids["eos_token_id"] = TRY(id("eos"));
  out.ids["pad_token_id"] = TRY(id("padding"));
  out.unknown = TRY(id("unknown"));
  return out;
}
Result<Json> tokenizer_json(const Vocabulary& v) {
  Json special = Json::array(), merges = Json::array();
  Json::object_t vocab;  // in the order of the ids; push_back: their uniqueness is the file's
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    vocab.push_back({v.tokens[i], i});
    if (v.kinds[i] == control || v.kinds[i] == user_defined)
      special.push_back({{"id", i},
                         {"content", v.tokens[i]},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", v.kinds[i] == control}});
  }
  for (const auto& merge : v.merges) {
    const auto space = merge.find(' ');
    if (space == std::string::npos || merge.find(' ', space + 1) != std::string::npos)
      return Error{Code::corrupt, "tokenizer.ggml.merges: a merge is not two tokens"};
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  const auto level = [](bool prefix) {
    return Json{{"type", "ByteLevel"},
                {"trim_offsets", true},
                {"use_regex", true},
                {"add_prefix_space", prefix}};
  };
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  return Json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", special},
              {"normalizer", nullptr},
              {"pre_tokenizer",
               {{"type", "Sequence"}, {"pretokenizers", Json::array({digits, level(false)})}}},
              {"post_processor", nullptr},
              {"decoder", level(true)},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", false},
                {"vocab", Json(std::move(vocab))},
                {"merges", merges}}}};
}
Result<Json> config_json(const GgufHeader& header, const Vocabulary& v) {
  const auto size = [&](const char* key) {
    return get<std::int64_t>(header, std::string("llama.") + key);
  };
  const double epsilon = TRY(get<double>(header, "llama.attention.layer_norm_rms_epsilon"));
  char shown[32];  // the file's f32 as the decimal number it was made from
  std::snprintf(shown, sizeof shown, "%.6g", epsilon);
  const bool untied = std::any_of(header.tensors.begin(), header.tensors.end(),
                                  [](const auto& t) { return t.name == "output.weight"; });
  Json out = {{"architectures", Json::array({"LlamaForCausalLM"})},
              {"model_type", "llama"},
              {"hidden_act", "silu"},
              {"vocab_size", v.tokens.size()}};
  for (const auto& [ours, theirs] : {std::pair{"hidden_size", "embedding_length"},
                                     {"intermediate_size", "feed_forward_length"},
                                     {"num_hidden_layers", "block_count"},
                                     {"num_attention_heads", "attention.head_count"},
                                     {"num_key_value_heads", "attention.head_count_kv"},
                                     {"head_dim", "rope.dimension_count"},
                                     {"max_position_embeddings", "context_length"}})
    out[ours] = TRY(size(theirs));
  out["rope_theta"] = TRY(get<double>(header, "llama.rope.freq_base"));
  out["rope_scaling"] = TRY(rope_scaling_of(header));
  out.update({{"rms_norm_eps", std::strtod(shown, nullptr)},
              {"attention_bias", false},
              {"mlp_bias", false},
              {"tie_word_embeddings", !untied},
              {"use_cache", true},
              {"torch_dtype", "float32"}});
  out.update(v.ids);
  return out;
}
Result<Json> tokenizer_config_json(const GgufHeader& header, const Vocabulary& v) {
  const auto token = [&v](std::int64_t id) { return v.tokens[static_cast<std::size_t>(id)]; };
  const auto length = TRY(get<std::int64_t>(header, "llama.context_length"));
  const auto chat = TRY(get<std::string>(header, "tokenizer.chat_template"));
  // Not GPT2Tokenizer: transformers 5 would drop the splitting of digits.
  return Json{{"tokenizer_class", "PreTrainedTokenizerFast"},
              {"clean_up_tokenization_spaces", false},
              {"model_max_length", length},
              {"unk_token", token(v.unknown)},
              {"bos_token", token(v.ids["bos_token_id"].get<std::int64_t>())},
              {"eos_token", token(v.ids["eos_token_id"].get<std::int64_t>())},
              {"pad_token", token(v.ids["pad_token_id"].get<std::int64_t>())},
              {"chat_template", chat}};
}

Status write_json(const std::string& path, const Json& json) {
  try {
    return write_file(path, json.dump(1));
  } catch (const Json::exception&) {  // thrown for text that is not UTF-8
    return Error{Code::corrupt, "write " + path + ": the file's text is not UTF-8"};
  }
}
Status write_folder(const GgufHeader& header, std::span<const std::byte> file,
                    const std::string& dir, const ImportProgress& progress) {
  TRY(expect(header, "general.architecture", "llama"));
  TRY(check_keys(header));
  const auto vocabulary = TRY(vocabulary_of(header));
  const Json config = TRY(config_json(header, vocabulary));
  const Json tokenizer = TRY(tokenizer_json(vocabulary));
  const Json tokenizer_config = TRY(tokenizer_config_json(header, vocabulary));
  TRY(write_json(dir + "/config.json", config));
  TRY(write_json(dir + "/generation_config.json", vocabulary.ids));
  TRY(write_json(dir + "/tokenizer.json", tokenizer));
  TRY(write_json(dir + "/tokenizer_config.json", tokenizer_config));
  TRY(write_model(header, file, dir + "/model.safetensors", progress));
  return sync_folder(dir);
}
}  // namespace

Status import_gguf(const std::string& gguf_path, const std::string& out_dir,
                   const ImportProgress& progress) {
  const auto named = [&](const Error& e) {
    return Error{e.code, "import " + gguf_path + ": " + e.what};
  };
  std::error_code error;
  if (fs::exists(out_dir, error) && !fs::is_empty(out_dir, error))
    return named({Code::invalid, out_dir + " exists and is not empty: remove it, or name another"});
  const Mapped file = TRY(Mapped::open(gguf_path));
  const auto header = parse_gguf(file.bytes());
  if (!header.ok()) return named(header.error());
  fs::path final_dir = fs::absolute(out_dir, error).lexically_normal();
  if (!final_dir.has_filename()) final_dir = final_dir.parent_path();
  const std::string partial = final_dir.string() + ".partial-" + std::to_string(::getpid());
  TRY(make_folders(partial));
  const Status written = write_folder(header.value(), file.bytes(), partial, progress);
  if (!written.ok()) {
    fs::remove_all(partial, error);
    return named(written.error());
  }
  if (::rename(partial.c_str(), final_dir.c_str()) != 0) {
    const Error failed = write_error("rename to", final_dir.string(), errno);
    fs::remove_all(partial, error);
    return named(failed);
  }
  return sync_folder(final_dir.parent_path().string());
}
}  // namespace kairo::gpu
