// agents/node/adapter_steps.h - what a server has, what it is to have, what to ask of it. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "schemas/command_generated.h"
#include "schemas/fact_generated.h"

namespace kairo::node {
struct ServedName {
  std::string name, digest;  // digest: of a tuned adapter that was loaded here; "" = of another
};
// Of the reply to GET /v1/models. nullopt: it is none. At most 1,000 count.
std::optional<std::vector<ServedName>> served_in(const std::string& reply);
// The folder of a revision, below the run's adapters: "pip@<64 hex>"; "" = it has no such digest.
std::string folder_of(const std::string& name, const std::string& digest);
std::string digest_in(const std::string& folder, const std::string& name);  // "" = no folder of it

// Loaded here once, and wanted no more.
std::vector<std::string> to_unload(const std::vector<ServedName>& served,
                                   const wire::ServeAdaptersT& wish);
const ServedName* find(const std::vector<ServedName>& served, const std::string& name);

// What is told of one adapter. served: null = the server has not answered. before: what was told
// last; null = nothing. trouble: of bringing or loading it; "" = none.
wire::ServedAdapterT told_of(const wire::WantedAdapterT& wanted,
                             const std::vector<ServedName>* served,
                             const wire::ServedAdapterT* before, const std::string& trouble,
                             std::int64_t now_ms);
// Of a server's reply to a load, or unload, that it refused.
std::string trouble_in(int status, const std::string& reply);
}  // namespace kairo::node
