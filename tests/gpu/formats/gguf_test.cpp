// tests/gpu/formats/gguf_test.cpp - proves: each tensor type is read exactly, a small Llama
// becomes a model folder, and no damaged file does anything but give an error.
#include "gpu/formats/gguf.h"

#include <doctest/doctest.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "gpu/formats/files.h"
#include "gpu/formats/safetensors.h"
#include "tests/gpu/formats/gguf_writer.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
using namespace test;
std::span<const std::byte> bytes(const std::string& file) {
  return std::as_bytes(std::span(file));
}
std::string from_hex(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return out;
}
std::vector<float> only_tensor(std::uint32_t type, std::uint64_t count, const std::string& data) {
  Writer w;
  w.tensor("t", {count}, type, data);
  const std::string file = w.file();
  const auto header = parse_gguf(bytes(file));
  REQUIRE_MESSAGE(header.ok(), header.error().what);
  std::vector<float> out(count);
  dequantise(header.value().tensors.at(0), bytes(file), out);
  return out;
}
}  // namespace

TEST_CASE("gguf: the plain types and two of blocks, value by value") {
  CHECK(only_tensor(0, 2, floats(2, 1.5f)) == std::vector<float>{1.5f, 2.5f});
  std::string halves;
  for (const int h : {0x3C00, 0xC000, 0x0001, 0x7BFF, 0x8000})
    put(halves, static_cast<std::uint16_t>(h));
  CHECK(only_tensor(1, 5, halves) == std::vector<float>{1.f, -2.f, 0x1p-24f, 65504.f, -0.f});
  std::string q4;  // 0.5 q - 2; byte j holds value j low and value j + 16 high
  put<std::uint16_t>(q4, 0x3800);
  put<std::uint16_t>(q4, 0xC000);
  for (unsigned j = 0; j < 16; ++j) q4 += static_cast<char>(j | ((15 - j) << 4));
  const auto four = only_tensor(3, 32, q4);
  std::string q8;  // 0.5 q
  put<std::uint16_t>(q8, 0x3800);
  for (int j = 0; j < 32; ++j) q8 += static_cast<char>(j * 8 - 128);
  const auto eight = only_tensor(8, 32, q8);
  for (std::size_t j = 0; j < 32; ++j) {
    const float q = static_cast<float>(j < 16 ? j : 31 - j);
    CHECK(four[j] == 0.5f * q - 2.f);
    CHECK(eight[j] == 0.5f * (static_cast<float>(j) * 8.f - 128.f));
  }
}

TEST_CASE("gguf: each number format as the gguf package reads it, bit for bit") {
  const auto golden =
      nlohmann::json::parse(read_file(test::golden("gguf_blocks.json"), 1 << 20).value());
  REQUIRE(golden.size() == 11);
  for (const auto& [name, of] : golden.items()) {
    CAPTURE(name);
    const auto kind = stored_named(name);
    REQUIRE(kind);
    CHECK(name_of(*kind) == name);
    const std::string data = from_hex(of["blocks"]), wanted = from_hex(of["values"]);
    const auto values = only_tensor(of["type"], wanted.size() / sizeof(float), data);
    CHECK(std::memcmp(values.data(), wanted.data(), wanted.size()) == 0);
  }
}

