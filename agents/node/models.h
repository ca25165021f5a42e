// agents/node/models.h - the weights that runs ask for.
#pragma once
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::node {
struct Wish {  // of a run: its preset's weights
  std::string uid, ns, name, revision, place, preset;
  std::string secret;  // Secret of its namespace with the key HF_TOKEN; "" = none
  std::string image;   // with the weights, instead of the preset's own sources; "" = none
  std::vector<std::string> pull_secrets;  // Secrets of its namespace to pull it
};
// The models folder's entry: the preset's, or one of that preset's from that image.
std::string entry_of(const std::string& preset, const std::string& image);
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
