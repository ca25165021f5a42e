// agents/node/adapters_wanted.cpp - names -> tunings -> one command.
#include "agents/node/adapters_wanted.h"

#include "agents/runtime/decision.h"
#include "agents/runtime/tuned.h"

namespace kairo::node {
namespace {
constexpr const char* key = "adapters";
constexpr int serving_port = 5000;

// Where the server of this revision is reached from its node; "" = it has no address yet.
std::string address_of(const wire::RecordT& record) {
  const wire::ServerT* server = record.server.get();
  if (server == nullptr || !server->exists || server->revision != record.workspace->revision)
    return {};
  if (!server->address.empty()) return server->address;
  const wire::PodT* pod = record.pod.get();
  if (pod == nullptr || !pod->exists || pod->owner != server->uid || pod->ip.empty()) return {};
  const bool is_v6 = pod->ip.find(':') != std::string::npos;
  return (is_v6 ? "[" + pod->ip + "]" : pod->ip) + ":" + std::to_string(serving_port);
}
}  // namespace

void want_adapters(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view) {
  const wire::RunDirT* dir = runtime::of_node(record.run_dirs, view.self);
  if (dir == nullptr || !runtime::is_live(record) || !runtime::can_load_adapters(record)) return;
  const std::vector<std::string> names = runtime::named_tunings(*record.workspace);
  const std::string& asked = runtime::mark_of(record, key).value;
  const wire::ServingT* told = runtime::of_node(record.servings, view.self);
  const bool has_none = told == nullptr || told->adapters.empty();
  if (names.empty() && asked.empty() && has_none) return;
  wire::ServeAdaptersT body;
  body.run_dir = dir->path;
  body.address = address_of(record);
  if (body.address.empty()) return;
  std::string wish = dir->path + " " + std::to_string(dir->version) + " " + body.address;
  for (const std::string& name : names) {
    const runtime::Tuned tuned =
        runtime::tuned_for(record, name, view.named ? view.named(name) : nullptr);
    auto adapter = std::make_unique<wire::WantedAdapterT>();
    if (!runtime::is_to_be_served(record, name, tuned, *adapter)) continue;
    wish += " " + name + "=" + adapter->digest + " " + adapter->image + adapter->folder + " " +
            adapter->secret;
    body.adapters.push_back(std::move(adapter));
  }
  runtime::ask(d, record, key, wish, record.workspace->revision, std::move(body));
}
}  // namespace kairo::node
