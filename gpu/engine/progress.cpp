// gpu/engine/progress.cpp - JSON lines with the schema's names.
#include "gpu/engine/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "gpu/engine/machine.h"
#include "gpu/formats/files.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t file_bytes_max = 256 << 20, interval_ms = 200;

// The attempt of the last whole line; 0: none.
std::uint32_t last_attempt(const std::string& text) {
  std::size_t end = text.rfind('\n');
  while (end != std::string::npos && end > 0) {
    const std::size_t begin = text.rfind('\n', end - 1);
    const std::size_t from = begin == std::string::npos ? 0 : begin + 1;
    const auto line = nlohmann::json::parse(text.substr(from, end - from), nullptr, false);
    if (line.is_object() && line.contains("attempt") && line["attempt"].is_number_unsigned())
      return line["attempt"].get<std::uint32_t>();
    end = begin;
  }
  return 0;
}
// JSON has no infinities: a value that cannot be said is 0.
double finite(float value) {
  return std::isfinite(value) ? static_cast<double>(value) : 0.0;
}
}  // namespace

std::string progress_json(const wire::ProgressT& p) {
  nlohmann::ordered_json line = {{"phase", wire::EnumNameRunPhase(p.phase)},
                                 {"step", p.step},
                                 {"total_steps", p.total_steps},
                                 {"epoch", finite(p.epoch)},
                                 {"loss", finite(p.loss)},
                                 {"learning_rate", finite(p.learning_rate)},
                                 {"grad_norm", finite(p.grad_norm)},
                                 {"tokens", p.tokens},
                                 {"tokens_per_second", finite(p.tokens_per_second)},
                                 {"eta_ms", p.eta_ms},
                                 {"rss_bytes", p.rss_bytes},
                                 {"at_ms", p.at_ms},
                                 {"attempt", p.attempt},
                                 {"resumed_from", p.resumed_from}};
  if (!p.code.empty()) line["code"] = p.code;
  if (!p.message.empty()) line["message"] = p.message;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ProgressFile::ProgressFile(int fd, const Clock& clock, std::uint32_t attempt)
    : fd_(fd), clock_(clock), attempt_(attempt) {}
ProgressFile::ProgressFile(ProgressFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      clock_(other.clock_),
      attempt_(other.attempt_),
      written_at_(other.written_at_) {}
ProgressFile::~ProgressFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ProgressFile> ProgressFile::open(const std::string& dir, const Clock& clock) {
  TRY(make_folders(dir));
  const std::string path = dir + "/progress.jsonl";
  const auto old = read_file(path, file_bytes_max);
  const std::string text = old.ok() ? old.value() : "";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return write_error("open", path, errno);
  ProgressFile file(fd, clock, last_attempt(text) + 1);
  if (!text.empty() && text.back() != '\n' && ::write(fd, "\n", 1) != 1)
    return write_error("write", path, errno);
  return file;
}

Status ProgressFile::write(wire::ProgressT line) {
  const std::int64_t now = clock_.monotonic_ms();
  const bool edge = line.phase != wire::RunPhase::Training || line.step <= 1 ||
                    line.step == line.total_steps || written_at_ < 0;
  if (!edge && now - written_at_ < interval_ms) return ok();
  written_at_ = now;
  line.at_ms = clock_.now_ms();
  line.attempt = attempt_;
  line.rss_bytes = static_cast<std::uint64_t>(resident_bytes());
  const std::string text = progress_json(line) + "\n";
  // One write: a reader sees a whole line or a torn tail, never a mix.
  if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return write_error("write", "progress.jsonl", errno);
  return ok();
}
}  // namespace kairo::gpu
