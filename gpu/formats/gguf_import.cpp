// gpu/formats/gguf_import.cpp - a GGUF as a Hugging Face folder.
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
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "gpu/formats/files.h"
#include "gpu/formats/gguf.h"
#include "gpu/formats/gguf_family.h"
#include "gpu/formats/gguf_keys.h"
#include "gpu/formats/gguf_tokenizer.h"
#include "gpu/formats/model_config.h"
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

// llama.cpp interleaves the rows of q and k (x0, x32, x1, x33, ..) where Hugging Face rotates
// halves (x0..x31, x32..x63): row 2 i + j of a head goes to row j * half + i. Rows are whole
// blocks.
Status unpermute(std::vector<std::byte>& w, const GgufTensor& tensor, std::int64_t heads) {
  const std::int64_t rows = tensor.shape[0];
  if (tensor.shape.size() != 2 || heads < 1 || rows % heads != 0 || rows / heads % 2 != 0)
    return Error{Code::corrupt, "tensor " + tensor.name + ": its " + std::to_string(rows) +
                                    " rows are not " + std::to_string(heads) + " heads"};
  const auto bytes = w.size() / static_cast<std::size_t>(rows);
  const auto size = static_cast<std::size_t>(rows / heads), half = size / 2;
  std::vector<std::byte> out(w.size());
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    const std::size_t head = row / size, in = row % size;
    const std::size_t to = head * size + (in % 2) * half + in / 2;
    std::memcpy(&out[to * bytes], &w[row * bytes], bytes);
  }
  w = std::move(out);
  return ok();
}

// The heads whose rows are interleaved in this tensor; nothing: they lie as Hugging Face has them.
Result<std::optional<std::int64_t>> interleaved_heads(const GgufHeader& header,
                                                      const GgufFamily& family,
                                                      const GgufTensor& tensor) {
  const auto part = split_layer(tensor.name).hf;
  if (!family.interleaves_heads || (part != "attn_q" && part != "attn_k"))
    return std::optional<std::int64_t>();
  const char* key = part == "attn_q" ? "attention.head_count" : "attention.head_count_kv";
  return std::optional(TRY(get<std::int64_t>(header, family.key(key))));
}

// A tensor as it is to be written. Vectors (norms, biases) are f32 always.
class Tensors {
 public:
  Tensors(std::span<const std::byte> file, ImportAs as) : file_(file), as_(as) {}
  Status add(const GgufTensor& t, const std::string& name, std::optional<std::int64_t> heads) {
    if (!names_.insert(name).second)
      return Error{Code::corrupt, "tensor " + t.name + " occurs twice"};
    StoredTensor out{t.type, file_.subspan(t.begin, t.end - t.begin)};
    if (out.kind != Stored::f32 && (as_ == ImportAs::f32 || t.shape.size() != 2)) {
      auto& wide = keep(static_cast<std::size_t>(t.count()) * sizeof(float));
      dequantise(t, file_, {reinterpret_cast<float*>(wide.data()), wide.size() / sizeof(float)});
      out = {Stored::f32, wide};
    }
    if (heads) {
      auto& rows = keep(0);
      rows.assign(out.bytes.begin(), out.bytes.end());
      TRY(unpermute(rows, t, *heads));
      out.bytes = rows;
    }
    list_.push_back({name, t.shape, out});
    return ok();
  }
  std::span<const StoredToWrite> list() const { return list_; }

 private:
  std::vector<std::byte>& keep(std::size_t bytes) {
    kept_.push_back(std::make_unique<std::vector<std::byte>>(bytes));
    return *kept_.back();
  }
  std::span<const std::byte> file_;
  ImportAs as_;
  std::set<std::string> names_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> kept_;  // what is not the file's own bytes
  std::vector<StoredToWrite> list_;
};

Status write_model(const GgufHeader& header, const GgufFamily& family,
                   std::span<const std::byte> file, const std::string& path, ImportAs as,
                   const ImportProgress& progress) {
  Tensors tensors(file, as);
  for (const auto& t : header.tensors) {
    if (is_rope_factors(t.name)) continue;  // config.json has them
    const auto heads = TRY(interleaved_heads(header, family, t));
    const std::string name = TRY(hf_name(family, t.name));
    TRY(tensors.add(t, name, heads));
    if (progress) progress(tensors.list().size(), header.tensors.size());
  }
  return write_stored(path, tensors.list());
}

