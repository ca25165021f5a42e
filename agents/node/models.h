// agents/node/models.h - the weights that runs ask for.
#pragma once
#include <string>

#include "schemas/base/result.h"

namespace kairo::node {
struct Wish {  // of a run: its preset's weights
  std::string uid, ns, name, revision, place, preset;
  std::string secret;  // Secret of its namespace with the key HF_TOKEN; "" = none
};
class Models {  // thread-safe
 public:
  virtual ~Models() = default;
  // Never waits. ok: they are here, or nobody can fetch them. pending: they are being fetched, or
  // will be again; until they are here RunDir facts tell how far that is.
  virtual Status want(const Wish& wish) = 0;
  // The Workspace wants none. A fetch that nobody waits for ends; what is here of it stays.
  virtual void forget(const std::string& uid) = 0;
};
}  // namespace kairo::node