TEST_CASE("gguf: a small Llama becomes a model folder, whole or not at all") {
  const test::TempFolder folder;
  const std::string path = folder.path() + "/m.gguf", dir = folder.path() + "/model";
  REQUIRE(write_file(path, small_llama().file()).ok());
  std::size_t calls = 0;
  const Status done = import_gguf(path, dir, [&](std::size_t n, std::size_t total) {
    CHECK(n == ++calls);
    CHECK(total == 3);
  });
  REQUIRE_MESSAGE(done.ok(), done.error().what);
  CHECK(calls == 3);
  const auto tensors = TensorFolder::open(dir);
  REQUIRE(tensors.ok());
  std::vector<float> q(16);
  const std::int64_t shape[] = {4, 4};
  REQUIRE(tensors.value().read("model.layers.0.self_attn.q_proj.weight", shape, q).ok());
  CHECK(q == std::vector<float>{0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15});
  const std::string config = read_file(dir + "/config.json", 1 << 20).value();
  CHECK(config.find("\"rms_norm_eps\": 1e-05") != std::string::npos);
  CHECK(config.find("\"tie_word_embeddings\": true") != std::string::npos);
  CHECK(import_gguf(path, dir, {}).error().what.find("is not empty") != std::string::npos);
  CHECK(import_gguf(folder.path() + "/absent", dir + "2", {}).error().code == Code::not_found);

  auto other = small_llama();
  other.tensor("blk.0.mystery.weight", {4}, 0, floats(4, 0));
  REQUIRE(write_file(path, other.file()).ok());
  const Status refused = import_gguf(path, dir + "3", {});
  CHECK(refused.error().what.find("blk.0.mystery.weight is none of a llama") != std::string::npos);
  std::size_t names = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder.path())) ++names;
  CHECK(names == 2);  // m.gguf and model: nothing is left of the refused one
}

TEST_CASE("gguf: each kind is imported as it is stored, with the values of an import as f32") {
  const auto golden =
      nlohmann::json::parse(read_file(test::golden("gguf_blocks.json"), 1 << 20).value());
  for (const auto& [name, of] : golden.items()) {
    CAPTURE(name);
    const Stored kind = stored_named(name).value();
    // Two heads of two rows, so that q's rows 1 and 2 change places; a row is one or more blocks.
    const std::string blocks = from_hex(of["blocks"]);
    const auto bytes_per = static_cast<std::size_t>(bytes_per_block(kind));
    const std::size_t row = blocks.size() / bytes_per * bytes_per;
    const auto columns = row / bytes_per * static_cast<std::size_t>(values_per_block(kind));
    std::string rows;
    for (std::size_t r = 0; r < 4; ++r) rows += blocks.substr(0, row);
    for (std::size_t r = 0; r < 4; ++r) rows[r * row + row - 1] = static_cast<char>(r);
    const test::TempFolder folder;
    const std::string path = folder.path() + "/m.gguf", dir = folder.path() + "/m";
    Writer w = small_llama();
    w.tensor("blk.0.attn_output.weight", {columns, 4}, of["type"], rows);
    w.tensor("blk.0.attn_k.weight", {columns, 4}, of["type"], rows);
    w.tensor("blk.0.attn_norm.weight", {columns}, of["type"], rows.substr(0, row));
    REQUIRE(write_file(path, w.file()).ok());
    for (const auto as : {ImportAs::stored, ImportAs::f32})
      REQUIRE(import_gguf(path, dir + (as == ImportAs::f32 ? "32" : ""), {}, as).ok());
    const auto kept = TensorFolder::open(dir), wide = TensorFolder::open(dir + "32");
    REQUIRE_MESSAGE(kept.ok(), kept.error().what);
    const std::vector<std::int64_t> shape = {4, static_cast<std::int64_t>(columns)};
    for (const std::string module : {"self_attn.o_proj", "self_attn.k_proj", "input_layernorm"}) {
      CAPTURE(module);
      const std::string tensor = "model.layers.0." + module + ".weight";
      const bool is_norm = module == "input_layernorm";
      const auto of_it = std::span(shape).last(is_norm ? 1 : 2);
      CHECK(kept.value().stored(tensor).kind == (is_norm ? Stored::f32 : kind));
      CHECK(wide.value().stored(tensor).kind == Stored::f32);
      std::vector<float> a(is_norm ? columns : 4 * columns, -1.0f), b(a.size(), -2.0f);
      REQUIRE(kept.value().read(tensor, of_it, a).ok());
      REQUIRE(wide.value().read(tensor, of_it, b).ok());
      CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
    }
    const auto k = kept.value().stored("model.layers.0.self_attn.k_proj.weight").bytes;
    REQUIRE(k.size() == 4 * row);
    std::string order;  // of the rows, by the last byte that each was given
    for (std::size_t r = 0; r < 4; ++r)
      order += std::to_string(std::to_integer<int>(k[r * row + row - 1]));
    CHECK(order == "0213");
    const auto config = read_file(dir + "/config.json", 1 << 20).value();
    CHECK((config.find("\"quant_method\": \"kairo_blocks\"") != std::string::npos) ==
          is_quantised(kind));
    CHECK(kept.value().matrices() == (kind == Stored::f32 ? "F32"
                                      : columns > 4       ? name + ", F32"
                                                          : "F32, " + name));
  }
}

