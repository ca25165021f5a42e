// agents/cli/cli.h - the commands that people type. Exit codes: 0 done, 1 refused or failed (stderr
// says what and the remedy), 2 wrong usage, 130 interrupted.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agents/cli/home.h"
#include "agents/cluster/cluster.h"
#include "agents/node/model_cache.h"

namespace kairo::cli {
struct Context {
  Home home;
  std::string ns = "default";
  const std::atomic<bool>& stop;  // Ctrl-C
  // Opens the cluster with the user's rights; not_found: kairo is not running, see must_run.
  std::function<Result<std::unique_ptr<cluster::Cluster>>()> connect;
  bool is_local = true;  // the cluster of `kairo up`, not one of a kubeconfig
  // POST to a Service in `ns` through the API server: status and body. Not of the local cluster,
  // whose Services are on loopback.
  std::function<Result<std::pair<int, std::string>>(
      const std::string& service, const std::string& path, const std::string& body)>
      post = {};
  // Of a cluster, for kubectl: as they were given; "" = its own choice. And where kairo is.
  std::string kubeconfig = {}, kube_context = {}, system_ns = "kairo-system";
};
// not_found: no `kairo up` holds this home. What waits for an answer asks this when none comes.
// Another cluster is never the local one: ok.
Status must_run(const Context& context);
struct GetOptions {
  std::string kind, name;  // as resources_named reads them
  std::string output;      // "", wide, yaml, json, name
  bool watch = false, all_namespaces = false;
};
// Nothing is applied when a file cannot be read or is not of the right form; an object that the
// cluster refuses does not stop those after it. So with `remove` and what is not there.
Status apply(Context& context, const std::vector<std::string>& files);
Status get(Context& context, const GetOptions& options);
Status describe(Context& context, const std::string& kind, const std::string& name);
Status remove(Context& context, const std::vector<std::string>& files, const std::string& kind,
              const std::vector<std::string>& names, bool wait);
Status logs(Context& context, const std::string& name, const std::string& container, bool follow);
Status events(Context& context, const std::string& workspace, bool watch);
// Follows a Workspace until it has succeeded (or is ready) or failed: a live bar on a terminal,
// plain lines elsewhere. invalid: it failed; the reason is in the message.
Status wait(Context& context, const std::string& workspace, std::int64_t timeout_s);
struct ChatOptions {
  std::string workspace, adapter;
  std::string prompt;  // "": a conversation, a line each, on a terminal; else all standard input
  double temperature = 0;
  int max_tokens = 256;
  bool raw = false;  // POST /chat instead of /v1/chat/completions; the reply as it comes
};
Status chat(Context& context, const ChatOptions& options);
Status explain(const std::string& path);
struct UpOptions {
  bool detach = false, registry = true;
  int registry_port = 0, openai_port = 0;  // 0 = the one used before, else any free one
  bus::Names names = {};                   // up() takes them from bus_names()
};
Status up(Context& context, const UpOptions& options, const std::string& program_dir);
Status down(Context& context, bool purge);
Status status(Context& context);
// Prints the page's address with its token; on a terminal of a desktop opens it too. In a cluster
// it forwards a port of loopback to the page until Ctrl-C.
Status dashboard(Context& context);
struct ExportOptions {
  std::string name;
  std::string as = "csv";  // csv, jsonl or tensorboard
  std::string output;      // a file; of tensorboard a folder. "" = standard output, "logs"
};
// A tuning's whole curve, all attempts, for other programs. not_found: no step of it is known.
Status export_curve(Context& context, const ExportOptions& options);
// Serves a folder's files on loopback until Ctrl-C: data sets for a local Workspace.
Status serve_files(Context& context, const std::string& folder, int port);
struct EstimateOptions {  // as kairo-tune's; "" = its default
  std::string device, gpu_memory;
};
// Memory, tokens, steps and time, by kairo-tune on the Workspace's own data set and configuration.
Status estimate(Context& context, const std::vector<std::string>& files,
                const std::string& program_dir, const EstimateOptions& options = {});
struct PullModelOptions {
  std::string name;               // of the catalogue
  std::string image;              // instead of the preset's own sources; "" = none
  std::string token, file_token;  // of the hub: HF_TOKEN, hub-token-file; never shown
  node::CacheSettings cache;
};
// A preset's weights into the models folder, with a bar; what was begun is gone on with.
Status pull_model(Context& context, const PullModelOptions& options);
std::string completion(const std::string& shell);
}  // namespace kairo::cli
