// agents/cli/resource_words.cpp
#include "agents/cli/resource_words.h"

#include <sstream>

#include "agents/cli/printers.h"

namespace kairo::cli {
namespace {
constexpr const char* all = "workspaces,jobs,statefulsets,pods,services";

Result<cluster::Kind> need_kind(const std::string& word) {
  const auto kind = kind_named(word);
  if (kind) return *kind;
  return Error{Code::invalid, "the server doesn't have a resource type \"" + word +
                                  "\"; there are: " + kind_words()};
}
}  // namespace

Result<std::vector<Named>> resources_named(const std::string& kinds,
                                           const std::vector<std::string>& names) {
  std::vector<Named> out;
  const std::size_t slash = kinds.find('/');
  if (slash != std::string::npos) {
    if (!names.empty())
      return Error{Code::invalid,
                   "\"" + kinds + "\" has its name with it; leave out \"" + names.front() + "\""};
    out.push_back({TRY(need_kind(kinds.substr(0, slash))), kinds.substr(slash + 1)});
    return out;
  }
  std::istringstream words(kinds == "all" ? all : kinds);
  for (std::string word; std::getline(words, word, ',');) {
    const cluster::Kind kind = TRY(need_kind(word));
    for (const std::string& name : names) out.push_back({kind, name});
    if (names.empty()) out.push_back({kind, ""});
  }
  if (out.empty())
    return Error{Code::invalid,
                 "name what is meant, e.g. \"workspace my-tuning\"; there are: " + kind_words()};
  return out;
}
}  // namespace kairo::cli
