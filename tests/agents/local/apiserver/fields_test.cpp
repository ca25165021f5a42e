// What this proves: field trees merge, conflict and remove as server-side apply does.
#include "agents/local/apiserver/fields.h"

#include <doctest/doctest.h>

using namespace kairo::cluster;
namespace {
struct Row {
  std::string name, live, was, config, other, want;  // other: what another manager owns
};
const std::vector<Row> rows{
    {"first", "{}", "{}", R"({"a":1})", "{}", R"({"a":1})"},
    {"a dropped field goes", R"({"a":1,"b":2})", R"({"a":1,"b":2})", R"({"b":2})", "{}",
     R"({"b":2})"},
    {"a dropped field that another owns stays", R"({"a":1,"b":2})", R"({"a":1,"b":2})",
     R"({"b":2})", R"({"a":1})", R"({"a":1,"b":2})"},
    {"a field of nobody stays", R"({"a":1,"z":9})", R"({"a":1})", R"({})", "{}", R"({"z":9})"},
    {"an emptied map goes", R"({"m":{"x":1}})", R"({"m":{"x":1}})", R"({})", "{}", R"({})"},
    {"maps merge", R"({"m":{"x":1}})", "{}", R"({"m":{"y":2}})", R"({"m":{"x":1}})",
     R"({"m":{"x":1,"y":2}})"},
    {"an atomic list is replaced", R"({"args":["a","b"]})", R"({"args":["a","b"]})",
     R"({"args":["c"]})", "{}", R"({"args":["c"]})"},
    {"conditions merge by type", R"({"conditions":[{"type":"A","status":"True"}]})", "{}",
     R"({"conditions":[{"type":"B","status":"False"}]})",
     R"({"conditions":[{"type":"A","status":"True"}]})",
     R"({"conditions":[{"type":"A","status":"True"},{"type":"B","status":"False"}]})"},
    {"a dropped condition goes", R"({"conditions":[{"type":"A","s":1},{"type":"B","s":2}]})",
     R"({"conditions":[{"type":"A","s":1},{"type":"B","s":2}]})",
     R"({"conditions":[{"type":"B","s":2}]})", "{}", R"({"conditions":[{"type":"B","s":2}]})"},
    {"a finalizer of another stays", R"({"finalizers":["x","y"]})", R"({"finalizers":["x"]})",
     R"({"finalizers":[]})", R"({"finalizers":["y"]})", R"({"finalizers":["y"]})"},
    {"containers merge by name", R"({"containers":[{"name":"a","image":"1"}]})",
     R"({"containers":[{"name":"a","image":"1"}]})",
     R"({"containers":[{"name":"a","image":"2"},{"name":"b"}]})", "{}",
     R"({"containers":[{"name":"a","image":"2"},{"name":"b"}]})"},
    {"a type may change", R"({"v":{"x":1}})", R"({"v":{"x":1}})", R"({"v":"text"})", "{}",
     R"({"v":"text"})"},
};
const auto schema = fields::Schema::built_in;
}  // namespace

TEST_CASE("apply: merge, then remove what was dropped") {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Json live = Json::parse(row.live);
    const Json config = Json::parse(row.config);
    const Json other = fields::of(Json::parse(row.other), schema);
    fields::merge(live, config, schema);
    fields::remove_dropped(live, fields::of(Json::parse(row.was), schema),
                           fields::of(config, schema), {&other}, schema);
    CHECK(live == Json::parse(row.want));
    const Json once = live;
    fields::merge(live, config, schema);  // again: nothing changes
    CHECK(live == once);
  }
}

TEST_CASE("conflicts: only other values of fields that somebody owns") {
  const Json live = {{"replicas", 1}, {"image", "a"}};
  Json theirs = fields::of(live, schema);
  const Json same = {{"replicas", 1}}, other = {{"replicas", 2}};
  CHECK(fields::take_conflicts(theirs, fields::of(same, schema), live, same, schema).empty());
  CHECK(fields::take_conflicts(theirs, fields::of(other, schema), live, other, schema) ==
        std::vector<std::string>{".replicas"});
  CHECK(theirs == Json{{"f:image", Json::object()}});
}

TEST_CASE("changed: what an update touched") {
  const Json before = Json::parse(R"({"m":{"a":1,"b":1},"args":[1]})");
  const Json after = Json::parse(R"({"m":{"a":1,"b":2,"c":3},"args":[1]})");
  CHECK(fields::changed(before, before, schema).is_null());
  CHECK(fields::changed(before, after, schema) == Json::parse(R"({"f:m":{"f:b":{},"f:c":{}}})"));
  Json tree = fields::of(before, schema);
  fields::subtract(tree, Json::parse(R"({"f:m":{"f:b":{}}})"));
  CHECK(tree == Json::parse(R"({"f:m":{"f:a":{}},"f:args":{}})"));
  fields::prune(tree, Json::parse(R"({"args":[]})"), schema);
  CHECK(tree == Json::parse(R"({"f:args":{}})"));
}

TEST_CASE("keyed lists need their keys") {
  const auto check = [](const char* text) { return fields::check_keys(Json::parse(text), schema); };
  CHECK(check(R"({"containers":[{"name":"a"},{"name":"b"}]})").ok());
  CHECK_FALSE(check(R"({"containers":[{"name":"a"},{"name":"a"}]})").ok());
  CHECK_FALSE(check(R"({"containers":[{"image":"a"}]})").ok());
  CHECK(fields::check_keys(Json::parse(R"({"containers":[{"image":"a"}]})"), fields::Schema::custom)
            .ok());
}
