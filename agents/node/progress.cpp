// agents/node/progress.cpp - newest line first.
#include "agents/node/progress.h"

#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace kairo::node {
namespace {
using Json = nlohmann::json;
constexpr std::size_t settings_bytes_max = 4096;

template <class N>
N number(const Json& line, const char* key, N otherwise = 0) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<N>() : otherwise;
}
std::string text(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_string()) return {};
  std::string out = found->get<std::string>();
  std::size_t end = std::min<std::size_t>(out.size(), 4096);
  while (end > 0 && end < out.size() && (out[end] & 0xc0) == 0x80) --end;  // between characters
  return out.substr(0, end);
}
// An object without objects in it, which nobody has to write by recursion; "" = there is none.
std::string flat(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_object()) return {};
  for (const Json& value : *found)
    if (value.is_structured()) return {};
  std::string out = found->dump(-1, ' ', false, Json::error_handler_t::replace);
  return out.size() <= settings_bytes_max ? out : std::string();
}
std::optional<wire::ProgressT> read(std::string_view raw) {
  const Json line = Json::parse(raw, nullptr, false);
  if (!line.is_object()) return std::nullopt;
  wire::ProgressT out;
  const std::string phase = text(line, "phase");
  bool known = false;
  for (const wire::RunPhase p : wire::EnumValuesRunPhase())
    if (phase == wire::EnumNameRunPhase(p)) {
      out.phase = p;
      known = true;
    }
  if (!known) return std::nullopt;
  out.step = number<std::uint32_t>(line, "step");
  out.total_steps = number<std::uint32_t>(line, "total_steps");
  out.epoch = number<float>(line, "epoch");
  out.loss = number<float>(line, "loss");
  out.learning_rate = number<float>(line, "learning_rate");
  out.grad_norm = number<float>(line, "grad_norm");
  out.tokens = number<std::uint64_t>(line, "tokens");
  out.tokens_per_second = number<float>(line, "tokens_per_second");
  out.eta_ms = number<std::int64_t>(line, "eta_ms", -1);
  out.rss_bytes = number<std::uint64_t>(line, "rss_bytes");
  out.at_ms = number<std::int64_t>(line, "at_ms");
  out.attempt = number<std::uint32_t>(line, "attempt");
  out.resumed_from = number<std::uint32_t>(line, "resumed_from");
  out.rows = number<std::uint32_t>(line, "rows");
  out.held_out_rows = number<std::uint32_t>(line, "held_out_rows");
  out.dropped_rows = number<std::uint32_t>(line, "dropped_rows");
  out.truncated_rows = number<std::uint32_t>(line, "truncated_rows");
  out.eval_step = number<std::uint32_t>(line, "eval_step");
  out.eval_loss = number<float>(line, "eval_loss");
  out.best_step = number<std::uint32_t>(line, "best_step");
  out.best_eval_loss = number<float>(line, "best_eval_loss");
  out.device = text(line, "device");
  out.self_test = text(line, "self_test");
  out.gpu = text(line, "gpu");
  out.code = text(line, "code");
  out.message = text(line, "message");
  out.settings = flat(line, "settings");
  return out;
}
}  // namespace

std::optional<wire::ProgressT> last_progress(std::string_view text) {
  std::size_t end = text.rfind('\n');
  while (end != std::string_view::npos) {
    const std::size_t begin = end == 0 ? std::string_view::npos : text.rfind('\n', end - 1);
    const std::size_t from = begin == std::string_view::npos ? 0 : begin + 1;
    if (auto progress = read(text.substr(from, end - from))) return progress;
    end = begin;
  }
  return std::nullopt;
}

std::string stamp_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return {};
  return std::to_string(s.st_ino) + " " + std::to_string(s.st_size) + " " +
         std::to_string(s.st_mtim.tv_sec) + "." + std::to_string(s.st_mtim.tv_nsec);
}
std::string tail_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return {};
  const auto size = static_cast<std::int64_t>(in.tellg());
  const std::int64_t from = std::max<std::int64_t>(size - 64 * 1024, 0);
  in.seekg(from);
  std::string out(static_cast<std::size_t>(size - from), '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  return out;
}
}  // namespace kairo::node
