// agents/main.cpp - kairo <command>: what people type, and the processes that `kairo up` starts.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "agents/admission/admit.h"
#include "agents/cli/cli.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/config.h"
#include "agents/init_containers.h"
#include "agents/local/local_cluster.h"
#include "agents/node/give_folders.h"
#include "agents/serve_agent.h"
#include "agents/serve_gateway.h"
#include "schemas/base/log.h"
#include "state/rocks_store.h"

namespace {
using namespace kairo;  // NOLINT(google-build-using-namespace): the program, not a library
constexpr const char* version = KAIRO_VERSION;

std::atomic<bool> stop_requested{false};
extern "C" void request_stop(int) {
  stop_requested = true;
}
// Ctrl-C asks; Ctrl-C again ends it. One key press may arrive twice (timeout(1), make and a shell
// that ends its group send it to the process and to the group), so the second must come later.
extern "C" void request_stop_or_leave(int) {
  constexpr int interrupted = 130;
  constexpr std::int64_t same_press_ms = 200;
  static std::atomic<std::int64_t> asked_at{0};
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);  // async-signal-safe, as std::chrono need not be
  const std::int64_t now = std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000;
  if (!stop_requested.exchange(true))
    asked_at = now;
  else if (now - asked_at > same_press_ms)
    _exit(interrupted);
}
bool is_any(const CLI::App& app, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* name) { return app.got_subcommand(name); });
}
// What Ctrl-C does. A command that leaves nothing behind ends at once, wherever it stands; the
// others look at stop_requested, and those that a person looks at are not kept waiting by a call.
void hear_signals(const CLI::App& app) {
  struct sigaction action {};
  if (is_any(app, {"agent", "gateway", "web", "cluster-local", "fetch", "pull", "pull-model"})) {
    action.sa_handler = request_stop;
    action.sa_flags = SA_RESTART;
  } else if (app.got_subcommand("up")) {
    action.sa_handler = request_stop;
  } else if (is_any(app, {"wait", "estimate", "files", "export", "dashboard"})) {
    action.sa_handler = request_stop_or_leave;
  } else {
    return;
  }
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

std::string program_dir() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

Status run_cluster(const cli::Home& home) {
  const cli::Ports ports = TRY(cli::read_ports(home));
  cluster::LocalOptions options;
  options.state_dir = home / "state/cluster";
  options.tokens_file = home / "run/tokens";
  options.port_file = home / "run/cluster.port";
  options.program_dir = program_dir();
  options.port = ports.cluster;
  options.admit = [](const std::string& before, const std::string& after) -> Status {
    admission::AdmitContext context;
    context.mode = admission::NodeMode::local;
    context.allow_loopback_urls = true;
    const std::string no = admission::refusal(admission::admit(before, after, context));
    if (!no.empty()) return Error{Code::invalid, no};
    return ok();
  };
  const auto store = TRY(state::open_rocks_store(home / "state/cluster/db"));
  return cluster::run_local_cluster(options, *store, stop_requested);
}

void choose_local_cluster(cli::Context& context) {
  context.connect = [&context]() -> Result<std::unique_ptr<cluster::Cluster>> {
    TRY(cli::must_run(context));
    const cli::Ports ports = TRY(cli::read_ports(context.home));
    return std::unique_ptr<cluster::Cluster>(std::make_unique<cluster::KubeCluster>(
        cluster::KubeConfig{"http://127.0.0.1:" + std::to_string(ports.cluster),
                            context.home / "secrets/admin.token", ""}));
  };
}
// What a kubeconfig or a pod has.
Status choose_cluster(cli::Context& context, const Settled& settled, bool names_ns) {
  cluster::Target target = TRY(target_of(settled));
  context.is_local = false;
  target.config.stop = &context.stop;
  if (!names_ns && !target.ns.empty()) context.ns = target.ns;
  context.kubeconfig = settled["kubeconfig"];
  context.kube_context = settled["context"];
  context.connect = [target]() -> Result<std::unique_ptr<cluster::Cluster>> {
    return std::unique_ptr<cluster::Cluster>(std::make_unique<cluster::KubeCluster>(target.config));
  };
  const auto asked = std::make_shared<cluster::KubeCluster>(target.config);
  context.post = [&context, asked](const std::string& service, const std::string& path,
                                   const std::string& body) {
    constexpr std::int64_t answer_ms = 300'000;  // a long answer of a large model on few cores
    return asked->post_to_service(context.ns, service, path, body, answer_ms);
  };
  return ok();
}

// Home folder and cluster, for the commands that need them; an agent reads its settings itself.
Status prepare(const CLI::App& app, cli::Context& context,
               const std::map<std::string, std::string>& flags, bool names_ns) {
  if (is_any(app, {"agent", "gateway", "web", "fetch", "pull", "pull-model", "give-folders",
                   "explain", "completion", "version"}))
    return ok();
  const Settled settled = TRY(read_settings(flags));
  const auto home = flags.find("home");
  if (home != flags.end()) context.home.path = home->second;
  if (home == flags.end() && !settled["home"].empty()) context.home.path = settled["home"];
  context.home = TRY(cli::absolute(context.home));
  choose_local_cluster(context);
  const bool has_choice = is_any(app, {"apply", "get", "describe", "delete", "logs", "events",
                                       "wait", "chat", "export", "dashboard"});
  if (!has_choice || is_local(settled)) return ok();
  return choose_cluster(context, settled, names_ns);
}

constexpr int wrong_usage = 2;
int finish(const Status& status) {
  if (!status.ok()) std::cerr << "error: " << status.error().what << '\n' << std::flush;
  if (stop_requested) return 130;
  return status.ok() ? 0 : 1;
}
int finish_container(const Status& status) {
  if (!status.ok()) std::cerr << status.error().what << '\n' << std::flush;  // the pod's last words
  return exit_code_of_container(status, stop_requested);
}
// An object of a form that nobody foresaw ends in words, not in a crash report.
Status guarded(const std::function<Status()>& action) {
  try {
    return action();
  } catch (const std::exception& e) {
    return Error{Code::corrupt, std::string("unexpected: ") + e.what()};
  }
}
}  // namespace

