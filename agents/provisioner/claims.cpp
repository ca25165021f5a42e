// agents/provisioner/claims.cpp - orders and claims meet by name.
#include "agents/provisioner/claims.h"

#include <algorithm>

#include "schemas/base/digest.h"

namespace kairo::provisioner {
namespace {
bool is_named(const Orders& orders, const std::string& claim) {
  return std::any_of(orders.begin(), orders.end(),
                     [&](const wire::OrderT& order) { return order.claim == claim; });
}
const wire::NodeClaimT* among(const Claims& claims, const std::string& name) {
  const auto at = std::find_if(claims.begin(), claims.end(),
                               [&](const auto* claim) { return claim->name == name; });
  return at == claims.end() ? nullptr : *at;
}
}  // namespace

Orders orders_of(const wire::RecordT& record) {
  Orders out(1);
  const wire::ResourcesT* said = record.resources.get();
  if (said == nullptr) return out;
  out.front().claim = said->claim;
  out.front().attempt = said->attempt;
  out.front().failures = said->failures;
  out.front().retry_at_ms = said->retry_at_ms;
  for (const auto& order : said->further) out.push_back(*order);
  return out;
}
void put_orders(wire::ResourcesT& out, const Orders& orders) {
  out.claim = orders.front().claim;
  out.attempt = orders.front().attempt;
  out.failures = orders.front().failures;
  out.retry_at_ms = orders.front().retry_at_ms;
  out.further.clear();
  for (std::size_t i = 1; i < orders.size(); ++i)
    out.further.push_back(std::make_unique<wire::OrderT>(orders[i]));
}

std::string claim_name(const wire::RecordT& record, std::uint32_t attempt, const Terms& terms,
                       std::size_t ordinal) {
  std::string what = record.uid + "/" + std::to_string(attempt);
  if (ordinal > 0) what += "/" + std::to_string(ordinal);
  const std::string hash = sha256_hex(what).substr(0, 9);
  if (terms.mode != Mode::karpenter) return "ws" + hash;
  std::string whose = (record.ns + "-" + record.name).substr(0, 53);
  for (char& c : whose)
    if (c == '.') c = '-';
  return whose + "-" + hash;
}
void next(Orders& orders, std::size_t ordinal, const wire::RecordT& record, const Terms& terms) {
  wire::OrderT& order = orders[ordinal];
  std::string name;
  do name = claim_name(record, ++order.attempt, terms, ordinal);
  while (is_named(orders, name));
  order.claim = name;
  order.retry_at_ms = 0;
}

Claims standing(const wire::RecordT& record, const std::string& kind) {
  Claims out;
  for (const auto& claim : record.claims)
    if (claim->kind == kind && claim->exists && !claim->deleting) out.push_back(claim.get());
  return out;
}
const wire::NodeClaimT* claim_named(const wire::RecordT& record, const std::string& kind,
                                    const std::string& name) {
  for (const auto& claim : record.claims)
    if (claim->kind == kind && claim->name == name) return claim.get();
  return nullptr;
}
const wire::NodeClaimT* claim_of_node(const wire::RecordT& record, const std::string& node) {
  for (const auto& claim : record.claims)
    if (claim->exists && claim->node == node) return claim.get();
  return nullptr;
}

Claims take(Orders& orders, const wire::RecordT& record, const Terms& terms, std::size_t wanted) {
  const Claims there = standing(record, asked_kind(terms).kind);
  const auto stands = [&](const auto& order) { return among(there, order.claim) != nullptr; };
  if (orders.size() > wanted) std::stable_partition(orders.begin(), orders.end(), stands);
  while (orders.size() > wanted && !stands(orders.back())) orders.pop_back();
  orders.resize(std::max(orders.size(), wanted));
  Claims unknown;
  for (const auto* claim : there)
    if (!is_named(orders, claim->name)) unknown.push_back(claim);
  Claims out(wanted);
  auto free = unknown.begin();
  for (std::size_t i = 0; i < wanted; ++i) {
    wire::OrderT& order = orders[i];
    out[i] = among(there, order.claim);
    if (out[i] == nullptr && free != unknown.end()) out[i] = *free++;
    if (out[i] == nullptr) continue;
    order.claim = out[i]->name;
    order.attempt = std::max(order.attempt, 1U);
    order.retry_at_ms = 0;
  }
  return out;
}

std::string key_of(const char* key, std::size_t ordinal) {
  return ordinal == 0 ? key : key + (" " + std::to_string(ordinal));
}
std::size_t ordinal_of(const wire::RecordT& record, const wire::NodeClaimT& claim,
                       const Terms& terms) {
  std::size_t out = 0;
  if (terms.mode == Mode::karpenter) {
    for (const auto& other : record.claims)
      if (other->kind == cluster::node_claims.kind && other->exists && other->name < claim.name)
        ++out;
    return out;
  }
  for (const wire::OrderT& order : orders_of(record)) {
    if (order.claim == claim.name) break;
    ++out;
  }
  return out;
}
}  // namespace kairo::provisioner
