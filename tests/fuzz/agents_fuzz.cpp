// What this proves: whatever a cluster, a bus, a registry, a web server or a user sends, the
// agents' decoders answer and do not crash.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "agents/admission/admit.h"
#include "agents/admission/admit_config.h"
#include "agents/cli/curve_text.h"
#include "agents/cli/printers.h"
#include "agents/cli/yaml.h"
#include "agents/cluster/api_errors.h"
#include "agents/cluster/exec_credential.h"
#include "agents/cluster/initial_events.h"
#include "agents/cluster/kinds.h"
#include "agents/cluster/kubeconfig.h"
#include "agents/cluster/pod_log.h"
#include "agents/cluster/proxy.h"
#include "agents/launcher/decide.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/local/apiserver/routes.h"
#include "agents/local/apiserver/selector.h"
#include "agents/node/adapter_steps.h"
#include "agents/node/decide.h"
#include "agents/node/gpu/kernel_log.h"
#include "agents/node/gpu/xids.h"
#include "agents/node/progress.h"
#include "agents/provisioner/decide.h"
#include "agents/pusher/decide.h"
#include "agents/settings.h"
#include "agents/transfer/docker_auth.h"
#include "agents/transfer/hub_listing.h"
#include "agents/transfer/inflate.h"
#include "agents/transfer/reference.h"
#include "agents/transfer/registry_status.h"
#include "agents/transfer/tar_reader.h"
#include "agents/transfer/unpack.h"
#include "agents/transfer/url.h"
#include "agents/watcher/decide.h"
#include "agents/watcher/node_gpus.h"
#include "agents/watcher/revision.h"
#include "agents/watcher/status_json.h"
#include "agents/watcher/translate.h"
#include "schemas/base/base64.h"
#include "schemas/base/bytes.h"
#include "schemas/base/codec.h"
#include "schemas/record_generated.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/facts.h"

using namespace kairo;
namespace {
wire::CurveT curve() {
  wire::CurveT out;
  out.settings = R"({"r":8})";
  out.attempts.push_back(std::make_unique<wire::CurveAttemptT>());
  out.attempts.back()->attempt = 1;
  out.evals.push_back(std::make_unique<wire::CurveEvalT>());
  out.evals.back()->step = 2;
  out.first = out.last = {1, 2};
  out.min = out.mean = out.max = out.learning_rate = out.grad_norm = out.tokens_per_second = {2, 1};
  out.tokens = {10, 20};
  out.at_ms = {1, 2};
  return out;
}
nlohmann::json parsed(const std::string& bytes) {
  return nlohmann::json::parse(bytes, nullptr, false);
}
const std::string workspace = R"({"apiVersion":"kaito.sh/v1beta1","kind":"Workspace","metadata":
 {"name":"w","namespace":"default","uid":"u","resourceVersion":"7","annotations":{"kaito.sh/a":"b"}},
 "resource":{"count":1,"instanceType":"Standard_NC24ads_A100_v4","labelSelector":{"matchLabels":
 {"a":"b"}}},"tuning":{"preset":{"name":"phi-4"},"method":"qlora","config":"c","input":{"urls":
 ["https://x/a.jsonl"]},"output":{"image":"r/a:1","imagePushSecret":"s"}}})";
