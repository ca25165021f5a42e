// gpu/engine/progress.cpp - JSON lines with the schema's names.
#include "gpu/engine/progress.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <utility>

#include "gpu/engine/machine.h"
#include "gpu/formats/files.h"
#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t file_bytes_max = 256 << 20, interval_ms = 200;

template <class T>
T number_of(const nlohmann::json& line, const char* key) {
  return line.contains(key) && line[key].is_number() ? line[key].get<T>() : T{};
}
// The last whole line; attempt 0: none.
wire::ProgressT last_line(const std::string& text) {
  std::size_t end = text.rfind('\n');
  while (end != std::string::npos && end > 0) {
    const std::size_t begin = text.rfind('\n', end - 1);
    const std::size_t from = begin == std::string::npos ? 0 : begin + 1;
    if (const auto line = parse_progress(std::string_view(text).substr(from, end - from)))
      return *line;
    end = begin;
  }
  return {};
}
// JSON has no infinities: a value that cannot be said is 0.
double finite(float value) {
  return std::isfinite(value) ? static_cast<double>(value) : 0.0;
}
}  // namespace

std::optional<wire::ProgressT> parse_progress(std::string_view text) {
  const auto parsed = parse_json_object(text);
  if (!parsed.ok()) return std::nullopt;
  const auto& l = parsed.value();
  wire::ProgressT out;
  out.attempt = number_of<std::uint32_t>(l, "attempt");
  if (out.attempt == 0) return std::nullopt;
  for (const auto phase : wire::EnumValuesRunPhase())
    if (l.value("phase", nlohmann::json()) == wire::EnumNameRunPhase(phase)) out.phase = phase;
  out.step = number_of<std::uint32_t>(l, "step");
  out.total_steps = number_of<std::uint32_t>(l, "total_steps");
  out.epoch = number_of<float>(l, "epoch");
  out.loss = number_of<float>(l, "loss");
  out.learning_rate = number_of<float>(l, "learning_rate");
  out.grad_norm = number_of<float>(l, "grad_norm");
  out.tokens = number_of<std::uint64_t>(l, "tokens");
  out.tokens_per_second = number_of<float>(l, "tokens_per_second");
  out.at_ms = number_of<std::int64_t>(l, "at_ms");
  out.resumed_from = number_of<std::uint32_t>(l, "resumed_from");
  out.rows = number_of<std::uint32_t>(l, "rows");
  out.held_out_rows = number_of<std::uint32_t>(l, "held_out_rows");
  out.dropped_rows = number_of<std::uint32_t>(l, "dropped_rows");
  out.truncated_rows = number_of<std::uint32_t>(l, "truncated_rows");
  out.eval_step = number_of<std::uint32_t>(l, "eval_step");
  out.eval_loss = number_of<float>(l, "eval_loss");
  out.best_step = number_of<std::uint32_t>(l, "best_step");
  out.best_eval_loss = number_of<float>(l, "best_eval_loss");
  if (l.contains("code") && l["code"].is_string()) out.code = l["code"].get<std::string>();
  if (l.contains("settings") && l["settings"].is_object()) out.settings = l["settings"].dump();
  return out;
}

std::string progress_json(const wire::ProgressT& p, const std::string& memory) {
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
  for (const auto& [key, count] : {std::pair{"rows", p.rows},
                                   {"held_out_rows", p.held_out_rows},
                                   {"dropped_rows", p.dropped_rows},
                                   {"truncated_rows", p.truncated_rows}})
    if (count > 0) line[key] = count;
  if (p.eval_loss > 0) {
    line["eval_step"] = p.eval_step;
    line["eval_loss"] = finite(p.eval_loss);
  }
  if (p.best_eval_loss > 0) {
    line["best_step"] = p.best_step;
    line["best_eval_loss"] = finite(p.best_eval_loss);
  }
  for (const auto& [key, words] : {std::pair{"device", &p.device},
                                   {"self_test", &p.self_test},
                                   {"gpu", &p.gpu},
                                   {"memory", &memory},
                                   {"code", &p.code},
                                   {"message", &p.message}})
    if (!words->empty()) line[key] = *words;
  if (auto settings = parse_json_object<nlohmann::ordered_json>(p.settings); settings.ok())
    line["settings"] = std::move(settings).value();
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ProgressFile::ProgressFile(ProgressFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      clock_(other.clock_),
      attempt_(other.attempt_),
      last_(other.last_),
      written_at_(other.written_at_),
      written_eval_loss_(other.written_eval_loss_),
      device_(std::move(other.device_)),
      self_test_(std::move(other.self_test_)),
      gpu_(std::move(other.gpu_)),
      memory_(std::move(other.memory_)),
      settings_(std::move(other.settings_)),
      hear_(std::move(other.hear_)) {}
ProgressFile::~ProgressFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ProgressFile> ProgressFile::open(const std::string& dir, const Clock& clock) {
  TRY(make_folders(dir));
  const std::string path = dir + "/progress.jsonl";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return write_error("open", path, errno);
  ProgressFile file(fd, clock);
  // A file system without locks (some network ones) is no reason to refuse.
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return Error{Code::conflict, path +
                                     ": another kairo-tune runs with this state folder: wait "
                                     "for its end, or give another --state"};
  const auto old = read_file(path, file_bytes_max);
  const std::string text = old.ok() ? old.value() : "";
  file.last_ = last_line(text);
  file.attempt_ = file.last_.attempt + 1;
  file.last_.resumed_from = 0;
  file.last_.code = file.last_.settings = "";
  if (!text.empty() && text.back() != '\n') TRY(file.append("\n"));
  return file;
}

void ProgressFile::say_device(std::string name, std::string self_test, std::string gpu) {
  device_ = std::move(name);
  self_test_ = std::move(self_test);
  gpu_ = std::move(gpu);
}

Status ProgressFile::write(wire::ProgressT line) {
  const std::int64_t now = clock_.monotonic_ms();
  const bool edge = line.phase != wire::RunPhase::Training || line.step <= 1 ||
                    line.step == line.total_steps || written_at_ < 0 ||
                    line.eval_loss != written_eval_loss_;
  if (!edge && now - written_at_ < interval_ms) return ok();
  written_at_ = now;
  written_eval_loss_ = line.eval_loss;
  line.at_ms = clock_.now_ms();
  line.attempt = attempt_;
  line.rss_bytes = static_cast<std::uint64_t>(resident_bytes());
  line.device = device_;
  line.self_test = self_test_;
  line.gpu = gpu_;
  if (line.phase == wire::RunPhase::Training) line.settings = std::exchange(settings_, "");
  TRY(append(progress_json(line, memory_) + "\n"));
  if (hear_) hear_(line);
  return ok();
}

// One write: a reader sees a whole line or a torn tail, never a mix.
Status ProgressFile::append(const std::string& text) {
  const ssize_t written = ::write(fd_, text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return ok();
  return write_error("write", "progress.jsonl", written < 0 ? errno : ENOSPC);
}
}  // namespace kairo::gpu
