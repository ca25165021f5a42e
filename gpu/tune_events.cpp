// gpu/tune_events.cpp - reads what the run has said before, then appends.
#include "gpu/tune_events.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include "gpu/engine/progress.h"
#include "gpu/formats/files.h"
#include "schemas/base/log.h"
#include "schemas/tensorboard/event_file.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
constexpr std::int64_t file_bytes_max = 256 << 20;
}  // namespace

void EventFiles::take(const wire::ProgressT& line) {
  if (has_failed_) return;
  const Status done = has_begun_ ? append(log_.take(line)) : begin();
  has_begun_ = true;
  if (done.ok()) return;
  has_failed_ = true;
  log::warn("no event files for TensorBoard from here on; the training goes on",
            {{"why", done.error().what}});
}

Status EventFiles::begin() {
  std::ifstream in(progress_file_);
  std::vector<wire::ProgressT> lines;
  for (std::string text; std::getline(in, text);)
    if (auto line = parse_progress(text)) lines.push_back(std::move(*line));
  const auto files = tensorboard::files_of(log_, lines);
  TRY(make_folders(folder_));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    std::error_code failed;
    if (tensorboard::is_own_file(name) && !files.contains(name)) fs::remove(entry.path(), failed);
    if (failed) return write_error("remove", entry.path().string(), failed.value());
  }
  for (const auto& [name, bytes] : files) {
    const std::string path = folder_ + "/" + name;
    const auto there = read_file(path, file_bytes_max);
    if (!there.ok() || there.value() != bytes) TRY(write_file(path, bytes));
  }
  return ok();
}

Status EventFiles::append(const tensorboard::RunLog::Piece& piece) const {
  if (piece.bytes.empty()) return ok();
  const std::string path = folder_ + "/" + piece.file;
  std::ofstream out(path, std::ios::binary | std::ios::app);
  out.write(piece.bytes.data(), static_cast<std::streamsize>(piece.bytes.size()));
  out.close();
  if (!out)
    return Error{Code::unavailable, path + ": it cannot be written; is its disk full, or away?"};
  return ok();
}
}  // namespace kairo::gpu
