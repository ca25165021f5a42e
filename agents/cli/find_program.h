// agents/cli/find_program.h - where a program of the system lies.
#pragma once
#include <string>

namespace kairo::cli {
// Its absolute path: in PATH, else in /usr/local/sbin or /usr/sbin, where Debian puts servers and
// where a user's PATH does not look. A name with a '/' is taken as it is. "": not installed.
std::string find_program(const std::string& name);
}  // namespace kairo::cli
