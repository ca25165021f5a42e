// agents/local/apiserver/field_types.h - types of fields by a table, and the text when one is
// wrong. Pure. Private to apiserver/.
//
// A table is JSON. Leaves: "string", "integer", "int32", "boolean", "base64", "int-or-string",
// "quantity", "strings" (a list), "object" (anything in it); "!" in front: required. [x]: a list of
// x. A map has its fields' rules; "*": of any key; "!": the map is required; "...": it may have
// fields that the table does not name.
#pragma once
#include <string>

#include "agents/cluster/json.h"

namespace kairo::cluster {
// invalid, with field, value and remedy, in the words of the API server.
Status check_types(const Json& value, const Json& rule, const std::string& path);
}  // namespace kairo::cluster