TEST_CASE("gguf: refused files say why") {
  const std::string whole = small_llama().file();
  const auto why = [](const std::string& file) {
    const auto header = parse_gguf(bytes(file));
    return header.ok() ? std::string() : header.error().what;
  };
  CHECK(why(whole) == "");
  CHECK(why("") != "");
  CHECK(why("GGML") == "not a GGUF file: it does not begin with GGUF");
  std::string version = whole;
  version[4] = 2;
  CHECK(why(version) == "GGUF version 2; only 3 is read");
  Writer w;
  w.tensor("t", {256}, 10, std::string(84, 'x'));
  CHECK(why(w.file()).ends_with(
      "tensor t: type 10 is not read; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, "
      "Q5_1, Q4_K, Q5_K and Q6_K are: take such a file"));
  w = Writer();
  w.tensor("t", {32}, 12, std::string(144, 'x'));
  CHECK(why(w.file()).find("rows are not whole blocks") != std::string::npos);
  w = Writer();
  w.tensor("t", {33}, 8, std::string(68, 'x'));
  CHECK(why(w.file()).find("rows are not whole blocks") != std::string::npos);
  w = Writer();
  w.tensor("t", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, "");
  CHECK(why(w.file()).find("is larger than the file") != std::string::npos);
  w = Writer();
  w.texts("k", {});
  w.values.replace(w.values.size() - 8, 8, std::string(8, '\xFF'));
  CHECK(why(w.file()).find("items") != std::string::npos);
  // The last 16 bytes are padding.
  for (std::size_t size = 0; size < whole.size() - 16; size += 7)
    CHECK(why(whole.substr(0, size)) != "");
}

TEST_CASE("gguf: changed bytes never crash the import") {
  const char* text = std::getenv("SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
  MESSAGE("SEED=" << seed);
  std::mt19937_64 random(seed);
  const std::string whole = small_llama().file();
  const test::TempFolder folder;
  const std::string path = folder.path() + "/m.gguf", dir = folder.path() + "/model";
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string file = whole;
    for (std::uint64_t i = random() % 4 + 1; i > 0; --i)
      file[random() % (whole.size() - 300)] = static_cast<char>(random());
    const auto header = parse_gguf(bytes(file));
    if (!header.ok()) {
      ++refused;
      continue;
    }
    if (round % 20 != 0) continue;  // the import syncs files: slow
    REQUIRE(write_file(path, file).ok());
    if (import_gguf(path, dir, {}).ok()) std::filesystem::remove_all(dir);
    CHECK_FALSE(std::filesystem::exists(dir));
  }
  CHECK(refused > 500);
}

