// tests/gpu/formats/safetensors_test.cpp - hostile headers are corrupt, never a crash; what is
// written reads back with the same bytes; shards are found by their index.
#include "gpu/formats/safetensors.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
std::string file_of(const std::string& header, std::size_t data) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, 'd');
}
Result<TensorHeader> parse(const std::string& bytes) {
  return parse_header({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()},
                      bytes.size());
}
const std::string good =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
    R"("b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"c":{"dtype":"U8","shape":[0],"data_offsets":[10,10]}})";
}  // namespace

TEST_CASE("a header is taken only when every offset holds") {
  struct Row {
    std::string name, header;
    std::size_t data;
    bool accepted;
  };
  const std::vector<Row> rows = {
      {"good", good, 10, true},
      {"padded with spaces", good + "    ", 10, true},
      {"nothing", "{}", 0, true},
      {"data too short", good, 9, false},
      {"data too long", good, 11, false},
      {"not JSON", "{\"a\":", 0, false},
      {"array", "[1]", 0, false},
      {"unknown dtype", R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, false},
      {"dtype is a number", R"({"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", 4, false},
      {"shape disagrees", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, false},
      {"negative dimension", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
       false},
      {"overflowing shape",
       R"({"a":{"dtype":"F64","shape":[1099511627776,1099511627776],"data_offsets":[0,8]}})", 8,
       false},
      {"nine dimensions",
       R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1, false},
      {"offsets reversed", R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[1,0]}})", 1, false},
      {"offsets negative", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1, false},
      {"three offsets", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1, false},
      {"overlap",
       R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, false},
      {"hole",
       R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, false},
      {"metadata is a list", R"({"__metadata__":[]})", 0, false},
      {"metadata holds a number", R"({"__metadata__":{"a":1}})", 0, false},
      {"no shape", R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, false}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto header = parse(file_of(row.header, row.data));
    CHECK(header.ok() == row.accepted);
    if (!header.ok()) CHECK(header.error().code == Code::corrupt);
  }
  CHECK_FALSE(parse("").ok());
  CHECK_FALSE(parse(std::string(8, '\xff')).ok());
  const auto header = parse(file_of(good, 10));
  REQUIRE(header.ok());
  CHECK(header.value().metadata.at("format") == "pt");
  CHECK(header.value().tensors.size() == 3);
  CHECK(header.value().tensors[1].count() == 1);
}

