// What this proves: event files are TensorBoard's to the byte, one for each attempt, and no step
// stands in two of them, whatever was killed, resumed or done already.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "schemas/tensorboard/event_file.h"
#include "schemas/tensorboard/run_log.h"

namespace kairo::tensorboard {
namespace {
std::string hex(const std::string& bytes) {
  static const char* digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<std::uint8_t>(c) >> 4];
    out += digits[static_cast<std::uint8_t>(c) & 15];
  }
  return out;
}
// The events of a file, as far as frames go: length, checksum, bytes, checksum.
std::vector<std::string> events_in(const std::string& file) {
  std::vector<std::string> out;
  const auto number = [&](std::size_t at, int bytes) {
    std::uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i)
      value = value << 8 | static_cast<std::uint8_t>(file[at + static_cast<std::size_t>(i)]);
    return value;
  };
  const auto masked = [](std::string_view data) {
    const std::uint32_t crc = crc32c(data);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
  };
  std::size_t at = 0;
  while (at < file.size()) {
    REQUIRE(at + 12 <= file.size());
    const std::size_t size = number(at, 8);
    CHECK(number(at + 8, 4) == masked(std::string_view(file).substr(at, 8)));
    REQUIRE(at + 16 + size <= file.size());
    out.push_back(file.substr(at + 12, size));
    CHECK(number(at + 12 + size, 4) == masked(out.back()));
    at += 16 + size;
  }
  return out;
}
bool has(const std::string& event, std::string_view word) {
  return event.find(word) != std::string::npos;
}
wire::ProgressT line(std::uint32_t attempt, wire::RunPhase phase, std::uint32_t step = 0,
                     std::uint32_t from = 0) {
  wire::ProgressT out;
  out.attempt = attempt;
  out.phase = phase;
  out.step = step;
  out.resumed_from = from;
  out.loss = 1.0F / static_cast<float>(step + 1);
  out.at_ms = 1'764'000'000'000 + attempt * 60'000 + step * 1'000;
  return out;
}
using wire::RunPhase;
constexpr const char* first = "events.out.tfevents.1764000061.kairo.1";
constexpr const char* second = "events.out.tfevents.1764000127.kairo.2";
std::vector<wire::ProgressT> killed_and_resumed() {
  std::vector<wire::ProgressT> lines = {line(1, RunPhase::Starting), line(1, RunPhase::Training)};
  lines.back().settings = R"({"r":8,"method":"lora","use_rslora":true,"odd":[1]})";
  for (std::uint32_t step = 1; step <= 6; ++step)
    lines.push_back(line(1, RunPhase::Training, step));
  lines[4].eval_step = 3;
  lines[4].eval_loss = 0.5F;
  lines.push_back(line(2, RunPhase::Starting));
  for (std::uint32_t step = 4; step <= 8; ++step)
    lines.push_back(line(2, RunPhase::Training, step, 4));
  lines.push_back(line(1, RunPhase::Training, 9));  // late
  lines.push_back(line(2, RunPhase::Done, 8, 4));
  lines.push_back(line(3, RunPhase::Starting));
  lines.push_back(line(3, RunPhase::Done, 8));
  return lines;
}
}  // namespace

TEST_CASE("the checksum is Castagnoli's: the vectors of RFC 3720, B.4") {
  CHECK(crc32c("123456789") == 0xe3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aaU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43U);
}
TEST_CASE("records, byte for byte") {
  CHECK(hex(first_record(1'764'000'000'500)) ==
        "1800000000000000a37f4b22"                          // 24 bytes
        "09000020402049da411a0d627261696e2e4576656e743a32"  // wall_time, file_version
        "835d4826");
  const auto scalar = events_in(scalars_record(1'000, 300, {{"train/loss", 0.5F}}));
  REQUIRE(scalar.size() == 1);
  CHECK(hex(scalar[0]) ==
        "09000000000000f03f"                            // wall_time 1.0
        "10ac02"                                        // step 300
        "2a130a110a0a747261696e2f6c6f7373150000003f");  // summary: the tag, 0.5
  const auto end = events_in(end_record(1'000, true));
  REQUIRE(end.size() == 1);
  CHECK(has(end[0], "_hparams_/session_end_info"));
  CHECK(has(hex(end[0]), "0a0768706172616d73120d220b080111000000000000f03f"));  // 4: SUCCESS, 1.0 s
}
TEST_CASE("a name that sorts, and is known again") {
  CHECK(file_name(1'764'000'001, 12) == "events.out.tfevents.1764000001.kairo.12");
  CHECK(file_name(5, 1) == "events.out.tfevents.0000000005.kairo.1");
  CHECK(is_own_file("events.out.tfevents.1764000001.kairo.12"));
  CHECK_FALSE(is_own_file("events.out.tfevents.1764000001.host.12"));
}
TEST_CASE("one file for each attempt, no step twice") {
  RunLog log;
  const auto files = files_of(log, killed_and_resumed());
  REQUIRE(files.size() == 2);
  REQUIRE(files.contains(first));
  REQUIRE(files.contains(second));
  const auto one = events_in(files.at(first)), two = events_in(files.at(second));
  REQUIRE(one.size() == 2 + 6 + 1);  // head, start, six steps, an evaluation
  REQUIRE(two.size() == 2 + 2 + 1);  // head, start, steps 7 and 8, the end
  CHECK(has(one[0], "brain.Event:2"));
  CHECK(has(one[1], "_hparams_/session_start_info"));
  for (const char* setting : {"method", "lora", "use_rslora"}) CHECK(has(one[1], setting));
  CHECK_FALSE(has(one[1], "odd"));
  CHECK(has(two[1], "use_rslora"));  // each file stands for itself
  CHECK(std::count_if(one.begin(), one.end(), [](const auto& e) { return has(e, "train/loss"); }) ==
        6);
  CHECK(std::count_if(one.begin(), one.end(), [](const auto& e) { return has(e, "eval/loss"); }) ==
        1);
  CHECK(has(two[2], std::string("\x10\x07\x2a", 3)));  // step 7
  CHECK(has(two[3], std::string("\x10\x08\x2a", 3)));
  CHECK(has(two[4], "_hparams_/session_end_info"));
}
TEST_CASE("piece by piece it is the same, and nothing else is said") {
  RunLog log, whole;
  std::map<std::string, std::string> files;
  for (const auto& l : killed_and_resumed())
    if (const auto piece = log.take(l); !piece.bytes.empty()) files[piece.file] += piece.bytes;
  CHECK(files == files_of(whole, killed_and_resumed()));
}
TEST_CASE("a loss that is no number, a clock set back, a failure") {
  RunLog log;
  auto bad = line(1, RunPhase::Training, 1);
  bad.loss = std::numeric_limits<float>::infinity();
  CHECK(log.take(bad).bytes.empty());
  CHECK(log.take(line(1, RunPhase::Training, 2)).file == "events.out.tfevents.1764000062.kairo.1");
  auto broken = line(1, RunPhase::Failed, 2);
  broken.code = "disk_full";  // it is started again
  CHECK(log.take(broken).bytes.empty());
  auto early = line(2, RunPhase::Training, 3);
  early.at_ms = 5'000;
  CHECK(log.take(early).file == "events.out.tfevents.1764000063.kairo.2");  // after the first
  auto final = line(2, RunPhase::Failed, 3);
  final.code = "bad_data";
  CHECK(has(log.take(final).bytes, "_hparams_/session_end_info"));
  CHECK(log.take(final).bytes.empty());
  CHECK(log.take(wire::ProgressT{}).bytes.empty());
}
}  // namespace kairo::tensorboard
