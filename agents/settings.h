// agents/settings.h - what a process of kairo can be told, and by whom: one table, from which come
// its flags, environment variables, keys of the file, help, start line and docs/configuration.md.
// Pure: the rim reads arguments, environment and file.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schemas/base/result.h"

namespace kairo {
struct Setting {
  const char* name;  // the key in the file; as a flag --name
  const char* variable;
  const char* otherwise;  // what holds when nobody says anything, in words
  const char* text;
  // What would do, when this value does not; "" = it does.
  std::string (*remedy)(const std::string& value) = nullptr;
  bool is_secret = false;  // never printed, and no flag: all see a process' arguments
};
const std::vector<Setting>& settings();

enum class Source : std::uint8_t { nobody, file, environment, flag };  // the later counts
class Settled {
 public:
  const std::string& operator[](const std::string& name) const;  // "" = nobody said anything
  Source source(const std::string& name) const;
  std::string where(const std::string& name) const;  // "flag --mode", "KAIRO_MODE", "k.yaml:3"
  // Those that somebody set, each with where; a secret as <hidden>.
  std::vector<std::pair<std::string, std::string>> spoken() const;
  // "mode is \"x\" (flag --mode); use a, b": what is wrong with a value, for whom it came from.
  Error wrong(const std::string& name, const std::string& remedy) const;

 private:
  friend struct Settling;
  struct Given {
    std::string value, where;
    Source source = Source::nobody;
  };
  std::map<std::string, Given> given_;
};
struct SettingsFile {
  std::string path, text;  // YAML: one flat map of names and values
};
// flags: by name; a name that is not there was not given. An empty value is as none. invalid: a
// value that does not do, a key of the file that is no setting (its nearest is named).
Result<Settled> settle(const std::map<std::string, std::string>& flags,
                       const std::function<std::string(const std::string&)>& env,
                       const std::optional<SettingsFile>& file);
std::string settings_table();  // in Markdown, for the docs
}  // namespace kairo