const std::string pod = R"({"metadata":{"name":"p","namespace":"default","uid":"x",
 "resourceVersion":"9","labels":{"kaito.sh/workspace":"w"},"annotations":
 {"kairo.dev/workspace-uid":"u"}},"spec":{"nodeName":"n"},"status":{"phase":"Pending","conditions":
 [{"type":"PodScheduled","status":"False","reason":"Unschedulable"}],"containerStatuses":[{"name":
 "c","restartCount":1,"state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}})";
const std::string config_map = R"({"data":{"training_config.yaml":"training_config:\n  ModelConfig:
 \n    torch_dtype: x\n  QuantizationConfig:\n    load_in_4bit: true\n  TrainingArguments:\n
    output_dir: /mnt/x\n"}})";
std::string tar_of(const std::string& name, const std::string& text) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  char size[12];
  std::snprintf(size, sizeof size, "%011o", static_cast<unsigned>(text.size()));
  header.replace(124, 11, size);
  header[156] = '0';
  header.replace(257, 5, "ustar");
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  char checksum[8];
  std::snprintf(checksum, sizeof checksum, "%06o", sum);
  header.replace(148, 7, std::string(checksum, 7));
  std::string body = text;
  body.resize((text.size() + 511) / 512 * 512);
  return header + body + std::string(1024, '\0');
}
void unpack(const std::string& tar) {
  static const std::string root =
      (std::filesystem::temp_directory_path() / "kairo-fuzz-unpack").string();
  std::filesystem::remove_all(root);
  std::filesystem::create_directories(root);
  transfer::Unpack files(root, {1 << 20, 1000});
  files.begin_layer();
  transfer::TarReader reader({[&](const transfer::TarEntry& entry) { return files.begin(entry); },
                              [&](std::string_view bytes) { return files.data(bytes); }});
  if (reader.feed(tar).ok() && reader.finish().ok()) (void)files.end_layer();
  std::filesystem::remove_all(root);
}
template <class Body>
std::string bytes_of(Body body) {
  return encode(test::fact(std::move(body)), wire::FactIdentifier());
}
// What an agent does with a fact before any effect: absorb, decide, keep, say.
void decide_all(const wire::FactT& fact) {
  runtime::Nodes nodes;
  nodes.emplace("n1", test::node(1));
  if (const auto* node = fact.body.AsNode()) nodes["n2"] = *node;
  for (const bool known : {false, true}) {
    wire::RecordT record;
    if (known)
      record = test::record(test::tuning(1), test::ready(1), test::planned(1), test::run_dir(1),
                            test::job(1), test::artifact(1));
    (void)runtime::absorb(record, fact);
    const runtime::View view{nodes, 1000, "bus", "n1"};
    for (const auto& d :
         {launcher::decide(record, view), provisioner::decide(record, view),
          pusher::decide(record, view), watcher::decide(record, view), node::decide(record, view)})
      for (const auto& command : d.commands) {
        const std::string row = encode(command, wire::CommandIdentifier());
        REQUIRE(decode<wire::CommandT>(row, wire::CommandIdentifier()).ok());
        if (command.body.type == wire::CommandBody::PatchStatus)
          (void)watcher::status_patch(*command.body.AsPatchStatus()->status);
        if (command.body.type == wire::CommandBody::AnnounceStatus)
          (void)watcher::status_event(command, 1000);
      }
    const std::string row = encode(record, wire::RecordIdentifier());
    REQUIRE(decode<wire::RecordT>(row, wire::RecordIdentifier()).ok());
  }
}
}  // namespace

TEST_CASE("agents' decoders") {
  const wire::RecordT record = test::record(test::tuning(3), test::ready(4), test::planned(5));
  const std::string gzip("\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c\x4a\x06\0\xc2\x41\x24\x35\x03\0\0\0",
                         23);
  const std::string zstd("\x28\xb5\x2f\xfd\x24\x03\x19\0\0\x61\x62\x63\xf3\x3b\x7b\x4c", 16);
  const SystemClock clock;
  const std::vector<test::FuzzTarget> targets = {
      {"fact, through every decision",
       {bytes_of(test::tuning(3)), bytes_of(test::serving(3)), bytes_of(test::job(4)),
        bytes_of(test::ready(5)), bytes_of(test::planned(6)), bytes_of(test::run_dir(7)),
        bytes_of(test::artifact(8)), bytes_of(test::pushed(9)), bytes_of(test::server(9)),
        bytes_of(test::node(9))},
       [](const std::string& b) {
         const auto got = decode<wire::FactT>(b, wire::FactIdentifier());
         if (got.ok()) decide_all(got.value());
       }},
      {"record",
       {encode(record, wire::RecordIdentifier())},
       [](const std::string& b) { (void)decode<wire::RecordT>(b, wire::RecordIdentifier()); }},
      {"workspace",
       {workspace},
       [](const std::string& b) {
         const auto read = watcher::translate(cluster::workspaces, parsed(b), true);
         if (!read.ok()) return;
         decide_all(read.value());
         const std::string bytes = encode(read.value(), wire::FactIdentifier());
         REQUIRE(decode<wire::FactT>(bytes, wire::FactIdentifier()).ok());
       }},
      {"pod",
       {pod},
       [](const std::string& b) { (void)watcher::translate(cluster::pods, parsed(b), true); }},
      {"admission",
       {workspace},
       [](const std::string& b) {
         (void)admission::admit("", b, {});
         (void)admission::admit(workspace, b, {});
       }},
      {"revision", {workspace}, [](const std::string& b) { (void)watcher::revision_of(b); }},
      {"training config of a ConfigMap",
       {config_map},
       [](const std::string& b) { (void)admission::check_training_config(b, "c", "qlora"); }},
      {"apply to the local cluster",
       {workspace, pod},
       [&](const std::string& b) {
         cluster::MemoryCluster objects(clock, "seed");
         for (int i = 0; i < 2; ++i)
           (void)objects.apply({{cluster::workspaces, "default", "w"}, b, "m", ""});
         (void)objects.apply({{cluster::pods, "default", "p"}, b, "m", ""});
         (void)objects.collect_garbage();
       }},
      {"an API server's error",
       {R"({"kind":"Status","message":"m","reason":"NotFound"})"},
       [](const std::string& b) { (void)cluster::error_of(422, b, "apply"); }},
      {"kubeconfig",
       {"current-context: x\nclusters: [{name: c, cluster: {server: 'https://h', proxy-url: "
        "'http://p', certificate-authority-data: Y2E=, extensions: [{name: "
        "client.authentication.k8s.io/exec, extension: {a: [1]}}]}}]\nusers: [{name: u, user: "
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: a/b, args: [c], env: "
        "[{name: d, value: e}], interactiveMode: Never, provideClusterInfo: true}}}]\ncontexts: "
        "[{name: x, context: {cluster: c, user: u, namespace: n}}]\n"},
       [](const std::string& b) {
         const auto read = cluster::resolve_kubeconfig({{"/k/f", b}, {"g", b}}, "");
         if (!read.ok()) return;
         (void)cluster::proxy_of(read.value().config.base_url,
                                 [&](const std::string&) { return b; });
         if (read.value().config.exec)
           (void)cluster::exec_info(*read.value().config.exec, read.value().config, b, false);
       }},
      {"what an exec plugin prints",
       {R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{
        "token":"t","clientCertificateData":"c","clientKeyData":"k","expirationTimestamp":
        "2026-01-31T12:00:00+02:00"}})"},
       [](const std::string& b) {
         cluster::ExecPlugin plugin;
         plugin.api_version = "client.authentication.k8s.io/v1";
         (void)cluster::parse_exec_credential(b, plugin);
       }},
      {"a list that comes as events",
       {pod, R"({"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":
        "true"}}})"},
       [](const std::string& b) {
         cluster::InitialEvents first;
         for (const auto type : {cluster::Event::Type::added, cluster::Event::Type::deleted,
                                 cluster::Event::Type::bookmark})
           (void)first.take({type, b});
         (void)std::move(first).listing();
       }},
      {"a container's log with times",
       {"2026-01-31T12:00:00.000000001Z a\n2026-01-31T12:00:00.000000001Z b\n\n"},
       [](const std::string& b) {
         const auto news = cluster::log_news(b, true, {});
         (void)cluster::log_news(b, false, news.next);
       }},
      {"proxies of the environment",
       {"10.0.0.0/8,[fd00::1]:443,.a.b,*", "http://u:p@h:1"},
       [](const std::string& b) {
         const cluster::Environment env = [&](const std::string&) { return b; };
         for (const char* url : {"https://10.1.2.3:6443", "http://a.b", "https://[fd00::1]"})
           (void)cluster::proxy_of(url, env);
         (void)cluster::proxy_of(b, env);
       }},
      {"settings of a file",
       {"mode: in-cluster\nbus-url: nats://h:1\nhealth-address: 0.0.0.0:8080\n"},
       [](const std::string& b) {
         const auto none = [](const std::string&) { return std::string(); };
         if (const auto read = settle({}, none, SettingsFile{"f", b}); read.ok())
           (void)read.value().spoken();
       }},
      {"REST path",
       {"/apis/kaito.sh/v1beta1/namespaces/default/workspaces/w/status"},
       [](const std::string& b) { (void)cluster::route_of(b); }},
      {"label selector",
       {"a=b,c!=d,e in (f,g),!h", "x notin (y)"},
       [](const std::string& b) {
         (void)cluster::Selector(b).matches(cluster::Json{{"a", "b"}});
       }},
      {"YAML",
       {"a: &x [1, {b: c}]\nd: *x\n---\ne: |\n  f\n"},
       [](const std::string& b) { (void)cli::yaml_to_json(b, "f"); }},
      {"table row",
       {workspace, pod},
       [](const std::string& b) {
         for (const cluster::Kind& kind : cluster::all_kinds)
           (void)cli::row_of(kind, b, true, true, 0);
       }},
      {"GPUs of a Node",
       {R"({"driver":"580.95.05","gpus":[{"capability":"9.0","memoryMiB":143771,"mig":false,)"
        R"("name":"NVIDIA H200","trouble":"","uuid":"GPU-0"}],"trouble":""})"},
       [](const std::string& b) { (void)watcher::node_gpus(b); }},
      {"the kernel's log",
       {"6,1234,5678,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.",
        "NVRM: GPU 0000:c1:00.0: GPU has fallen off the bus.",
        "NVRM: Xid (PCI:0000:3b:00): 149, NETIR_LINK_EVT  Nonfatal XC0 i0 Link 07 (0x1 0x2)"},
       [](const std::string& b) { (void)node::xid_in(b); }},
      {"a table of Xids",
       {"# ours\n109 program a slow switch\n200-201 reset the new unit\n"},
       [](const std::string& b) {
         node::Xids xids;
         (void)node::amend(xids, b);
       }},
      {"progress",
       {"{\"phase\":\"Training\",\"step\":7,\"loss\":1.5,\"settings\":{\"r\":8}}\n"},
       [](const std::string& b) { (void)node::last_progress(b); }},
      {"a curve",
       {encode(curve(), wire::CurveIdentifier())},
       [](const std::string& b) {
         const auto got = decode<wire::CurveT>(b, wire::CurveIdentifier());
         if (!got.ok() || !cli::check_columns(got.value()).ok()) return;
         (void)cli::curve_csv(got.value());
         (void)cli::curve_jsonl(got.value());
         (void)cli::curve_event_files(got.value(), cli::RunEnd::succeeded);
       }},
      {"a server's list of models",
       {R"({"data":[{"id":"pip","root":"/w/pip@)" + std::string(64, 'a') + R"("}]})"},
       [](const std::string& b) {
         if (const auto served = node::served_in(b)) (void)node::to_unload(*served, {});
         (void)node::trouble_in(400, b);
       }},
      {"docker config",
       {R"({"auths":{"r.io/t":{"auth":"dTpw"},"*.io":{"username":"u","password":
        "p","identitytoken":"t"}}})"},
       [](const std::string& b) {
         const auto image = transfer::parse_reference("r.io/t/a:1");
         if (image.ok()) (void)transfer::credentials_for(b, image.value());
       }},
      {"image name",
       {"r.io:5000/team/adapter:1", "a@sha256:" + std::string(64, 'a')},
       [](const std::string& b) { (void)transfer::parse_reference(b); }},
      {"URL",
       {"https://u@h.io:444/p?q#f", "http://[::1]/x"},
       [](const std::string& b) {
         const auto url = transfer::parse_url(b);
         if (url.ok()) (void)transfer::resolve_url(url.value(), b);
       }},
      {"a registry's headers",
       {"0-1023", "120", "Wed, 21 Oct 2015 07:28:00 GMT",
        R"({"errors":[{"code":"DENIED","message":"m"}]})"},
       [](const std::string& b) {
         (void)transfer::next_offset(b, 10);
         (void)transfer::retry_after_s(b, 1'445'412'400);
         (void)transfer::described(403, b);
       }},
      {"a hub's list of files",
       {R"({"sha":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","siblings":[{"rfilename":"config.json",
        "size":2,"blobId":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},{"rfilename":"tokenizer.json"},
        {"rfilename":"a.safetensors","lfs":{"sha256":"x","size":7}}]})",
        "owner/name", "\"etag\""},
       [](const std::string& b) {
         (void)transfer::parse_hub_listing(b, "m");
         (void)transfer::check_hub_id(b);
         (void)transfer::check_hub_revision(b);
         (void)transfer::unquoted(b);
       }},
      {"amounts of bytes", {"20GiB", "1.5 TB"}, [](const std::string& b) { (void)bytes_in(b); }},
      {"layer",
       {gzip, zstd, "plain"},
       [](const std::string& b) {
         std::size_t bytes = 0;
         transfer::Inflate inflate([&](std::string_view part) -> Status {
           bytes += part.size();
           return bytes < (64 << 20) ? ok() : Status(Error{Code::invalid, "enough"});
         });
         if (inflate.feed(b).ok()) (void)inflate.finish();
       }},
      {"tar into a folder", {tar_of("data/a", "text"), tar_of("../../x", "y")}, unpack},
      {"base64", {"dTpw", "YWJj"}, [](const std::string& b) { (void)base64_decode(b); }},
  };
  CHECK(test::fuzz(targets) > 0);
}
