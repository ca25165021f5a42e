// What this proves: each rule of KAITO's admission is said in KAITO's words, by the
// CustomResourceDefinition and the policies on a real API server, and by the local one.
#include "tests/cluster/rules.h"

#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "agents/admission/admit.h"
#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/local/apiserver/objects.h"
#include "schemas/catalogue/catalogue.h"
#include "tests/cluster/real_cluster.h"

using namespace kairo;
using namespace kairo::test;
namespace {
using Texts = std::vector<std::string>;
std::string lines(const Texts& texts) {
  std::string out;
  for (const std::string& text : texts) out += text + "\n";
  return out;
}

// ---- the local API server, as agents/main.cpp puts it together
Texts texts_of(std::string what) {
  for (const std::string head : {"Workspace.kaito.sh \"", "admission webhook \""})
    if (what.starts_with(head)) {
      const std::string end = head[0] == 'W' ? " is invalid: " : "validation failed: ";
      what.erase(0, what.find(end) + end.size());
    }
  Texts out;
  std::istringstream lines(what);
  for (std::string line; std::getline(lines, line);) out.push_back(line);
  return sorted(out);
}
Texts say_locally(const Rule& row) {
  static const SystemClock clock;
  admission::AdmitContext context;
  if (row.nodes == "own") context.mode = admission::NodeMode::byo;
  if (row.nodes == "provisioned") context.mode = admission::NodeMode::auto_provisioning;
  context.node_classes = row.classes;
  bool is_asked = row.before.is_null();  // what is there came from elsewhere
  const auto admit = [&](const std::string& before, const std::string& after) -> Status {
    const std::string no = admission::refusal(admission::admit(before, after, context));
    if (is_asked && !no.empty()) return Error{Code::invalid, no};
    return ok();
  };
  cluster::MemoryCluster server(clock, "seed", {}, admit);
  cluster::Kind kind = cluster::workspaces;
  kind.version = row.version;
  const cluster::WriteOptions options{"test", "", true};
  if (row.before.is_null()) {
    const auto made = server.create(kind, "default", row.after.dump(), options);
    return made.ok() ? Texts() : texts_of(made.error().what);
  }
  const auto there = server.create(kind, "default", row.before.dump(), options);
  REQUIRE_MESSAGE(there.ok(), (there.ok() ? "" : there.error().what));
  is_asked = true;
  const auto changed = server.replace({kind, "default", "w"}, row.after.dump(), options);
  return changed.ok() ? Texts() : texts_of(changed.error().what);
}

// ---- the real one
Answer write(KubeApi& api, const Rule& row) {
  const std::string path = workspaces_path(row.version),
                    strict = "?fieldValidation=Strict&dryRun=All";
  if (row.before.is_null()) return api.ask("POST", path + strict, row.after);
  const Answer there = api.ask("POST", path + "?fieldValidation=Strict", row.before);
  REQUIRE_MESSAGE(there.ok(), there.body.dump());
  Json after = row.after;
  after["metadata"]["resourceVersion"] = there.body["metadata"]["resourceVersion"];
  Answer out = api.ask("PUT", path + "/w" + strict, after);
  CHECK(api.ask("DELETE", path + "/w").ok());
  return out;
}
Texts said_by(const Answer& answer) {
  return sorted(answer.ok() ? Texts() : refusals(answer.body));
}
// What the policies see of their ConfigMap, and the policies themselves, come a moment later.
Answer settled(KubeApi& api, const Rule& row) {
  Answer answer;
  for (int i = 0; i < 60; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(100))) {
    answer = write(api, row);
    if (said_by(answer) == row.says) break;
  }
  return answer;
}
void set_nodes(KubeApi& api, const Rule& row) {
  Json data = Json::object();
  if (!row.nodes.empty()) data["nodes"] = row.nodes;
  for (const std::string& name : row.classes)
    data["nodeClasses"] =
        (data.contains("nodeClasses") ? data.value("nodeClasses", "") + ", " : "") + name;
  const Json map = {{"apiVersion", "v1"},
                    {"kind", "ConfigMap"},
                    {"metadata", {{"name", "kairo-admission"}, {"namespace", "kairo-system"}}},
                    {"data", data}};
  api.apply({map});
}
}  // namespace

TEST_CASE("rules: the local API server says what the table says") {
  for (const Rule& row : read_rules()) {
    CAPTURE(row.name);
    CHECK(lines(say_locally(row)) == lines(row.local));
  }
}

TEST_CASE("rules: the real API server says what the table says") {
  KubeApi* api = real_cluster();
  if (api == nullptr) return;
  std::vector<Rule> rows = read_rules();
  const auto setting = [](const Rule& row) { return std::make_pair(row.nodes, row.classes); };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const Rule& a, const Rule& b) { return setting(a) < setting(b); });
  auto current = setting(rows.front());
  for (const Rule& row : rows) {
    CAPTURE(row.name);
    if (setting(row) != current) set_nodes(*api, row);
    current = setting(row);
    const Answer answer = settled(*api, row);
    CHECK(lines(said_by(answer)) == lines(row.says));
    if (answer.ok()) continue;
    CAPTURE(answer.body.dump());
    const bool by_policy =
        answer.body.value("message", "").find("ValidatingAdmissionPolicy") != std::string::npos;
    CHECK(by_policy == (row.by == "policy"));
  }
}

TEST_CASE("rules: the policy knows the models of the catalogue") {
  const Json policy = documents("deploy/admission/kaito.sh_workspaces.yaml").front();
  Texts known, wanted;
  for (const Json& variable : policy["spec"]["variables"])
    if (variable["name"] == "presets")  // a list of CEL, which is one of JSON
      known = Json::parse(variable["expression"].get<std::string>()).get<Texts>();
  for (const auto& preset : catalogue::presets())
    if (preset.name.find('/') == std::string::npos) wanted.push_back(preset.name);
  CHECK(lines(sorted(known)) == lines(sorted(wanted)));
}

TEST_CASE("rules: the documentation names each, and where it acts") {
  std::set<std::string> refused, known;
  for (const Rule& row : read_rules()) {
    known.insert(row.rule);
    if (!row.says.empty()) refused.insert(row.rule);
  }
  static const std::regex line("^\\| ([A-Z][^|]*|adapter|private) \\|[^|]*\\| ([^|]*) \\|.*");
  std::ifstream page(KAIRO_SOURCE_DIR "/docs/admission.md");
  std::set<std::string> documented;
  std::smatch match;
  for (std::string text; std::getline(page, text);) {
    if (!std::regex_match(text, match, line)) continue;
    std::istringstream names(match[1]);
    for (std::string name; std::getline(names, name, ',');) {
      name.erase(0, name.find_first_not_of(' '));
      documented.insert(name);
      const std::string where = match[2];
      const bool is_tested = where == "CRD" || where == "policy" || where == "schema";
      CHECK_MESSAGE((!is_tested || refused.contains(name)), "no row refuses by " << name);
    }
  }
  for (const std::string& name : known)
    if (name != "-") CHECK_MESSAGE(documented.contains(name), "docs/admission.md lacks " << name);
}
