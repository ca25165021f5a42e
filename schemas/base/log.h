// schemas/base/log.h - one line per event on stderr: time, level, program, what, key=value pairs.
// Levels: error = page someone; warn = odd; info = changes; debug = off unless KAIRO_LOG=debug.
// Never log a secret: values are printed as they are.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace kairo::log {
using Field = std::pair<std::string_view, std::string>;
// Once, before the first line; the name starts each line. level "": $KAIRO_LOG, else info.
void start(const std::string& program, const std::string& level = "");
void debug(std::string_view what, std::initializer_list<Field> fields = {});
void info(std::string_view what, std::initializer_list<Field> fields = {});
void warn(std::string_view what, std::initializer_list<Field> fields = {});
void error(std::string_view what, std::initializer_list<Field> fields = {});
}  // namespace kairo::log
