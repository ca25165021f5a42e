// What this proves: objects are found in files and lists as kubectl finds them, and a name that
// YAML takes for something else is told, not lost.
#include "agents/cli/files.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/servers.h"

using namespace kairo;
using namespace kairo::cli;

TEST_CASE("objects in one file") {
  const test::TempDir folder;
  const std::string file = folder.path + "/f.yaml", map = "apiVersion: v1\nkind: ConfigMap\n";
  struct Row {
    std::string name, text, found;  // "KIND NAMESPACE/NAME " of each; of an error what follows FILE
  };
  const Row rows[] = {
      {"two", map + "metadata: {name: a}\n---\n" + map + "metadata: {name: b, namespace: team}\n",
       "ConfigMap default/a ConfigMap team/b "},
      {"a list",
       "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: "
       "{name: s}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n",
       "Secret default/s ConfigMap default/c "},
      {"a list of one kind",
       "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {apiVersion: v1, kind: "
       "ConfigMap, metadata: {name: c}}\n",
       "ConfigMap default/c "},
      {"JSON objects one after the other",
       R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}
          {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}})",
       "ConfigMap default/a ConfigMap default/b "},
      {"an item that is text", "apiVersion: v1\nkind: List\nitems: [x]\n",
       ": an item of the List is no object"},
      {"a name that is a number", map + "metadata: {name: 0444}\n",
       ": ConfigMap: metadata.name must be a string, it is 292; quote it"},
      {"a name that is a switch", map + "metadata: {name: yes}\n",
       ": ConfigMap: metadata.name must be a string, it is true; quote it"},
      {"a namespace that is a number", map + "metadata: {name: a, namespace: 1e3}\n",
       ": ConfigMap: metadata.namespace must be a string, it is 1000; quote it"},
      {"a kind that is a number", "apiVersion: v1\nkind: 3\nmetadata: {name: a}\n",
       ": kind must be a string, it is 3; quote it"},
      {"a version that is a number", "apiVersion: 1\nkind: ConfigMap\n",
       ": apiVersion must be a string, it is 1; quote it"},
      {"no name", map + "metadata: {}\n", ": ConfigMap: metadata.name must be set"},
      {"no metadata", map, ": ConfigMap: metadata.name must be set"},
      {"nothing", "# only a comment\n", ": no objects in it"},
      {"an empty list", "apiVersion: v1\nkind: List\nitems: []\n", ": no objects in it"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    std::ofstream(file) << row.text;
    const auto found = objects_in({file}, "default");
    std::string seen;
    if (!found.ok()) {
      CHECK(found.error().what == file + row.found);
      continue;
    }
    for (const Parsed& object : found.value())
      seen += object.ref.kind.kind + " " + object.ref.ns + "/" + object.ref.name + " ";
    CHECK(seen == row.found);
  }
}
