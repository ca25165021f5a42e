// agents/cli/chat.cpp - asks a served model.
#include <httplib.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/cli/cli.h"
#include "agents/cli/conditions.h"
#include "agents/cli/files.h"
#include "agents/cluster/kinds.h"

namespace kairo::cli {
namespace {
using Json = nlohmann::json;

// host:port of a Workspace that answers; else why it does not.
Result<std::string> address_of(const Context& context, cluster::Cluster& cluster,
                               const std::string& name) {
  const auto found = cluster.get({cluster::workspaces, context.ns, name});
  if (!found.ok()) return found.error();
  const Json workspace = Json::parse(found.value(), nullptr, false);
  if (!workspace.contains("inference"))
    return Error{Code::invalid, "workspace " + name +
                                    " tunes a model and serves none; chat with an inference "
                                    "Workspace that uses its adapter (docs/serving.md)"};
  const Condition ready = condition_of(workspace, "InferenceReady");
  if (ready.value != "True") {
    const std::string why = waiting_for(workspace);
    return Error{Code::unavailable, "workspace " + name + " is not ready" +
                                        (!why.empty()             ? ": " + why
                                         : !ready.message.empty() ? ": " + ready.message
                                                                  : "") +
                                        "; `kairo wait " + name + "` waits for it"};
  }
  const auto service = cluster.get({cluster::services, context.ns, name});
  if (!service.ok()) return service.error();
  const std::string address =
      Json::parse(service.value())
          .value(Json::json_pointer("/metadata/annotations/kairo.dev~1local-address"), "");
  if (!address.empty()) return address;
  return Error{Code::unavailable, "workspace " + name + " has no address yet"};
}
// The answer's text; the question and it become part of `messages`.
Result<std::string> ask(httplib::Client& client, const ChatOptions& options,
                        const std::string& prompt, Json& messages) {
  messages.push_back({{"role", "user"}, {"content", prompt}});
  Json body = {{"temperature", options.temperature}, {"max_tokens", options.max_tokens}};
  const std::string path = options.raw ? "/chat" : "/v1/chat/completions";
  if (options.raw)
    body = {{"prompt", prompt},
            {"return_full_text", false},
            {"generate_kwargs",
             {{"max_new_tokens", options.max_tokens}, {"do_sample", options.temperature > 0}}}};
  else
    body["messages"] = messages;
  if (!options.adapter.empty()) body["model"] = options.adapter;
  const auto reply = client.Post(path, body.dump(), "application/json");
  if (!reply)
    return Error{Code::unavailable, "no answer: " + httplib::to_string(reply.error()) +
                                        "; see `kairo logs " + options.workspace + "`"};
  const Json json = Json::parse(reply->body, nullptr, false);
  if (reply->status != 200) {
    const Json::json_pointer at("/error/message");
    return Error{Code::invalid,
                 path + " answered " + std::to_string(reply->status) + ": " +
                     (json.is_object() && json.contains(at) ? json[at].get<std::string>()
                                                            : reply->body.substr(0, 300))};
  }
  if (options.raw || !json.is_object()) return reply->body;
  const std::string answer = json.value(Json::json_pointer("/choices/0/message/content"), "");
  messages.push_back({{"role", "assistant"}, {"content", answer}});
  return answer;
}
}  // namespace

Status chat(Context& context, const ChatOptions& options) {
  const auto cluster = TRY(context.connect());
  const std::string address = TRY(address_of(context, *cluster, options.workspace));
  httplib::Client client("http://" + address);
  constexpr int answer_s = 300;  // a long answer of a large model on few cores
  client.set_read_timeout(answer_s, 0);
  Json messages = Json::array();
  if (!options.prompt.empty() || isatty(STDIN_FILENO) != 1) {
    const std::string prompt = options.prompt.empty() ? TRY(read_file("-")) : options.prompt;
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos)
      return Error{Code::invalid, "no question: give it as an argument or on standard input"};
    std::cout << TRY(ask(client, options, prompt, messages)) << "\n";
    return ok();
  }
  std::cerr << "a line is a question; Ctrl-D ends\n";
  std::cout << "> " << std::flush;
  for (std::string line; std::getline(std::cin, line); std::cout << "> " << std::flush)
    if (line.find_first_not_of(" \t\r") != std::string::npos)
      std::cout << TRY(ask(client, options, line, messages)) << "\n";
  std::cout << "\n";
  return ok();
}
}  // namespace kairo::cli
