// schemas/yaml/yaml.h - YAML text as typed values, read as its users' own reader reads it. Pure.
//
// Sources: YAML 1.1 with its type repository (yaml.org/type); go-yaml v2 as sigs.k8s.io/yaml 1.4
// and kubectl 1.32 use it; PyYAML 6 (SafeLoader). Errors are `invalid` and read
// "NAME:LINE:COLUMN: why".
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::yaml {
enum class Dialect : std::uint8_t {
  kubectl,  // manifests: y/n/yes/no/on/off, 0o17, 1e3, 08 = 8; text that begins with { is JSON
  pyyaml,   // yaml.safe_load: yes/no/on/off, 1:30 = 90; 1e3 and y are text; one document
};
struct Limits {  // aliases count each time that they are named
  std::size_t bytes = 3 << 20;
  int depth = 64;
  int values = 100'000;
};
struct Entry;
struct Value {
  enum class Kind : std::uint8_t { null, boolean, integer, real, text, time, list, map };
  Kind kind = Kind::null;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;             // of an integer too
  std::string text;            // a text's characters; of other scalars how they are written
  std::vector<Value> items;    // of a list
  std::vector<Entry> entries;  // of a map, in their order; no key stands twice
  int line = 0, column = 0;    // where it begins, from 1
  const Value* find(std::string_view key) const;  // of a map; null: not there
};
struct Entry {
  std::string key;  // of a key that is no text (yes, 1.5): as the dialect's own reader names it
  int line = 0, column = 0;
  Value value;
};
// Every document; empty ones are left out. Merge keys are merged, aliases are copies. Refused
// besides what is not YAML: a key that stands twice, bytes that are no text, whole numbers beyond
// 64 bits (pyyaml), .inf and .nan (kubectl: JSON has none), a second document (pyyaml).
Result<std::vector<Value>> read(std::string_view text, const std::string& name, Dialect dialect,
                                const Limits& limits = {});
std::string to_json(const Value& value);  // as Go writes it: 1e3 is 1000; .inf (pyyaml) null
}  // namespace kairo::yaml
