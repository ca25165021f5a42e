// What this proves: digests, base64, times and the codec do what their contracts say, and hostile
// bytes are refused, not believed.
#include <doctest/doctest.h>

#include "schemas/base/base64.h"
#include "schemas/base/bytes.h"
#include "schemas/base/clock.h"
#include "schemas/base/codec.h"
#include "schemas/base/digest.h"
#include "tests/support/facts.h"

using namespace kairo;

TEST_CASE("digest: FIPS 180-4 vectors, and names that fit Kubernetes") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 parts;
  parts.update("a");
  parts.update("bc");
  CHECK(parts.hex() == sha256_hex("abc"));
  CHECK(short_name("abc", 11).size() == 11);
  CHECK(short_name("abc", 11) != short_name("abd", 11));
  for (int i = 0; i < 200; ++i) {
    const char first = short_name(std::to_string(i), 5)[0];
    CHECK((first >= 'a' && first <= 'z'));
  }
}
TEST_CASE("base64: RFC 4648 vectors, wrapped and unpadded input, bad characters") {
  const std::pair<std::string, std::string> rows[] = {
      {"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
      {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {std::string("\0\xff", 2), "AP8="}};
  for (const auto& [plain, coded] : rows) {
    CHECK(base64_encode(plain) == coded);
    CHECK(base64_decode(coded).value() == plain);
  }
  CHECK(base64_decode("Zm9v\nYmFy").value() == "foobar");
  CHECK(base64_decode("Zg").value() == "f");
  CHECK_FALSE(base64_decode("Zm9v*").ok());
}
TEST_CASE("clock: Kubernetes' text form, there and back") {
  CHECK(rfc3339(1764000000000) == "2025-11-24T16:00:00Z");
  CHECK(parse_rfc3339("2025-11-24T16:00:00Z") == 1764000000000);
  CHECK(parse_rfc3339("yesterday") == -1);
}
TEST_CASE("codec: round trip; truncated, foreign and flipped bytes are corrupt") {
  const auto record = test::record(test::tuning(3), test::ready(2), test::job(4));
  const std::string bytes = encode(record, wire::RecordIdentifier());
  CHECK(decode<wire::RecordT>(bytes, wire::RecordIdentifier()).value() == record);
  CHECK_FALSE(decode<wire::FactT>(bytes, wire::FactIdentifier()).ok());
  for (std::size_t n = 0; n + 8 < bytes.size(); n += 3)  // the last bytes may be padding
    CHECK_FALSE(decode<wire::RecordT>(bytes.substr(0, n), wire::RecordIdentifier()).ok());
  CHECK_FALSE(
      decode<wire::RecordT>(std::string(table_bytes_max + 1, 'x'), wire::RecordIdentifier()).ok());
  std::uint32_t dice = 1;
  for (int i = 0; i < 5000; ++i) {  // must not crash; what verifies may be read
    std::string hostile = bytes;
    for (int k = 0; k < 3; ++k) {
      dice = dice * 1664525 + 1013904223;
      hostile[dice % hostile.size()] = static_cast<char>(dice >> 24);
    }
    const auto read = decode<wire::RecordT>(hostile, wire::RecordIdentifier());
    if (read.ok()) CHECK(encode(read.value(), wire::RecordIdentifier()).size() > 0);
  }
}

TEST_CASE("a file's name in git") {
  CHECK(git_blob_id("") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  CHECK(git_blob_id("hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST_CASE("amounts of bytes, read and written") {
  struct Row {
    std::string text;
    std::optional<std::uint64_t> bytes;
  };
  for (const Row& row :
       {Row{"0", 0}, Row{"1024", 1024}, Row{"2GiB", 2ULL << 30}, Row{"2Gi", 2ULL << 30},
        Row{"2GB", 2'000'000'000}, Row{"2G", 2'000'000'000}, Row{"1.5 TiB", 1'649'267'441'664},
        Row{"3kB", 3000}, Row{"7B", 7}, Row{"", {}}, Row{"-1", {}}, Row{"x", {}}, Row{"1X", {}},
        Row{"1GiBs", {}}, Row{"nan", {}}, Row{"9e30", {}}}) {
    CAPTURE(row.text);
    CHECK(bytes_in(row.text) == row.bytes);
  }
  CHECK(bytes_in_words(2'890'000'000) == "2.9 GB");
  CHECK(bytes_in_words(269'060'552) == "269 MB");
  CHECK(bytes_in_words(12) == "0 kB");
  CHECK(bytes_of_bytes(1'200'000'000, 2'890'000'000) == "1.2 of 2.9 GB");
  CHECK(bytes_of_bytes(5'000'000, 2'890'000'000) == "0.0 of 2.9 GB");
  CHECK(bytes_of_bytes(5'000'000, 0) == "5 MB");
}
