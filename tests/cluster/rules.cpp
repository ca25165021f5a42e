// tests/cluster/rules.cpp - reads the table; an unknown key is an error of the table.
#include "tests/cluster/rules.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

#include "schemas/catalogue/catalogue.h"
#include "schemas/yaml/yaml.h"

namespace kairo::test {
namespace {
const Json bases = Json::parse(R"({
  "tuning": {
    "kind": "Workspace", "metadata": {"name": "w", "namespace": "default"},
    "resource": {"count": 1, "labelSelector": {"matchLabels": {"app": "t"}}},
    "tuning": {"preset": {"name": "phi-4"}, "method": "qlora",
      "input": {"urls": ["https://example.com/d.parquet"]},
      "output": {"image": "registry.example/x:1", "imagePushSecret": "s"}}},
  "inference": {
    "kind": "Workspace", "metadata": {"name": "w", "namespace": "default"},
    "resource": {"count": 1, "labelSelector": {"matchLabels": {"app": "t"}}},
    "inference": {"preset": {"name": "phi-4"}, "adapters": [
      {"source": {"name": "a", "image": "r/a:1"}, "strength": "0.5"}]}}})");
const std::set<std::string> keys{"rule", "why",   "of",      "in", "before", "with",
                                 "says", "nodes", "classes", "by", "local"};

Json edited(Json object, const Json& edits) {
  for (const auto& [path, value] : edits.items()) {
    const Json::json_pointer at(path);
    if (value.is_null())
      object[at.parent_pointer()].erase(at.back());
    else
      object[at] = value;
  }
  return object;
}
std::vector<std::string> texts(const Json& list) {
  std::string skus;
  for (const auto& sku : catalogue::skus()) skus += (skus.empty() ? "" : ", ") + sku.name;
  std::vector<std::string> out;
  for (std::string text : list) {
    if (const std::size_t at = text.find("@SKUS@"); at != std::string::npos)
      text.replace(at, 6, skus);
    out.push_back(std::move(text));
  }
  return sorted(std::move(out));
}
Rule rule_of(const Json& row, const std::string& version) {
  Rule out;
  out.rule = row.at("rule");
  out.version = version;
  out.name = out.rule + " " + row.at("why").get<std::string>() + " (" + version + ")";
  out.nodes = row.value("nodes", "");
  out.by = row.value("by", "crd");
  out.classes = row.value("classes", std::vector<std::string>());
  Json base = bases.at(row.at("of").get<std::string>());
  base["apiVersion"] = "kaito.sh/" + version;
  if (row.contains("before")) out.before = edited(base, row["before"]);
  out.after = edited(base, row.value("with", Json::object()));
  out.says = texts(row.at("says"));
  out.local = row.contains("local") ? texts(row["local"]) : out.says;
  return out;
}
}  // namespace

std::vector<std::string> sorted(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

std::vector<Rule> read_rules() {
  std::set<std::string> files;
  for (const auto& file :
       std::filesystem::directory_iterator(KAIRO_SOURCE_DIR "/tests/cluster/rules"))
    files.insert(file.path().string());
  std::vector<Rule> out;
  for (const std::string& file : files) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    const auto read = yaml::read(text.str(), file, yaml::Dialect::kubectl);
    if (!read.ok()) throw std::runtime_error(read.error().what);
    for (const Json& row : Json::parse(yaml::to_json(read.value().front()))) {
      for (const auto& [key, value] : row.items())
        if (!keys.contains(key)) throw std::runtime_error(file + ": unknown key " + key);
      for (const char* version : {"v1beta1", "v1alpha1"})
        if (row.value("in", version) == version) out.push_back(rule_of(row, version));
    }
  }
  return out;
}
}  // namespace kairo::test
