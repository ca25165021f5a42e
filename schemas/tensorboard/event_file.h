// schemas/tensorboard/event_file.h - the records of TensorBoard's event files. Pure.
//
// A file is records one after the other; each is an Event of TensorFlow's event.proto, framed as
// tfrecord (length, bytes and the CRC-32C of both). The numbers below are theirs. What is written
// is what TensorBoard 2.21 reads back in tests/e2e/tensorboard.sh.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kairo::tensorboard {
using Setting = std::pair<std::string, std::variant<double, std::string, bool>>;
struct Scalar {
  std::string_view tag;
  float value = 0;
};
// Castagnoli's polynomial, as tfrecord has it before it is masked.
std::uint32_t crc32c(std::string_view bytes);
// "events.out.tfevents.<begin in seconds, ten digits>.kairo.<attempt>": readers take a folder's
// files in the order of their names.
std::string file_name(std::int64_t begin_s, std::uint32_t attempt);
bool is_own_file(std::string_view name);
// The record that every file begins with.
std::string first_record(std::int64_t at_ms);
// One record; step >= 0.
std::string scalars_record(std::int64_t at_ms, std::int64_t step,
                           const std::vector<Scalar>& scalars);
// Of the hparams plugin: what a run was begun with, and that it is over.
std::string start_record(std::int64_t at_ms, const std::vector<Setting>& settings);
std::string end_record(std::int64_t at_ms, bool has_succeeded);
}  // namespace kairo::tensorboard
