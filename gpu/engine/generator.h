// gpu/engine/generator.h - next-token logits of a base model and its adapters, one KV cache per
// slot. No torch type crosses this header. Scheduling, sampling and text are the caller's.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gpu/engine/device.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// One PEFT folder (adapter_config.json + adapter_model.safetensors). strength scales its effect:
// 1 = as trained, 0 = no effect. Names are the caller's; they must differ.
struct AdapterSource {
  std::string name, dir;
  float strength = 1.0f;
};
// stored: as the files have them. nf4: the layers' matrices in NF4 with the scales that QLoRA
// makes, so that an adapter meets the weights that it was trained on.
enum class ServedWeights : std::uint8_t { stored, nf4 };
struct ServedAdapter;  // its matrices
using ServedAdapterPtr = std::shared_ptr<ServedAdapter>;
struct GeneratorOptions {
  std::string model_dir;  // config.json + *.safetensors, HF layout
  ServedWeights weights = ServedWeights::stored;
  std::vector<AdapterSource> adapters;
  int slots = 8;              // sequences that can live at a time
  int context_tokens = 2048;  // per slot; at most the model's max_position_embeddings
  int threads = 0;            // 0 = the library's choice
  DevicePtr device;           // null: the CPU
};
// tokens: at least one, each in [0, vocab). adapter: index into GeneratorOptions::adapters, or what
// add() said; -1 = base model. A slot keeps one adapter from reset to reset. A slot appears once
// per call.
struct Feed {
  int slot;
  std::span<const std::int32_t> tokens;
  int adapter;
};
class Generator {  // one thread at a time
 public:
  // invalid: wrong options, unsupported model or adapter. not_found: a file is absent. corrupt: a
  // file's bytes are inconsistent.
  static Result<std::unique_ptr<Generator>> load(const GeneratorOptions& options);
  virtual ~Generator() = default;
  // Appends each feed's tokens to its slot's sequence (KV cache) and runs all feeds as one
  // padding-free batch. Returns the logits of each feed's last token, (feeds, vocab) f32 row-major,
  // valid until the next call. invalid: slot full or unknown, token or adapter out of range; then
  // no sequence has changed.
  virtual Result<std::span<const float>> feed(std::span<const Feed> feeds) = 0;
  // What of a slot's sequence is there to go on from, and whose: all that was fed since its reset.
  // Valid until the slot changes. An unknown slot has none.
  virtual std::span<const std::int32_t> tokens(int slot) const = 0;
  virtual int adapter(int slot) const = 0;
  // cut: forgets all but the first `length` tokens. copy: `to` has these of `from` then, instead
  // of its own. What is fed next gets the logits, to the bit, of a slot that never had more.
  // A sequence longer than turns_at has other keys than a shorter one: of it none stays for that.
  virtual void cut(int slot, int length) = 0;
  virtual void copy(int from, int to, int length) = 0;
  virtual int turns_at() const = 0;  // the context's length where no sequence turns
  // Adapters come and go between two calls. read: from its files, whatever runs meanwhile (any
  // thread); errors as of load. add: its index from now on, which no other has had. drop: it is
  // forgotten, and what slots have computed with it; an unknown index is none.
  virtual Result<ServedAdapterPtr> read(const AdapterSource& source) const = 0;
  virtual int add(ServedAdapterPtr adapter) = 0;
  virtual void drop(int adapter) = 0;
  void reset(int slot) { cut(slot, 0); }
  int length(int slot) const { return static_cast<int>(tokens(slot).size()); }
  virtual int slots() const = 0;
  virtual int context_tokens() const = 0;
  virtual int vocab() const = 0;
};
}  // namespace kairo::gpu