// accepted: what safetensors 0.8.0 (safe_open) says, but where the row says otherwise.
TEST_CASE("headers are as strict as the reference's") {
  const auto t = [](const std::string& begin_end, const std::string& shape = "1",
                    const std::string& dtype = "F32") {
    return "{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + begin_end +
           "]}";
  };
  const auto a = [&](const std::string& info) { return "{\"a\":" + info + "}"; };
  const std::string one = a(t("0,4"));
  struct Row {
    std::string name, header;
    std::size_t data;
    bool accepted;
  };
  const std::vector<Row> rows = {
      {"spaces after", one + "  ", 4, true},
      {"line ends after", one + "\n\t\r", 4, true},
      {"NUL after", one + std::string(2, '\0'), 4, false},
      {"NUL and more after", one + std::string(1, '\0') + "x", 4, false},
      {"a space before (the format's text, not the reference)", " " + one, 4, false},
      {"a line end before (as above)", "\n" + one, 4, false},
      {"byte order mark", "\xEF\xBB\xBF" + one, 4, false},
      {"spaces within", "{ \"a\" : " + t("0,4") + " }", 4, true},
      {"a name twice", "{\"a\":" + t("0,4") + ",\"a\":" + t("0,4") + "}", 4, true},
      {"a name twice, the last covers", "{\"a\":" + t("4,8") + ",\"a\":" + t("0,8", "2") + "}", 8,
       true},
      {"a name twice, a hole", "{\"a\":" + t("0,4") + ",\"a\":" + t("4,8") + "}", 8, false},
      {"a field twice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, false},
      {"metadata twice", R"({"__metadata__":{"a":"b"},"__metadata__":{"a":"c"}})", 0, false},
      {"a key of metadata twice", R"({"__metadata__":{"a":"b","a":"c"}})", 0, true},
      {"metadata null", R"({"__metadata__":null})", 0, true},
      {"a field more", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, true},
      {"not in order", "{\"a\":" + t("4,8") + ",\"b\":" + t("0,4") + "}", 8, true},
      {"overlap", "{\"a\":" + t("0,8", "2") + ",\"b\":" + t("4,12", "2") + "}", 12, false},
      {"the same place", "{\"a\":" + t("0,4") + ",\"b\":" + t("0,4") + "}", 4, false},
      {"hole", "{\"a\":" + t("0,4") + ",\"b\":" + t("8,12") + "}", 12, false},
      {"hole before", a(t("4,8")), 8, false},
      {"empty at the end", "{\"a\":" + t("0,4") + ",\"z\":" + t("4,4", "0") + "}", 4, true},
      {"empty at the begin", "{\"a\":" + t("0,4") + ",\"z\":" + t("0,0", "0") + "}", 4, true},
      {"empty between",
       "{\"a\":" + t("0,4") + ",\"b\":" + t("4,8") + ",\"z\":" + t("4,4", "0,7") + "}", 8, true},
      {"empty within", "{\"a\":" + t("0,8", "2") + ",\"z\":" + t("4,4", "0") + "}", 8, false},
      {"one value", a(t("0,4", "")), 4, true},
      {"a shape that wraps to 4", a(t("0,4", "9223372036854775808,2,1")), 4, false},
      {"a shape beyond 64 bits", a(t("0,4", "18446744073709551616")), 4, false},
      {"empty, but its dimensions overflow",
       a(t("0,0", "9223372036854775808,9223372036854775808,0")), 0, false},
      {"a dimension that is 1.0", a(t("0,4", "1.0")), 4, false},
      {"an offset that is 4e0", a(t("0,4e0")), 4, false},
      {"end before begin", a(t("4,0")), 4, false},
      {"nothing, but data", "{}", 4, false},
      {"an escaped name", "{\"\\u0061\":" + t("0,4") + "}", 4, true},
      {"half a surrogate pair", "{\"\\ud800\":" + t("0,4") + "}", 4, false},
      {"a name that is not UTF-8", "{\"\xff\":" + t("0,4") + "}", 4, false},
      {"a line end in a name", "{\"a\n\":" + t("0,4") + "}", 4, false},
      {"a comma too many", "{\"a\":" + t("0,4") + ",}", 4, false},
      {"two objects", "{}{}", 0, false},
      {"dtype in small letters", a(t("0,4", "1", "f32")), 4, false},
      {"U16", a(t("0,2", "1", "U16")), 2, true},
      {"F8", a(t("0,1", "1", "F8_E4M3")), 1, true},
      {"F4, two in a byte", a(t("0,1", "2", "F4")), 1, true},
      {"F4, half a byte", a(t("0,1", "1", "F4")), 1, false},
      {"C64", a(t("0,8", "1", "C64")), 8, true},
      {"deep", a(std::string(200, '[') + std::string(200, ']')), 4, false}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto header = parse(file_of(row.header, row.data));
    if (!header.ok()) CAPTURE(header.error().what);
    CHECK(header.ok() == row.accepted);
  }
  CHECK(parse(file_of(one + std::string(2, '\0'), 4)).error().what.find("padded with spaces") !=
        std::string::npos);
  CHECK(parse(file_of(" " + one, 4)).error().what.find("the format wants {") != std::string::npos);
}

TEST_CASE("no mutation of a good file crashes the parser or leads outside the file") {
  const char* given = std::getenv("SEED");
  const auto seed = static_cast<std::uint32_t>(given != nullptr ? std::atoi(given) : 42);
  MESSAGE("SEED=" << seed);
  std::mt19937 random(seed);
  const std::string bytes = file_of(good, 10);
  for (int round = 0; round < 20000; ++round) {
    std::string mutated = bytes;
    for (auto edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t where = random() % mutated.size();
      switch (random() % 3) {
        case 0:
          mutated[where] = static_cast<char>(random());
          break;
        case 1:
          mutated.erase(where, 1 + random() % 4);
          break;
        case 2:
          mutated.insert(where, 1, "0123456789{}[],:\""[random() % 17]);
          break;
      }
      if (mutated.empty()) mutated = "x";
    }
    const auto header = parse(mutated);
    if (!header.ok()) continue;
    for (const auto& t : header.value().tensors) {
      REQUIRE(t.begin <= t.end);
      REQUIRE(t.end <= mutated.size());
      REQUIRE((t.end - t.begin) * 8 == static_cast<std::uint64_t>(t.count() * bits_of(t.dtype)));
    }
  }
}

TEST_CASE("written tensors read back; the bytes do not depend on the order given") {
  const test::TempFolder folder;
  const std::vector<float> a = {1, -2, 3, 4, 5, 6}, b = {7};
  const std::vector<TensorToWrite> one = {{"b", {}, b}, {"a", {2, 3}, a}},
                                   two = {{"a", {2, 3}, a}, {"b", {}, b}};
  REQUIRE(write_tensors(folder.path() + "/one.safetensors", one).ok());
  REQUIRE(write_tensors(folder.path() + "/model.safetensors", two).ok());
  CHECK(read_file(folder.path() + "/one.safetensors", 1 << 20).value() ==
        read_file(folder.path() + "/model.safetensors", 1 << 20).value());
  const auto opened = TensorFolder::open(folder.path());
  REQUIRE(opened.ok());
  const std::array<std::int64_t, 2> shape = {2, 3}, wrong = {3, 2};
  std::vector<float> out(6);
  CHECK(opened.value().read("a", shape, out).ok());
  CHECK(out == a);
  CHECK(opened.value().view("a", shape).size() == 6);
  CHECK(opened.value().view("a", wrong).empty());
  CHECK(opened.value().read("a", wrong, out).error().code == Code::invalid);
  CHECK(opened.value().read("c", shape, out).error().code == Code::not_found);
}

TEST_CASE("blocks of a GGUF: a matrix of U8 with its kind, or an error that says what is wrong") {
  const std::string entries = R"("a":{"dtype":"U8","shape":[2,40],"data_offsets":[0,80]},)"
                              R"("b":{"dtype":"F32","shape":[1],"data_offsets":[80,84]},)"
                              R"("c":{"dtype":"U8","shape":[34],"data_offsets":[84,118]}})";
  const auto header_of = [&](std::string blocks) {
    for (std::size_t at = 0; (at = blocks.find('"', at)) != blocks.npos; at += 2)
      blocks.insert(at, 1, '\\');
    return parse(file_of(R"({"__metadata__":{"kairo.blocks":")" + blocks + "\"}," + entries, 118));
  };
  const auto good_one = header_of(R"({"version":1,"Q4_1":["a"]})");
  REQUIRE_MESSAGE(good_one.ok(), good_one.error().what);
  const TensorInfo& a = good_one.value().tensors[0];
  CHECK(a.stored == Stored::q4_1);
  CHECK(a.shape == std::vector<std::int64_t>{2, 64});
  CHECK(a.count() == 128);
  CHECK_FALSE(good_one.value().tensors[2].stored);  // c is bytes, and none of ours
  struct Row {
    std::string blocks, error;
  };
  const std::vector<Row> rows = {
      {"[]", "is not a JSON object"},
      {R"({"Q4_1":["a"]})", "is not of version 1"},
      {R"({"version":2,"Q4_1":["a"]})", "is not of version 1"},
      {R"({"version":1,"Q2_K":["a"]})", "names no kind of blocks: Q2_K"},
      {R"({"version":1,"F32":["a"]})", "names no kind of blocks: F32"},
      {R"({"version":1,"Q4_1":"a"})", "has no list of tensors for Q4_1"},
      {R"({"version":1,"Q4_1":[1]})", "names a tensor that is no text"},
      {R"({"version":1,"Q4_1":["x"]})", "names x, which is absent"},
      {R"({"version":1,"Q4_1":["a","a"]})", "names a, which is of floats or named twice"},
      {R"({"version":1,"Q4_1":["b"]})", "names b, which is of floats or named twice"},
      {R"({"version":1,"Q8_0":["c"]})", "names c, which is no matrix of U8"},
      {R"({"version":1,"Q8_0":["a"]})",
       "says that a is Q8_0: rows of 40 bytes are not whole blocks of 34"},
      {R"({"version":1,"Q4_1":[["a"]]})", "names a tensor that is no text"},
      {R"({"version":1,"Q4_1":[[["a"]]]})", "is nested deeper than 3"}};
  for (const Row& row : rows) {
    CAPTURE(row.blocks);
    const auto header = header_of(row.blocks);
    REQUIRE_FALSE(header.ok());
    CHECK(header.error().code == Code::corrupt);
    CHECK(header.error().what == "safetensors header: __metadata__.kairo.blocks " + row.error +
                                     "; import the GGUF file again");
  }
}

