// schemas/base/log.cpp - the only file that knows spdlog.
#include "schemas/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

namespace kairo::log {
namespace {
std::string line(std::string_view what, std::initializer_list<Field> fields) {
  std::string text(what);
  for (const auto& [key, value] : fields) {
    text.append(" ").append(key).append("=");
    const bool quote = value.empty() || value.find_first_of(" \"\n\t=") != std::string::npos;
    if (!quote) {
      text.append(value);
      continue;
    }
    text.push_back('"');
    for (const char c : value) {
      if (c == '\n') {
        text.append("\\n");
        continue;
      }
      if (c == '"') text.push_back('\\');
      text.push_back(c);
    }
    text.push_back('"');
  }
  return text;
}
}  // namespace
void start(const std::string& program, const std::string& given) {
  auto logger = spdlog::stderr_color_mt(program);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %n: %v", spdlog::pattern_time_type::utc);
  const char* level = given.c_str();
  if (given.empty()) level = std::getenv("KAIRO_LOG");  // NOLINT(concurrency-mt-unsafe): no thread
  logger->set_level(spdlog::level::from_str(level != nullptr ? level : "info"));
  spdlog::set_default_logger(std::move(logger));
}
void debug(std::string_view what, std::initializer_list<Field> fields) {
  if (spdlog::should_log(spdlog::level::debug)) spdlog::debug("{}", line(what, fields));
}
void info(std::string_view what, std::initializer_list<Field> fields) {
  spdlog::info("{}", line(what, fields));
}
void warn(std::string_view what, std::initializer_list<Field> fields) {
  spdlog::warn("{}", line(what, fields));
}
void error(std::string_view what, std::initializer_list<Field> fields) {
  spdlog::error("{}", line(what, fields));
}
}  // namespace kairo::log
