// tests/cluster/rules.h - the table of admission rules in rules/*.yaml.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kairo::test {
using Json = nlohmann::json;
// One row, for one version. An edit is a JSON pointer and its value; null takes the field away.
//   rule, why   the rule's name in docs/admission.md ("-": none), and what is special here
//   of          the object that is edited: tuning or inference (rules.cpp)
//   in          v1beta1 or v1alpha1; both when left out
//   before      edits that make the object that is there: the row is an update
//   with        edits that make the object that is written
//   nodes       what the ConfigMap kairo-admission says: own or provisioned; and `classes`
//   by          who says it: crd (its rules; when left out), schema (its types), policy
//   says        exactly these texts, in any order; [] = it is taken
//   local       the same for the local API server, where it says something else on purpose
struct Rule {
  std::string name;  // "T1 two nodes (v1beta1)"
  std::string rule, version, nodes, by;
  std::vector<std::string> classes;
  Json before;  // null: a creation
  Json after;
  std::vector<std::string> says, local;  // sorted
};
std::vector<Rule> read_rules();
// The same order whoever says it, each text once.
std::vector<std::string> sorted(std::vector<std::string> texts);
}  // namespace kairo::test