TEST_CASE("what is stored is written and read back: wide types first, so that they lie aligned") {
  const test::TempFolder folder;
  const std::vector<float> norm = {1.5f, -2};
  std::vector<std::byte> q8(34, std::byte{2}), half(2);  // scale 514 x 2^-24, 32 times 2
  half[1] = std::byte{0x3c};                             // 1 of f16
  const std::vector<StoredToWrite> tensors = {
      {"a", {1, 32}, {Stored::q8_0, q8}},
      {"b", {1, 1}, {Stored::f16, half}},
      {"c", {2}, {Stored::f32, std::as_bytes(std::span(norm))}}};
  REQUIRE(write_stored(folder.path() + "/model.safetensors", tensors).ok());
  const auto file = TensorFile::open(folder.path() + "/model.safetensors").value();
  CHECK(file.find("c")->begin < file.find("b")->begin);
  CHECK(file.find("b")->begin < file.find("a")->begin);
  CHECK(file.header().metadata.at("kairo.blocks") == R"({"version":1,"Q8_0":["a"]})");
  const auto opened = TensorFolder::open(folder.path()).value();
  const std::array<std::int64_t, 2> wide = {1, 32}, bytes = {1, 34};
  std::vector<float> out(32);
  REQUIRE(opened.read("a", wide, out).ok());
  CHECK(out[31] == 514 * 0x1p-23f);
  CHECK(opened.stored("a").kind == Stored::q8_0);
  CHECK(opened.stored("a").bytes.size() == 34);
  CHECK(opened.view("a", wide).empty());
  CHECK(opened.check("a", bytes).error().what.find("a is [1, 32], config.json asks for [1, 34]") !=
        std::string::npos);
  CHECK(opened.matrices() == "Q8_0, F16");
}

