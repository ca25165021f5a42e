// agents/node/adapters.h - adapters that come and go while the server of a run answers.
#pragma once
#include <string>

#include "schemas/base/result.h"
#include "schemas/command_generated.h"

namespace kairo::node {
class Adapters {  // thread-safe
 public:
  virtual ~Adapters() = default;
  // From now on the run's server is to have these. Kept with the run: a new process goes on by it.
  // Serving facts tell what becomes of it.
  virtual Status want(const wire::CommandT& command, const wire::ServeAdaptersT& wish) = 0;
};
}  // namespace kairo::node
