// agents/local/apiserver/fields.h - who owns which field of an object: the arithmetic of
// server-side apply.
//
// A field tree has the form of Kubernetes' FieldsV1: {"f:spec": {"f:replicas": {}}}. "f:<name>" is
// a member of a map, "k:{...}" an element of a list that is keyed, "v:<json>" a member of a set; a
// leaf is {}. Lists that are neither are atomic: one leaf. All functions are pure.
// Private to apiserver/.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/json.h"

namespace kairo::cluster::fields {
// How lists merge. Custom resources have keyed conditions, finalizers and ownerReferences only;
// built-in kinds also containers, volumes, env, ports and the like.
enum class Schema : std::uint8_t { built_in, custom };

// invalid: an element of a keyed list lacks its key, or two elements have the same.
Status check_keys(const Json& value, Schema schema, const std::string& path = "");
Json of(const Json& value, Schema schema, const std::string& name = "");
// Writes `config` over `live`: maps and keyed lists merge, everything else is replaced.
void merge(Json& live, const Json& config, Schema schema, const std::string& name = "");
// Removes from `live` what its owner owned (`was`), owns no more (`now`) and nobody else owns.
void remove_dropped(Json& live, const Json& was, const Json& now,
                    const std::vector<const Json*>& others, Schema schema);
// The paths where `config` would change a value of `live` that `theirs` owns; they are taken out
// of `theirs`.
std::vector<std::string> take_conflicts(Json& theirs, const Json& ours, const Json& live,
                                        const Json& config, Schema schema);
// The fields of `after` that are new or differ from `before`; null when there is none.
Json changed(const Json& before, const Json& after, Schema schema, const std::string& name = "");
void add(Json& tree, const Json& more);
void subtract(Json& tree, const Json& less);
// Drops from `tree` what does not exist in `object` any more.
void prune(Json& tree, const Json& object, Schema schema, const std::string& name = "");
}  // namespace kairo::cluster::fields