TEST_CASE("f16 and bf16 widen exactly, subnormals and infinities included") {
  const test::TempFolder folder;
  struct Row {
    std::string name;
    std::uint16_t half;
    double f16, bf16;
  };
  const std::vector<Row> rows = {
      {"zero", 0x0000, 0.0, 0.0},
      {"one of f16", 0x3c00, 1.0, 0.0078125},
      {"minus two of f16", 0xc000, -2.0, -2.0},
      {"smallest subnormal", 0x0001, std::ldexp(1.0, -24), std::ldexp(1.0, -133)},
      {"largest subnormal", 0x03ff, std::ldexp(1023.0, -24), std::ldexp(255.0, -127)},
      {"largest f16", 0x7bff, 65504.0, std::ldexp(255.0, 113)},
      {"infinity of f16", 0x7c00, INFINITY, std::ldexp(1.0, 121)}};
  for (const auto& row : rows)
    for (const bool half : {true, false}) {
      CAPTURE(row.name);
      CAPTURE(half);
      std::string bytes = file_of(std::string(R"({"x":{"dtype":")") + (half ? "F16" : "BF16") +
                                      R"(","shape":[1],"data_offsets":[0,2]}})",
                                  0);
      bytes.append(reinterpret_cast<const char*>(&row.half), 2);
      REQUIRE(write_file(folder.path() + "/x.safetensors", bytes).ok());
      const auto file = TensorFile::open(folder.path() + "/x.safetensors");
      REQUIRE(file.ok());
      std::vector<float> out(1);
      REQUIRE(file.value().read(*file.value().find("x"), out).ok());
      const double want = half ? row.f16 : row.bf16;
      CHECK(static_cast<double>(out[0]) == want);
    }
}

TEST_CASE("shards: the index leads, and must tell the truth") {
  struct Row {
    std::string name, index;
    bool accepted;
    Code code;
  };
  const std::vector<Row> rows = {
      {"good", R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})", true,
       Code::invalid},
      {"shard absent", R"({"weight_map":{"a":"three.safetensors"}})", false, Code::not_found},
      {"tensor absent", R"({"weight_map":{"c":"one.safetensors"}})", false, Code::corrupt},
      {"outside the folder", R"({"weight_map":{"a":"../one.safetensors"}})", false, Code::corrupt},
      {"no map", R"({})", false, Code::corrupt},
      {"not JSON", "]", false, Code::corrupt}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const test::TempFolder folder;
    const std::vector<float> one = {1}, two = {2};
    const TensorToWrite a{"a", {1}, one}, b{"b", {1}, two};
    REQUIRE(write_tensors(folder.path() + "/one.safetensors", {&a, 1}).ok());
    REQUIRE(write_tensors(folder.path() + "/two.safetensors", {&b, 1}).ok());
    REQUIRE(write_file(folder.path() + "/model.safetensors.index.json", row.index).ok());
    const auto opened = TensorFolder::open(folder.path());
    CHECK(opened.ok() == row.accepted);
    if (!opened.ok()) CHECK(opened.error().code == row.code);
    if (opened.ok()) CHECK(opened.value().has("b"));
  }
}
}  // namespace kairo::gpu