Json ids_of(const GgufVocabulary& v) {
  Json out = Json::object();
  for (const auto& [name, id] :
       {std::pair{"bos_token_id", v.bos}, {"eos_token_id", v.eos}, {"pad_token_id", v.padding}})
    if (id) out[name] = *id;
  return out;
}
Result<Json> config_json(const GgufHeader& header, const GgufFamily& family,
                         std::span<const std::byte> file, const GgufVocabulary& v, ImportAs as) {
  const auto size = [&](const char* key) { return get<std::int64_t>(header, family.key(key)); };
  const double epsilon = TRY(get<double>(header, family.key("attention.layer_norm_rms_epsilon")));
  char shown[32];  // the file's f32 as the decimal number it was made from
  std::snprintf(shown, sizeof shown, "%.6g", epsilon);
  const bool untied = std::any_of(header.tensors.begin(), header.tensors.end(),
                                  [](const auto& t) { return t.name == "output.weight"; });
  Json out = {{"architectures", Json::array({family.hf_architecture})},
              {"model_type", family.model_type},
              {"hidden_act", "silu"},
              {"vocab_size", v.tokens.size()}};
  for (const auto& [ours, theirs] : {std::pair{"hidden_size", "embedding_length"},
                                     {"intermediate_size", "feed_forward_length"},
                                     {"num_hidden_layers", "block_count"},
                                     {"num_attention_heads", "attention.head_count"},
                                     {"num_key_value_heads", "attention.head_count_kv"}})
    out[ours] = TRY(size(theirs));
  if (const auto dim = TRY(head_dim_of(header, family))) out["head_dim"] = *dim;
  out["max_position_embeddings"] = TRY(size("context_length"));
  out["rope_theta"] = TRY(get<double>(header, family.key("rope.freq_base")));
  TRY(add_positions(out, header, family, file));
  out.update({{"rms_norm_eps", std::strtod(shown, nullptr)},
              {"attention_bias", false},
              {"mlp_bias", false},
              {"tie_word_embeddings", !untied},
              {"use_cache", true},
              {"torch_dtype", "float32"}});
  out.update(ids_of(v));
  StoredValues values{};
  bool has_blocks = false;
  for (const auto& t : header.tensors) {
    if (t.shape.size() != 2) continue;
    has_blocks = has_blocks || is_quantised(t.type);
    values[static_cast<std::size_t>(t.type)] += t.count();
  }
  if (has_blocks && as == ImportAs::stored)
    out["quantization_config"] = {{"quant_method", kairo_blocks}, {"matrices", names_of(values)}};
  return out;
}

Status write_json(const std::string& path, const Json& json) {
  try {
    return write_file(path, json.dump(1));
  } catch (const Json::exception&) {  // thrown for text that is not UTF-8
    return Error{Code::corrupt, "write " + path + ": the file's text is not UTF-8"};
  }
}
Status write_folder(const GgufHeader& header, std::span<const std::byte> file,
                    const std::string& dir, ImportAs as, const ImportProgress& progress) {
  const GgufFamily& family = *TRY(gguf_family(header));
  TRY(check_keys(header, family));
  const auto vocabulary = TRY(vocabulary_of(header));
  const Json config = TRY(config_json(header, family, file, vocabulary, as));
  const Json tokenizer = TRY(tokenizer_json(vocabulary, family.strips_after_special));
  const Json tokenizer_config = tokenizer_config_json(
      header, vocabulary, config["max_position_embeddings"].get<std::int64_t>());
  TRY(write_json(dir + "/config.json", config));
  TRY(write_json(dir + "/generation_config.json", ids_of(vocabulary)));
  TRY(write_json(dir + "/tokenizer.json", tokenizer));
  TRY(write_json(dir + "/tokenizer_config.json", tokenizer_config));
  TRY(write_model(header, family, file, dir + "/model.safetensors", as, progress));
  return sync_folder(dir);
}
}  // namespace

Status import_gguf(const std::string& gguf_path, const std::string& out_dir,
                   const ImportProgress& progress, ImportAs as) {
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
  const Status written = write_folder(header.value(), file.bytes(), partial, as, progress);
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
