// agents/gateway/chat_route.h - which server answers for a model, or what must be there first.
// Pure.
#pragma once
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "agents/gateway/answer.h"
#include "agents/gateway/job_objects.h"

namespace kairo::gateway {
using Workspaces = std::map<std::string, Json>;  // by name, all of the gateway's namespace

struct Served {                          // ask it there
  std::string workspace, address, name;  // name: of the model in that server
};
struct Awaited {  // it is on its way
  std::string workspace, why;
};
struct Wanted {  // nobody serves it: this Workspace would
  std::string preset;
  std::vector<std::string> job_ids;
  bool by_image = false;  // of its spec's adapters: not kairo's own server, it is made anew
};
struct Unknown {};
using Route = std::variant<Served, Awaited, Wanted, Unknown>;
// model: a preset by any of its names, a fine-tuned model's name (its last checkpoint's too), or
// the name of an adapter in one of the inference Workspaces. in_cluster: servers are reached by
// their Service's name.
Route route_of(const std::string& model, const Workspaces& workspaces, bool in_cluster);
// The models that one may ask for, by name: when each was made and whose it is.
std::vector<Json> models_of(const Workspaces& workspaces);
// With the server's name of the model replaced by the one that the client knows, in a whole answer
// or in whole lines of a stream: where a value is "name" of the key "model".
std::string renamed(std::string text, const std::string& there, const std::string& here);
}  // namespace kairo::gateway
