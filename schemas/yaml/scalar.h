// schemas/yaml/scalar.h - what a scalar means, by dialect. Private to yaml/.
#pragma once
#include "schemas/yaml/yaml.h"

namespace kairo::yaml {
struct Scalar {
  std::string text;
  std::string tag;        // "" none; else written out: tag:yaml.org,2002:int
  bool is_plain = false;  // neither quoted nor a block; pyyaml: or tagged "!"
};
// The value without its place. The error is a reason without one.
Result<Value> resolve(const Scalar& scalar, Dialect dialect);
Result<std::string> key_of(const Value& scalar, Dialect dialect);
std::string number_text(double real);  // as Go's encoding/json writes it
}  // namespace kairo::yaml