TEST_CASE("gguf: what changes the result is imported or refused by name") {
  struct KeyRow {
    std::string name;
    std::function<void(Writer&)> add;
    std::string error;             // empty: imported,
    std::string scaling = "null";  // with this rope_scaling
  };
  const auto text = [](const std::string& key, const std::string& value) {
    return [=](Writer& w) { w.text(key, value); };
  };
  const auto number = [](const std::string& key, std::uint32_t value) {
    return [=](Writer& w) { w.number(key, value); };
  };
  const auto real = [](const std::string& key, float value) {
    return [=](Writer& w) { w.real(key, value); };
  };
  const std::string rope = "llama.rope.scaling.";
  const std::string by_4 = R"({"factor":4.0,"rope_type":"linear"})";
  const std::vector<KeyRow> rows = {
      {"no scaling", text(rope + "type", "none"), ""},
      {"none with a factor",
       [&](Writer& w) {
         w.text(rope + "type", "none");
         w.real(rope + "factor", 4);
       },
       ""},
      {"linear",
       [&](Writer& w) {
         w.text(rope + "type", "linear");
         w.real(rope + "factor", 4);
         w.number(rope + "original_context_length", 16);
         w.key(rope + "finetuned", 7);
         w.values += '\1';
       },
       "", by_4},
      {"a factor without a type", real(rope + "factor", 4), "", by_4},
      {"the old key", real("llama.rope.scale_linear", 4), "", by_4},
      {"an f32 is read as the decimal that it was", real(rope + "factor", 2.1f), "",
       R"({"factor":2.1,"rope_type":"linear"})"},
      {"factor 1", real(rope + "factor", 1), ""},
      {"factor below 1", real(rope + "factor", 0.5f), "rope.scaling.factor is below 1"},
      {"a factor that is text", text(rope + "factor", "4"), "rope.scaling.factor is \"4\""},
      {"yarn", text(rope + "type", "yarn"), "rope.scaling.type is \"yarn\""},
      {"longrope", text(rope + "type", "longrope"), "rope.scaling.type is \"longrope\""},
      {"yarn's own key", real(rope + "yarn_log_multiplier", 0.1f), "yarn_log_multiplier is 0.1"},
      {"attention factor", real(rope + "attn_factor", 1.5f), "attn_factor is not 1"},
      {"single frequencies", [](Writer& w) { w.tensor("rope_freqs.weight", {2}, 0, floats(2, 1)); },
       "tensor rope_freqs.weight"},
      {"window", number("llama.attention.sliding_window", 4096), "sliding_window is 4096"},
      {"no window", number("llama.attention.sliding_window", 0), ""},
      {"clamp", real("llama.attention.clamp_kqv", 8), "clamp_kqv is 8"},
      {"experts", number("llama.expert_count", 8), "expert_count is 8"},
      {"logits", real("llama.logit_scale", 0.5f), "logit_scale is 0.5"},
      {"partly rotated heads", number("llama.attention.key_length", 8), "key_length is 8"},
      {"heads rotated whole", number("llama.attention.key_length", 4), ""},
      {"a key to come", number("llama.attention.new_way", 1), "new_way is 1: it is not known here"},
      {"a token before", number("tokenizer.ggml.add_bos_token", 1), ""},
      {"none before", number("tokenizer.ggml.add_bos_token", 0), ""},
      {"a token behind", number("tokenizer.ggml.add_eos_token", 1), "add_eos_token is 1"},
      {"an adapter", text("general.type", "adapter"), "general.type is \"adapter\""},
      {"one of several files", number("split.count", 2), "split.count is 2"},
      {"a name", text("general.name", "tiny"), ""}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const test::TempFolder folder;
    Writer w = small_llama();
    row.add(w);
    REQUIRE(write_file(folder.path() + "/in.gguf", w.file()).ok());
    const auto done = import_gguf(folder.path() + "/in.gguf", folder.path() + "/out", {});
    if (!row.error.empty()) {
      REQUIRE_FALSE(done.ok());
      CHECK_MESSAGE(done.error().what.find(row.error) != std::string::npos, done.error().what);
      continue;
    }
    REQUIRE_MESSAGE(done.ok(), done.error().what);
    const auto config =
        nlohmann::json::parse(read_file(folder.path() + "/out/config.json", 1 << 20).value());
    CHECK(config["rope_scaling"].dump() == row.scaling);
  }
}
