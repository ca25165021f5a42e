// agents/gateway/keys.cpp - the keys' file.
#include "agents/gateway/keys.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "schemas/base/digest.h"

namespace kairo::gateway {
namespace {
constexpr std::size_t key_length_min = 16, owner_length = 12;
}

Result<Keys> Keys::parse(const std::string& text) {
  Keys out;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string where = "openai-keys-file line " + std::to_string(number) + ": ";
    std::istringstream words(line);
    std::string key, owner, extra;
    if (!(words >> key) || key.starts_with('#')) continue;
    words >> owner;
    if (words >> extra)
      return Error{Code::invalid, where + "want a key, and one word: whose it is"};
    if (key.size() < key_length_min)
      return Error{Code::invalid, where + "the key is shorter than 16 characters"};
    const std::string digest = sha256_hex(key);
    if (owner.empty()) owner = "key-" + digest.substr(0, owner_length);
    if (!out.owners_.emplace(digest, owner).second)
      return Error{Code::invalid, where + "the key stands twice"};
  }
  if (out.owners_.empty()) return Error{Code::invalid, "openai-keys-file: there is no key in it"};
  return out;
}
Result<Keys> Keys::load(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0)
    return Error{Code::invalid, "openai-keys-file " + path + " cannot be read"};
  if ((info.st_mode & S_IRWXO) != 0)
    return Error{Code::invalid, "openai-keys-file " + path + ": others may read it; chmod 600 it"};
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return parse(text.str());
}
bool Keys::may(const std::string& authorization, std::string& owner) const {
  if (owners_.empty()) return true;
  const std::string scheme = "Bearer ";
  if (!authorization.starts_with(scheme)) return false;
  const auto found = owners_.find(sha256_hex(authorization.substr(scheme.size())));
  if (found == owners_.end()) return false;
  owner = found->second;
  return true;
}
}  // namespace kairo::gateway
