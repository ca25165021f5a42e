// agents/provisioner/claims.h - what is asked for, and what of it is there: of each node a
// NodeClaim, or one NodePool for all. Pure.
#pragma once
#include <string>
#include <vector>

#include "agents/provisioner/terms.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
using Orders = std::vector<wire::OrderT>;       // by ordinal: of a model on several nodes several
Orders orders_of(const wire::RecordT& record);  // as said last; one at least
void put_orders(wire::ResourcesT& out, const Orders& orders);  // into the next word

// "ws" and nine hex digits, as KAITO's, for a NodeClaim (a provider makes it the name of a pool of
// machines: 12 characters at most); a NodePool's says whose it is. Another one for each attempt.
std::string claim_name(const wire::RecordT& record, std::uint32_t attempt, const Terms& terms,
                       std::size_t ordinal = 0);
// The next attempt of one, under a name that nothing else of it has.
void next(Orders& orders, std::size_t ordinal, const wire::RecordT& record, const Terms& terms);

using Claims = std::vector<const wire::NodeClaimT*>;
// That are there and stay, sorted by name.
Claims standing(const wire::RecordT& record, const std::string& kind);
// Of this name, whatever has become of it; null = none was ever seen.
const wire::NodeClaimT* claim_named(const wire::RecordT& record, const std::string& kind,
                                    const std::string& name);
const wire::NodeClaimT* claim_of_node(const wire::RecordT& record, const std::string& node);
// By ordinal what stands for each of `wanted` orders, null = nothing. One of which no order knows
// (KAITO's, or asked for by an agent that has lost its store) is taken over by one that has none.
// Orders behind the wanted ones (fewer nodes are needed by now) stay as long as theirs stands.
Claims take(Orders& orders, const wire::RecordT& record, const Terms& terms, std::size_t wanted);

// The key of a mark about one of several: "unready", "unready 1".
std::string key_of(const char* key, std::size_t ordinal);
// By which marks about a claim are told apart while it is there.
std::size_t ordinal_of(const wire::RecordT& record, const wire::NodeClaimT& claim,
                       const Terms& terms);
}  // namespace kairo::provisioner