// Owns the words of the command line and what they mean; one lambda per command.
// NOLINTNEXTLINE(readability-function-size): a list, read from top to bottom
int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{
      "kairo: fine-tune and serve a language model with one apply.\n\n"
      "  kairo up -d\n"
      "  kairo apply -f workspace.yaml\n"
      "  kairo wait my-workspace\n"
      "  kairo chat my-server \"Who are you?\"\n"};
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", version);
  cli::Context context{cli::default_home(), "default", stop_requested, {}};
  std::map<std::string, std::string> flags;  // settings by name
  std::vector<CLI::Option*> given;           // their options
  const auto add_setting = [&](CLI::App& to, const Setting& s) {
    given.push_back(to.add_option(std::string("--") + s.name, flags[s.name],
                                  std::string(s.text) + " (or " + s.variable + ")"));
  };
  const std::set<std::string> of_all{"config", "mode", "home", "kubeconfig", "context"};
  for (const Setting& s : settings())
    if (of_all.contains(s.name)) add_setting(app, s);
  const std::set<std::string> of_weights{"models-dir",      "hub",
                                         "hub-token-file",  "hub-ca-file",
                                         "preset-registry", "preset-registry-config",
                                         "models-limit",    "models-keep-free"};
  const auto* ns_option = app.add_option("-n,--namespace", context.ns, "Namespace");
  app.fallthrough();
  std::function<Status()> action;
  const auto command = [&](const char* name, const char* text, const std::function<Status()>& run) {
    CLI::App* sub = app.add_subcommand(name, text);
    sub->callback([&action, run] { action = run; });
    return sub;
  };

  const auto add_system_ns = [&](CLI::App& to) {
    to.add_option("--kairo-namespace", context.system_ns,
                  "Of a cluster: where kairo is installed (default kairo-system)");
  };

  cli::UpOptions up;
  bool no_registry = false, purge = false;
  auto* sub = command("up", "Start everything on this machine", [&] {
    up.registry = !no_registry;
    return cli::up(context, up, program_dir());
  });
  sub->add_flag("-d,--detach", up.detach, "Return when it is ready; stop it with `kairo down`");
  sub->add_flag("--no-registry", no_registry, "Without the local image registry");
  sub->add_option("--openai-port", up.openai_port, "Port of OpenAI's API on loopback");
  sub->add_option("--registry-port", up.registry_port, "Port of the registry on loopback");
  sub = command("down", "Stop it; what was done stays", [&] { return cli::down(context, purge); });
  sub->add_flag("--purge", purge, "Remove all state too");
  command("status", "The processes of the local kairo", [&] { return cli::status(context); });

  sub = command("dashboard",
                "Address of the page; opens it. In a cluster it forwards a port to it until Ctrl-C",
                [&] { return cli::dashboard(context); });
  add_system_ns(*sub);

  std::vector<std::string> files;
  std::string kind, name, container, shell = "bash", field;
  bool follow = false, no_wait = false;
  sub = command("apply", "Create or change objects", [&] { return cli::apply(context, files); });
  sub->add_option("-f,--filename", files, "YAML or JSON file, a folder of them, or - (stdin)")
      ->required();
  cli::GetOptions get;
  sub = command("get", "List objects", [&] { return cli::get(context, get); });
  sub->add_option("kind", get.kind, "ws (workspaces), jobs, pods, ws,jobs, all, ws/NAME")
      ->required();
  sub->add_option("name", get.name, "One object");
  sub->add_option("-o,--output", get.output, "wide, yaml, json or name")
      ->check(CLI::IsMember({"wide", "yaml", "json", "name"}));
  sub->add_flag("-w,--watch", get.watch, "Go on printing changes");
  sub->add_flag("-A,--all-namespaces", get.all_namespaces, "Of all namespaces");
  sub = command("describe", "Objects with their conditions and events",
                [&] { return cli::describe(context, kind, name); });
  sub->add_option("kind", kind, "workspace, job, ... or workspace/NAME")->required();
  sub->add_option("name", name, "One object; without it all of the kind");
  std::vector<std::string> names;
  sub = command("delete", "Delete objects and wait until they are gone",
                [&] { return cli::remove(context, files, kind, names, !no_wait); });
  sub->add_option("kind", kind, "workspace, job, ... or workspace/NAME");
  sub->add_option("names", names, "One or several");
  sub->add_option("-f,--filename", files, "Delete what stands in the file or folder");
  sub->add_flag("--no-wait", no_wait, "Do not wait until they are gone");
  sub = command("logs", "Log of a workspace's newest pod",
                [&] { return cli::logs(context, name, container, follow); });
  sub->add_option("name", name, "Workspace or pod")->required();
  sub->add_option("-c,--container", container, "One of the pod's; default: its main one");
  sub->add_flag("-f,--follow", follow, "Go on, with the pods that follow it too");
  sub = command("events", "What happened", [&] { return cli::events(context, name, follow); });
  sub->add_option("workspace", name, "Only of this workspace");
  sub->add_flag("-w,--watch", follow, "Go on printing new ones");
  cli::ExportOptions curve;
  sub = command("export", "A tuning's whole loss curve, for other programs",
                [&] { return cli::export_curve(context, curve); });
  sub->add_option("workspace", curve.name, "A tuning Workspace")->required();
  sub->add_option("--as", curve.as, "csv (default), jsonl, or tensorboard: its event files")
      ->check(CLI::IsMember({"csv", "jsonl", "tensorboard"}));
  sub->add_option("-o,--output", curve.output,
                  "File to write (default: standard output); of tensorboard the folder that "
                  "`tensorboard --logdir` is given (default: logs)");
  add_system_ns(*sub);
  sub->footer(
      "  kairo export pip > pip.csv\n"
      "  kairo export pip --as jsonl | jq 'select(.loss) | .loss'\n"
      "  kairo export pip --as tensorboard && tensorboard --logdir logs");
  std::int64_t timeout_s = 24 * 3600;
  sub = command("wait", "Follow a workspace until it is done (progress bar)",
                [&] { return cli::wait(context, name, timeout_s); });
  sub->add_option("workspace", name, "Its name")->required();
  sub->add_option("--timeout", timeout_s, "Give up after so many seconds (default: a day)");
  cli::ChatOptions chat;
  sub = command("chat", "Ask a served model", [&] { return cli::chat(context, chat); });
  sub->add_option("workspace", chat.workspace, "An inference Workspace")->required();
  sub->add_option("prompt", chat.prompt, "The question; else a conversation, or standard input");
  sub->add_option("--adapter", chat.adapter, "Name of an adapter; default: the base model");
  sub->add_option("--temperature", chat.temperature, "0: always the likeliest word (default)");
  sub->add_option("--max-tokens", chat.max_tokens, "Length of the answer (default 256)");
  sub->add_flag("--raw", chat.raw, "POST /chat, and print the reply as it comes");
  sub = command("explain", "What a field means", [&] { return cli::explain(field); });
  sub->add_option("field", field, "e.g. workspace.tuning");
  cli::EstimateOptions planned;
  sub = command("estimate", "Memory, tokens, steps and time of a tuning, before it starts",
                [&] { return cli::estimate(context, files, program_dir(), planned); });
  sub->add_option("-f,--filename", files, "The Workspace's YAML, or -: standard input")->required();
  sub->add_option("--device", planned.device, "cpu, cuda (here or not); default: what is here");
  sub->add_option("--gpu-memory", planned.gpu_memory, "GiB of the GPU to plan for");
  sub = command("completion", "Shell completion (bash or zsh)", [&] {
    std::cout << cli::completion(shell);
    return ok();
  });
  sub->add_option("shell", shell, "bash (default) or zsh")->check(CLI::IsMember({"bash", "zsh"}));
  command("version", "Print the version", [&] {
    std::cout << "kairo " << version << "\n";
    return ok();
  });
  std::string folder;
  int port = 0;
  sub = command("files", "Serve a folder's files on loopback (data sets)",
                [&] { return cli::serve_files(context, folder, port); });
  sub->add_option("folder", folder, "What is served")->required();
  sub->add_option("--port", port, "On 127.0.0.1")->required();

  std::string agent, image, to, config_dir;
  cli::PullModelOptions weights;
  sub = command("pull-model", "Fetch a preset's weights into the models folder (progress bar)",
                [&]() -> Status {
                  const Settled settled = TRY(read_settings(flags));
                  weights.cache = cache_settings(settled, cli::models_dir());
                  weights.token = environment("HF_TOKEN");
                  std::getline(std::ifstream(settled["hub-token-file"]), weights.file_token);
                  return cli::pull_model(context, weights);
                });
  sub->add_option("preset", weights.name, "Its name, or its id on the hub")->required();
  sub->add_option("--image", weights.image, "From this image or artifact of a registry");
  for (const Setting& s : settings())
    if (of_weights.contains(s.name)) add_setting(*sub, s);
  FetchFlags fetched;
  sub = command("agent", "Run one agent", [&]() -> Status {
    const Settled settled = TRY(read_settings(flags));
    log::start(agent, settled["log"]);
    const AgentConfig config = TRY(agent_config(agent, settled));
    log_config(config, settled);
    return serve_agent(config, stop_requested);
  });
  sub->add_option("name", agent)->required();
  for (const Setting& s : settings())
    if (!of_all.contains(s.name) && !s.is_secret) add_setting(*sub, s);
  sub = command("gateway", "Answer OpenAI's API: files, fine-tuning jobs, models, chat", [&] {
    const auto settled = read_settings(flags);
    return settled.ok() ? serve_gateway(settled.value(), stop_requested) : settled.error();
  });
  for (const Setting& s : settings())
    if (is_of_gateway(s.name)) add_setting(*sub, s);
  command("web", "Serve the page",
          [&] { return serve_page(read_settings(flags), stop_requested); });
  command("cluster-local", "Run the local cluster", [&] {
    log::start("cluster");
    return run_cluster(context.home);
  });
  sub = command("fetch", "Fetch the data set named by DATA_URLS (a Job's init container)",
                [&] { return run_fetch(fetched, stop_requested); });
  sub->add_option("--to", fetched.to)->required();
  sub->add_flag("--allow-loopback", fetched.allow_loopback);
  sub->add_option("--gateway", fetched.gateway);
  sub = command("pull", "Pull an image's /data (a pod's init container)",
                [&] { return run_pull(image, to, config_dir, stop_requested); });
  sub->add_option("--image", image)->required();
  sub->add_option("--to", to)->required();
  sub->add_option("--docker-config-dir", config_dir);

  std::vector<std::string> folders;
  unsigned uid = 0;
  sub = command("give-folders", "Make a node's folders kairo's (its pod's init container)",
                [&] { return node::give_folders(folders, uid); });
  sub->add_option("--uid", uid)->required();
  sub->add_option("folders", folders)->required();

  for (const char* own :
       {"agent", "gateway", "web", "cluster-local", "fetch", "pull", "give-folders"})
    app.get_subcommand(own)->group("Started by kairo itself");
  app.allow_extras();  // to name what is not understood
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : wrong_usage;
  }
  if (const auto extras = app.remaining(); !extras.empty()) {
    const char* what = action ? "unexpected argument" : "unknown command";
    std::cerr << "error: " << what << " \"" << extras.front() << "\"; see `kairo --help`\n";
    return wrong_usage;
  }
  if (!action) {
    std::cout << app.help();
    return 0;
  }
  hear_signals(app);
  std::set<std::string> said;  // several commands may have a flag
  for (const CLI::Option* option : given)
    if (option->count() > 0) said.insert(option->get_single_name());
  std::erase_if(flags, [&](const auto& flag) { return !said.contains(flag.first); });
  const bool is_plugin = std::string(argv[0]).ends_with("kubectl-kairo");
  if (is_plugin) flags.try_emplace("mode", "kubeconfig");
  const Status prepared = prepare(app, context, flags, ns_option->count() > 0);
  if (!prepared.ok()) return finish(prepared);
  const auto is_used = [&](const char* which) { return app.got_subcommand(which); };
  const bool is_container = is_used("fetch") || is_used("pull") || is_used("give-folders");
  return is_container ? finish_container(guarded(action)) : finish(guarded(action));
}
