// What this proves: what a user reads when the real kubectl writes to the real API server: the
// texts of the rules table, the columns, the short names.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/cluster/real_cluster.h"
#include "tests/cluster/rules.h"
#include "tests/contract/kube_process.h"

using namespace kairo;
using namespace kairo::test;
namespace {
struct Said {
  std::string out, err;
};
class Kubectl {
 public:
  Kubectl(std::string program, const cluster::KubeConfig& server) : program_(std::move(program)) {
    const Json config = {
        {"apiVersion", "v1"},
        {"kind", "Config"},
        {"current-context", "c"},
        {"clusters",
         {{{"name", "c"},
           {"cluster", {{"server", server.base_url}, {"certificate-authority", server.ca_file}}}}}},
        {"users", {{{"name", "u"}, {"user", {{"tokenFile", server.token_file}}}}}},
        {"contexts", {{{"name", "c"}, {"context", {{"cluster", "c"}, {"user", "u"}}}}}}};
    std::ofstream(dir_.path + "/config") << config.dump();
  }
  Said run(const std::string& words, const std::vector<Json>& objects = {}) {
    const std::string at = dir_.path + "/";
    std::ofstream in(at + "in");
    for (const Json& object : objects) in << "---\n" << object.dump() << "\n";
    in.close();
    const std::string line = "HOME=" + dir_.path + " timeout 60 " + program_ + " --kubeconfig " +
                             at + "config " + words + " <" + at + "in >" + at + "out 2>" + at +
                             "err";
    (void)std::system(line.c_str());  // NOLINT(concurrency-mt-unsafe): the texts are the result
    return {text_in(at + "out"), text_in(at + "err")};
  }

 private:
  static std::string text_in(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
  }
  const std::string program_;
  TempDir dir_;
};
std::unique_ptr<Kubectl> kubectl() {
  if (real_cluster() == nullptr) return nullptr;
  std::string program = kube_binaries() + "/kubectl";
  if (!std::filesystem::exists(program)) program = have_program("kubectl") ? "kubectl" : "";
  if (!program.empty()) return std::make_unique<Kubectl>(program, real_config());
  MESSAGE("SKIP no kubectl: deploy/setup/kube.sh builds it");
  return nullptr;
}
// One error for each object that was refused, in their order; an error may have several lines.
std::vector<std::string> errors_in(const std::string& err) {
  std::vector<std::string> out;
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) {
    const bool begins = line.starts_with("The ") || line.starts_with("Error from server");
    if (begins) out.emplace_back();
    if (!out.empty()) out.back() += line + "\n";
  }
  return out;
}
}  // namespace

TEST_CASE("kubectl shows the rules' texts") {
  const auto program = kubectl();
  if (program == nullptr) return;
  std::vector<Rule> rows;
  for (Rule& row : read_rules())
    if (row.nodes.empty()) rows.push_back(std::move(row));
  std::vector<Json> there, created, replaced;
  std::vector<const Rule*> create_rows, replace_rows;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Rule& row = rows[i];
    if (row.after["metadata"]["name"] == "w")
      row.after["metadata"]["name"] = "k" + std::to_string(i);
    (row.before.is_null() ? create_rows : replace_rows).push_back(&row);
    (row.before.is_null() ? created : replaced).push_back(row.after);
    if (row.before.is_null()) continue;
    there.push_back(row.before);
    there.back()["metadata"]["name"] = row.after["metadata"]["name"];
  }
  const auto check = [&](const std::vector<const Rule*>& asked, const std::string& err) {
    std::vector<const Rule*> refused;
    for (const Rule* row : asked)
      if (!row->says.empty()) refused.push_back(row);
    const std::vector<std::string> errors = errors_in(err);
    REQUIRE(errors.size() == refused.size());
    for (std::size_t i = 0; i < refused.size(); ++i)
      for (const std::string& text : refused[i]->says) {
        CAPTURE(refused[i]->name);
        CHECK_MESSAGE(errors[i].find(text) != std::string::npos, errors[i]);
      }
  };
  check(create_rows, program->run("create --dry-run=server -f -", created).err);
  CHECK(program->run("create -f -", there).err == "");
  check(replace_rows, program->run("replace --dry-run=server -f -", replaced).err);
  CHECK(program->run("delete wk --all").err == "");
}

TEST_CASE("kubectl apply -f deploy/crds, as docs/admission.md says") {
  const auto program = kubectl();
  if (program == nullptr) return;
  const std::string deploy = KAIRO_SOURCE_DIR "/deploy/";
  const Said said = program->run("apply --server-side --force-conflicts -f " + deploy + "crds -f " +
                                 deploy + "admission");
  CHECK(said.err == "");
  CHECK(said.out.starts_with(
      "customresourcedefinition.apiextensions.k8s.io/workspaces.kaito.sh serverside-applied\n"));
}

TEST_CASE("kubectl get workspace") {
  const auto program = kubectl();
  if (program == nullptr) return;
  const Json w = documents("examples/kaito/phi-3-tuning.yaml").front();
  CHECK(program->run("apply -f -", {w}).out ==
        "workspace.kaito.sh/workspace-tuning-phi-3 created\n");
  CHECK(program->run("apply -f -", {w}).out ==
        "workspace.kaito.sh/workspace-tuning-phi-3 unchanged\n");
  const std::string patch =
      R"('{"status":{"state":"Running","targetNodeCount":1,"conditions":[{"type":"ResourceReady",)"
      R"("status":"True","reason":"workspaceResourceStatusSuccess","message":"","lastTransitionTime":)"
      R"("2026-01-01T00:00:00Z"}]}}')";
  program->run("patch workspace workspace-tuning-phi-3 --subresource status --type merge -p " +
               patch);
  for (const char* name : {"workspace", "workspaces", "wk", "wks", "workspaces.kaito.sh"}) {
    const std::string table = program->run(std::string("get ") + name).out;
    CHECK(
        table.substr(0, table.rfind("Running") + 7) ==
        "NAME                     INSTANCE           RESOURCEREADY   INFERENCEREADY   JOBSTARTED   "
        "WORKSPACESUCCEEDED   TARGETNODECOUNT   STATE     AGE\n"
        "workspace-tuning-phi-3   Standard_NC6s_v3   True                                         "
        "                      1                 Running");
  }
  CHECK(program->run("get workspace -o name").out == "workspace.kaito.sh/workspace-tuning-phi-3\n");
  CHECK(program->run("explain workspace.tuning.method").out.find("qlora (4 bit NF4 base)") !=
        std::string::npos);
  CHECK(program->run("delete workspace workspace-tuning-phi-3").err == "");
}
