// gpu/serve/fields.h - typed fields of a JSON object; an error names field, value and remedy.
// Private to serve/.
#pragma once
#include <optional>
#include <string>

#include "gpu/formats/json.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
Error bad(const std::string& field, const std::string& why);
std::string shown(const nlohmann::json& value);                 // at most 60 characters
bool is_absent(const nlohmann::json& object, const char* key);  // or null

// Fields of one object: the first wrong one is kept; the rest then read as absent.
class Fields {
 public:
  explicit Fields(const nlohmann::json& object, std::string path = {})
      : object_(object), path_(std::move(path)) {}
  void number(const char* key, float& out, double low, double high);
  void integer(const char* key, int& out, int low, int high);
  void flag(const char* key, bool& out);
  void text(const char* key, std::string& out);
  // A feature that we lack: only the value that means "without it" passes.
  void only(const char* key, const nlohmann::json& neutral);
  void wrong(const std::string& key, const std::string& why);
  Status status() const { return error_ ? Status(*error_) : ok(); }

 private:
  const nlohmann::json& object_;
  const std::string path_;
  std::optional<Error> error_;
};
}  // namespace kairo::gpu
